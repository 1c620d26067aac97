"""The demonstration of NAS with reinforcement learning: its arithmetic, and a small run of every part."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from databases.datasets.text import Text
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.nas_rl import demonstration as nas_rl
from metad2a.reproduce.nas_rl import planted_edges, recurrent_cell
from metad2a.reproduce.nas_rl.planted_edges import METHODS, EdgeSize, edges, f1, find, plant, skips
from metad2a.reproduce.nas_rl.recurrent_cell import FOUND, LSTM, TANH, CellSize, Trained, _ratios, _verdicts
from metad2a.train import loop

TINY = EdgeSize(layers=4, samples=300, seeds=2, every=100)


def test_edges_are_read_from_the_walk() -> None:
    chosen = skips(3)
    assert chosen.size == 2 * 4
    assert edges(chosen.architecture((0, 1, 2))) == {(0, 1), (1, 2)}
    assert edges(chosen.architecture((0, 0, 3))) == {(0, 2), (1, 2)}


def test_f1_is_one_for_the_same_edges_and_falls_with_wrong_and_missing_ones() -> None:
    planted = frozenset({(0, 1), (1, 2)})
    assert f1(planted, planted) == 1
    assert f1(frozenset({(0, 1)}), planted) == pytest.approx(2 / 3)
    assert f1(planted | {(0, 2)}, planted) == pytest.approx(4 / 5)
    assert f1(frozenset(), planted) == 0


def test_a_plant_is_never_empty_and_differs_with_the_seed() -> None:
    assert all(plant(2, seed=seed) for seed in range(10))
    assert len({plant(8, seed=seed) for seed in range(5)}) == 5


def test_the_policy_finds_planted_edges_and_shuffled_rewards_teach_nothing() -> None:
    learnt, misled = (
        np.mean([find((method, seed, TINY)).looks[-1] for seed in range(2)]) for method in (METHODS[2], METHODS[3])
    )
    assert learnt > 0.9 > 0.75 > misled


def test_ratios_are_of_perplexities_paired_by_seed() -> None:
    def runs(*nats: float) -> list[Trained]:
        return [Trained(valid=0.0, test=each, width=1, parameters=1, seconds=0.0) for each in nats]

    of_level = {FOUND: runs(2.0, 3.0), TANH: runs(2.1, 3.1), LSTM: runs(2.0, 3.0)}
    found = _ratios(of_level, FOUND)
    assert found[TANH]["mean"] == pytest.approx(math.exp(-0.1)) == pytest.approx(found[TANH]["high"])
    better, near = _verdicts("word", {FOUND: found})
    assert better.holds and near.holds
    worse, far = _verdicts("word", {FOUND: _ratios({**of_level, FOUND: runs(2.2, 3.05)}, FOUND)})
    assert not worse.holds and not far.holds


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that follow one another, instead of Python's topics."""

    def text(level: str) -> Text:
        tokens = np.arange(1200) % 7
        return Text(level, tuple("0123456"), tokens, tokens[:200], tokens[:200])

    small = {"parameters": 1500, "embedding": 8, "batch": 8, "steps": 10, "epochs": 2}
    monkeypatch.setattr(recurrent_cell, "python_topics", text)
    for name in ("WORD", "CHARACTER"):
        monkeypatch.setattr(recurrent_cell, name, replace(getattr(recurrent_cell, name), **small))


def test_cells_are_searched_chosen_and_trained_at_both_levels(
    counting: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recurrent_cell, "FAST_CELLS", CellSize(children=3, epochs=0.5, finalists=2, seeds=2))
    context = Context(fast=True, workers=1, say=lambda line: None, trainings=tmp_path)
    tables, verdicts, curves, figures = recurrent_cell.show_cells(context)
    assert len(tables) == 3 and len(verdicts) == 4 and len(curves) == 2
    names = {cell for children in figures["search"].values() for cell, _ in children}
    assert {figures["cells"][label] for label in figures["cells"] if label not in (TANH, LSTM)} <= names
    for level in ("word", "character"):
        assert {len(each["trainings"]) for each in figures[level].values()} == {2}
        assert all(each["parameters"] <= 1500 for one in figures[level].values() for each in one["trainings"])
    assert figures["word"][TANH]["ratios"][TANH]["mean"] == 1
    monkeypatch.setattr(loop.Loop, "_step", lambda *given: pytest.fail("trained again"))
    again = recurrent_cell.show_cells(context)[3]  # as after a kill at the very end
    assert again["search"] == figures["search"]
    assert again["character"][LSTM]["ratios"] == figures["character"][LSTM]["ratios"]


@pytest.mark.slow
def test_a_small_run_shows_every_part(tables: str, counting: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas_rl, "FAST", nas_rl.Size(trials=40, seeds=2, every=20))
    monkeypatch.setattr(planted_edges, "FAST_EDGES", replace(TINY, samples=100))
    monkeypatch.setattr(recurrent_cell, "FAST_CELLS", CellSize(children=2, epochs=0.2, finalists=1, seeds=2, share=0.2))
    report = nas_rl.run(Context(fast=True, database=tables, workers=1, say=lambda line: None))
    assert len(report.tables) == 5 and len(report.verdicts) == 8 and len(report.panels) == 4
    assert report.figures["table"]["random"]["above_random"]["mean"] == 0
    assert report.to_json()["figures"]["recurrent_cells"]["cells"][LSTM] == "lstm"
