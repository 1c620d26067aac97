"""The demonstration of NASWOT and AREA: its arithmetic, and a small run on the published tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metad2a.reproduce import naswot
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.naswot import NOISE, OWN, Size, _best_of_n, _running_pick


def test_the_pick_of_n_is_the_value_of_the_highest_score_so_far() -> None:
    scores, value = np.array([[1.0, 3.0, 2.0, 5.0]]), np.array([[10.0, 20.0, 90.0, 5.0]])
    assert _running_pick(scores, value).tolist() == [[10.0, 20.0, 20.0, 5.0]]


def test_perfect_scores_pick_the_best_and_random_ones_do_not_improve() -> None:
    test = np.random.default_rng(0).normal(size=200)
    found = _best_of_n({OWN: test, "parameters": -test}, test, Size(draws=200, most=30), 0)
    assert np.array_equal(found["NASWOT"], found["best of n"])
    assert found["NASWOT"][:, -1].mean() > 1.5 and found["parameters"][:, -1].mean() < -1.5
    assert abs(found["random"][:, -1].mean() - test.mean()) < 0.25


@pytest.mark.slow
def test_a_small_run_shows_every_part(shared: Path, tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Size(cells=40, few=0, draws=10, most=20, seeds=4, batch=16)
    monkeypatch.setattr(naswot, "FAST", small)
    context = Context(fast=True, database=tables, images=shared / "images", workers=1, say=lambda line: None)
    report = naswot.run(context)
    assert {OWN, NOISE, "published", "parameters", "shuffled (control)"} == report.figures["tau"].keys()
    assert report.figures["tau"][OWN]["tau"] > 0.3 > abs(report.figures["tau"]["shuffled (control)"]["tau"])
    assert report.figures["first_lookups_above_evolution"]["evolution"]["mean"]["mean"] == 0
    assert len(report.verdicts) == 5 and len(report.panels) == 2
    assert len(report.tables[2].rows) == 4 and report.tables[1].rows[0][0] == "1"
