"""Measured cells correct a prediction, more so the more there are, and the table says beside what."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import CLASSES, convolutions

from databases.architectures.space import finite_space
from databases.records.benchmark_table import BenchmarkTable
from metad2a.evaluate.few_measurements import FOREST, GRAPH, OPERATIONS, ORDERS, OURS, TOLD, few_measurements
from metad2a.evaluate.model_card import _few

CELLS = tuple(CLASSES[::20])


@pytest.fixture
def table() -> BenchmarkTable:
    """Convolutions pay, and skips pay half."""
    value = np.array([sum({3: 2.0, 2: 1.5, 1: 1.0}.get(op, 0.0) for op in each.walk) for each in CELLS])
    value = 50 + 3 * value + 0.01 * np.arange(len(CELLS))
    return BenchmarkTable("toy", "nasbench201", CELLS, value, value)


def test_measured_cells_correct_a_prediction_and_forests_stand_beside(table: BenchmarkTable) -> None:
    space = finite_space("nasbench201")
    prior = -convolutions(range(len(space.classes))).astype(np.float64)
    walks = np.eye(5)[np.array([each.walk for each in space.classes])].sum(1)
    scores = {"size": {str(each): float(i) for i, each in enumerate(CELLS[1:])}}  # one is missing
    orders = np.stack([prior, walks[:, 3]], axis=1)
    found = few_measurements(table, prior, walks, scores, orders, draws=2, measured=(5, 40))
    assert found["0"][OURS]["tau"] < 0 < found["5"][OURS]["tau"] < found["40"][OURS]["tau"]
    assert found["40"][OURS]["tau"] > 0.8 and found["40"][FOREST]["tau"] > 0.5
    assert min(found["40"][way]["tau"] for way in (OPERATIONS, GRAPH, ORDERS)) > 0.4
    assert set(found["5"]) == {OURS, OPERATIONS, GRAPH, ORDERS, FOREST, TOLD}
    low, high = found["5"][OURS]["range"]
    assert low < high  # other cells measured, another order
    assert few_measurements(table, prior, walks, scores, orders, draws=2, measured=(5,))["5"] == found["5"]


def test_the_card_tells_what_was_reached_and_missed() -> None:
    def value(tau: float) -> dict[str, object]:
        return {"tau": tau, "range": [tau - 0.01, tau + 0.01], "draws": 20}

    taus = {"5": 0.851, "20": 0.852, "78": 0.9}
    found = {"0": {OURS: {"tau": 0.8399, "range": [0.8399, 0.8399], "draws": 1}}}
    found |= {n: {OURS: value(tau), FOREST: value(0.5), TOLD: value(0.6)} for n, tau in taus.items()}
    text = "\n".join(_few(found))
    assert f"| {OURS} | 0.8399 | 0.8510 (0.841 to 0.861) | 0.8520 " in text and "ceiling is about 0.887" in text
    assert f"| {FOREST} |  | 0.5000 (0.490 to 0.510) |" in text
    assert "| target for ours | 0.8400 | 0.8500 | 0.8550 | 0.8650 |" in text
    assert "| reached | no | yes | no | yes |" in text
