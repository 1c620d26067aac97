"""Ablations: every variant is judged on tasks it has not learnt from."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import episode, predictor, task

from databases.records.episodes import Episode
from metad2a.evaluate import ablations as module
from metad2a.evaluate.ablations import ablations

CELLS = list(range(0, 6000, 400))


def own() -> list[Episode]:
    rng = np.random.default_rng(0)
    alike = np.linspace(20, 80, len(CELLS))
    return [
        episode(task(i, at=i % 3), CELLS, (alike + rng.normal(0, 3, len(CELLS))).tolist(), family=str(i))
        for i in range(5)
    ]


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TREES", 10)


def test_where_tasks_agree_every_family_of_models_ranks_held_out_tasks_well() -> None:
    found = ablations(predictor(), own())
    assert len(found) > 10
    for name in ("process, no dataset", "forest on statistics and graph", "three nearest tasks"):
        assert found[name]["all"]["mean"] > 0.5, name
        assert found[name]["all"]["tasks"] == 5
        assert 0 <= found[name]["best of three"]["mean"] <= found[name]["first pick"]["mean"] < 20


def test_no_variant_is_told_of_the_held_out_task(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[set[str], str]] = []

    def spy(known: list[Episode]) -> object:
        families = {each.family for each in known}

        def rank(asked: Episode) -> np.ndarray:
            seen.append((families, asked.family))
            return np.arange(len(asked.cells), dtype=np.float64)

        return rank

    monkeypatch.setattr(module, "_variants", lambda embed: {"spy": spy})
    ablations(predictor(), own())
    assert len(seen) == 5
    assert all(asked not in families and len(families) == 4 for families, asked in seen)
