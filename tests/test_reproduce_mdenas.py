"""The demonstration of MDENAS: what is ranked, what is judged, and a small run on the published tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from databases.architectures.space import space
from databases.records.benchmark_table import BenchmarkTable
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.mdenas import demonstration, shared_weights
from metad2a.reproduce.mdenas.demonstration import CONTROL, ORDER, OURS, RANDOM, SHORT, SHUFFLED, Job, Size, follow
from predictors.metrics import Interval

SIZE = Size(trials=40, seeds=2, every=20, draws=5)


@pytest.fixture(scope="module")
def table() -> BenchmarkTable:
    """Every 3x3 convolution is worth a point."""
    cells = tuple(space("nasbench201").enumerate())
    worth = np.array([sum(choice == 3 for choice in each.walk) for each in cells], dtype=np.float64)
    return BenchmarkTable("made/up", "tiny", cells, worth, worth)


def test_values_that_agree_are_ranked_alike_and_shuffled_ones_are_not(table: BenchmarkTable) -> None:
    noise = np.random.default_rng(0).normal(size=len(table.valid))
    long = replace(table, valid=table.valid + noise)
    found = demonstration._taus(replace(long, test=-long.test), long, SIZE, 0)
    means = [found[of].mean for of in ("validation", "test", f"best {demonstration.BEST}%")]
    assert means == pytest.approx([1, -1, 1])
    assert all(abs(found[of].mean) < 0.03 for of in (ORDER, SHUFFLED)) and found[ORDER] != found[SHUFFLED]
    shown = demonstration._tau_table({"made": found, "up": found})
    assert shown.headings == ("Ranking", ">made", ">up")
    assert shown.rows[-2:] == tuple((of, str(found[of]), str(found[of])) for of in (ORDER, SHUFFLED))


@pytest.mark.parametrize("of", [ORDER, SHUFFLED])
def test_a_control_that_ranks_cells_is_said_to_fail(of: str) -> None:
    good, nothing = Interval(0.7, 0.6, 0.8, 0.95, 9), Interval(0.01, -0.01, 0.03, 0.95, 9)
    means = {"mean": 90.0, "low": 80.0, "high": 99.0}

    def held(taus: dict[str, Interval]) -> list[bool]:
        return [each.holds for each in demonstration._verdicts({"made up": taus}, {OURS: means}, {CONTROL: means})]

    fine = {"validation": good, ORDER: nothing, SHUFFLED: nothing}
    assert held(fine) == [True, True, True, True]
    assert held({**fine, of: good}) == [True, False, True, True]


def test_searches_are_told_one_thing_and_judged_by_another(table: BenchmarkTable) -> None:
    upside_down = replace(table, test=-table.test)
    for label in (OURS, SHORT, RANDOM):
        _, seed, good = follow(Job(label, 1, table, table.valid, SIZE))
        _, _, bad = follow(Job(label, 1, upside_down, table.valid, SIZE))
        assert seed == 1 and len(good) == 2 and good[-1] > 70 and bad == pytest.approx(100 - good)
    assert follow(Job(CONTROL, 1, table, table.valid, SIZE))[2][-1] < 90


@pytest.mark.slow
def test_a_small_run_shows_every_part(tables: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "FAST", SIZE)
    monkeypatch.setattr(shared_weights, "FAST", replace(shared_weights.FAST, told=2))
    context = Context(fast=True, database=tables, images=shared / "images", workers=1, say=lambda line: None)
    report = demonstration.run(context)
    assert all(0.6 < found["validation"]["mean"] < 0.7 for found in report.figures["tau"].values())
    assert report.figures["percentile"].keys() == demonstration.METHODS.keys()
    assert report.figures["percentile"][OURS]["multinomial_above"]["mean"] == 0
    assert report.figures["supernet"]["percentile"].keys() == {*shared_weights.POLICIES, shared_weights.RANDOM}
    assert len(report.tables[0].rows) == 5 and len(report.tables[1].rows) == len(demonstration.METHODS)
    assert len(report.verdicts) == 13 and len(report.panels) == 3
