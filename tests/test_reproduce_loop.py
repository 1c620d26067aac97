"""`reproduce loop`: candidates in their order, one training shown, the mean judged; the loop against its rivals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import CLASSES

from databases.architectures.space import space
from metad2a.reports.report import Report
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.loop import demonstration as loop
from metad2a.reproduce.loop.demonstration import run
from metad2a.reproduce.loop.searchers import (
    EVOLUTION,
    FREE,
    NASWOT,
    ORDER,
    OURS,
    RANDOM,
    SEARCHERS,
    Within,
    searcher,
    searchers_of,
)
from metad2a.reproduce.loop.worlds import World
from metad2a.search.controllers.random_search import RandomSearch
from metad2a.search.loop import run as search

CELLS = tuple(CLASSES[::50])
WALKS = np.array([each.walk for each in CELLS])


def world(task: str = "made/up", *, right: bool = True, naswot: bool = True, source: str = "made") -> World:
    """Convolutions pay; the prediction knows that, or thinks the opposite."""
    rng = np.random.default_rng(0)
    test = 50 + 5.0 * ((WALKS == 2) | (WALKS == 3)).sum(1) + 0.1 * rng.random(len(CELLS))
    valid = test[:, None] + 0.3 * rng.normal(size=(len(CELLS), 3))
    valid[::2, 2] = np.nan
    prior = (1 if right else -1) * (test + rng.normal(size=len(CELLS)))
    places = np.stack([(WALKS == op).sum(1) - 1.2 for op in range(5)], axis=1)
    scores = rng.normal(size=len(CELLS)) if naswot else None
    flops = 1e6 * (1.0 + (WALKS == 3).sum(1))
    return World(task, source, CELLS, valid, test, float(test.max()), prior, places, flops, scores).ranked()


def test_a_world_is_ranked_by_its_prediction_and_keeps_its_columns_together() -> None:
    made = world()
    assert (np.diff(made.prior) <= 0).all()
    assert made.test[made.cells.index(CELLS[7])] == pytest.approx(
        50 + 5 * ((WALKS[7] == 2) | (WALKS[7] == 3)).sum(), abs=0.1
    )
    assert world(naswot=False).naswot is None


def test_a_run_is_shown_one_training_of_each_cell() -> None:
    made = world()
    shown = made.noisy(0)
    assert (shown[:, None] == made.valid).any(axis=1).all()
    np.testing.assert_array_equal(shown, made.noisy(0))
    assert (shown != made.noisy(1)).mean() > 0.3
    drawn = np.stack([made.noisy(seed) for seed in range(30)])
    assert all((drawn == column).any() for column in made.valid.T)  # every training is shown at times


def test_each_searcher_begins_as_its_name_says() -> None:
    made = world()
    assert made.naswot is not None
    first = {name: searcher(name, made, 0, trials=5).ask(1)[0] for name in SEARCHERS}
    assert first[OURS] == first[FREE] == first[ORDER] == made.cells[0]
    assert first[NASWOT] == made.cells[int(made.naswot.argmax())]
    assert {searcher(RANDOM, made, seed, trials=5).ask(1)[0] for seed in range(9)} > {first[RANDOM]}
    assert first[EVOLUTION] in made.cells
    assert NASWOT not in searchers_of(world(naswot=False)) and len(searchers_of(made)) == len(SEARCHERS)


def test_a_searcher_is_kept_within_the_candidates_and_takes_each_once() -> None:
    inner = RandomSearch(space("nasbench201"), seed=0)
    twin = RandomSearch(space("nasbench201"), seed=0)
    kept = Within(inner, CELLS)
    first, proposal = kept.ask(3), twin.ask(1)[0]
    assert len(first) == 1
    apart = (WALKS != np.array(proposal.walk)).sum(1)
    assert (np.array(first[0].walk) != np.array(proposal.walk)).sum() == apart.min()
    found = search(Within(inner, CELLS[:20]), lambda architectures: [1.0] * len(architectures), trials=50)
    assert sorted(map(str, found.architectures)) == sorted(map(str, CELLS[:20]))


def reproduced(monkeypatch: pytest.MonkeyPatch, *, right: bool) -> Report:
    monkeypatch.setattr(loop, "load", lambda: None)
    monkeypatch.setattr(loop, "FAST", replace(loop.FAST, seeds=4, trials=8))
    monkeypatch.setattr(loop, "cifar10", lambda model, context: world("nasbench201/cifar10", right=right))
    monkeypatch.setattr(
        loop,
        "own_tasks",
        lambda model, context, most: [world(f"own{i}", naswot=i > 0, source=f"source{i}") for i in range(most)],
    )
    return run(Context(fast=True, workers=1, say=lambda line: None))


def test_a_right_prediction_wins_and_everything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    report = reproduced(monkeypatch, right=True)
    assert all(each.holds for each in report.verdicts if "random" in each.claim)
    assert [panel.title for panel in report.panels[:2]] == ["cifar10: best so far", "2 own tasks: best so far"]
    regret = {curve.label: curve for curve in report.panels[2].curves}
    assert set(regret) == set(SEARCHERS) and NASWOT not in {curve.label for curve in report.panels[3].curves}
    for curve in regret.values():
        assert len(curve.x) == 8 and all(
            a <= b <= c for a, b, c in zip(curve.low, curve.middle, curve.high, strict=True)
        )
    assert regret[OURS].middle[0] < regret[RANDOM].middle[0]
    assert report.figures["own"]["own0"][OURS]["less than random"]["low"] > 0
    assert len(report.tables[-1].rows) == 2 and len(report.tables[0].rows) == len(SEARCHERS)


def test_several_worlds_are_told_apart_by_their_sources() -> None:
    worlds = [world(f"own{i}", source=source) for i, source in enumerate(("a", "a", "b"))]
    regrets = {(each.task, OURS): np.full((4, 3), float(i)) for i, each in enumerate(worlds)}
    assert loop._of_all(regrets, worlds)[OURS].tolist() == [[0.5] * 3, [2.0] * 3]
    assert loop._of_all(regrets, worlds[:1])[OURS].shape == (4, 3)


def test_a_wrong_prediction_fails_its_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    report = reproduced(monkeypatch, right=False)
    held = {each.claim: each.holds for each in report.verdicts}
    assert not held["cifar10: median regret after 5 trainings"]
    assert not held["cifar10: never behind random"]


@pytest.mark.slow
def test_on_the_published_table_the_target_is_reached(tables: str, shared: Path, few_probed: None) -> None:
    report = run(Context(fast=True, database=tables, images=shared / "images", workers=1, say=lambda line: None))
    assert all(each.holds for each in report.verdicts if each.claim.startswith("cifar10"))
