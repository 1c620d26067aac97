"""The shipped figures belong to the shipped weights, the model card shows them, the fast mode gives the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import episode, task
from typer.testing import CliRunner

from databases.errors import UserError
from metad2a.build import shipped
from metad2a.cli.app import app
from metad2a.evaluate import ablations
from metad2a.evaluate.evaluation import evaluate
from metad2a.evaluate.evaluation_report import write
from metad2a.evaluate.final_figures import GeneratorFigures, HeldBack
from metad2a.evaluate.model_card import model_card, tables
from metad2a.evaluate.own_tasks import ceiling, seed_noise
from predictors import checkpoint

WEIGHTS = shipped.MEASUREMENTS.parent


@pytest.fixture
def figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((WEIGHTS / "evaluation.json").read_text(encoding="utf-8"))
    return found


def test_the_figures_are_those_of_the_shipped_weights(figures: dict[str, Any]) -> None:
    assert figures["weights"] == checkpoint.digest(WEIGHTS / "meta.safetensors")
    assert figures["fast"] is False


def test_the_card_shows_the_figures_unchanged(figures: dict[str, Any]) -> None:
    _, header = checkpoint.load(WEIGHTS / "meta.safetensors")
    assert model_card(header, figures) == (WEIGHTS / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_figures_of_the_final_check_are_read_as_they_were_written(figures: dict[str, Any]) -> None:
    made, held_back = figures["final"]["generator"], figures["final"]["own tasks"]
    assert GeneratorFigures.from_json(made).to_json() == made
    assert {name: HeldBack.from_json(each).to_json() for name, each in held_back.items()} == held_back


def test_the_card_says_whether_the_dataset_is_read_by_the_figures(figures: dict[str, Any]) -> None:
    made, rows = figures["final"]["generator"], figures["MetaD2A rows"]["spearman"]
    for loss, text in ((0.0, "as well as"), (9.0, "worse than")):
        made["another task's z"]["mean percentile of 100"] = made["right z"]["mean percentile of 100"] - loss
        assert f"Another task's z does {text} the right one" in "\n".join(tables(figures))
    for loss, text in ((0.0, "do not show that"), (0.1, "the images are read")):
        rows["classes' images exchanged"] = rows["ours"] - loss
        assert text in "\n".join(tables(figures))


def test_the_card_names_the_rivals_beaten_beyond_doubt(figures: dict[str, Any]) -> None:
    paired = figures["own tasks"]["regret of the first pick, paired"]
    for number, value in enumerate(paired.values()):
        value["low"] = 0.1 if number == 0 else -0.1
    name = next(iter(paired)).removeprefix("against ")
    assert f"first pick, against 1 of {len(paired)} ({name});" in "\n".join(tables(figures))


def test_each_opening_of_the_final_check_is_kept(figures: dict[str, Any], tmp_path: Path) -> None:
    for date in ("first", "second"):
        write({**figures, "date": date}, tmp_path)
    del figures["final"]
    write({**figures, "date": "third"}, tmp_path)
    kept = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))["openings"]
    assert [each["date"] for each in kept] == ["first", "second"]


@pytest.mark.slow
def test_the_fast_mode_gives_the_shipped_figures_from_the_package_alone(
    figures: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAD2A_SHARED", str(tmp_path / "nothing"))
    monkeypatch.setattr(ablations, "TREES", 2)  # a rival's, whose figures are not compared here
    (tmp_path / "evaluation.json").write_text("all figures", encoding="utf-8")
    result = CliRunner().invoke(app, ["evaluate", "--fast", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    assert "fast mode" in result.stdout and "fast mode" in result.stderr
    assert "No figures of backbones: needs the development data" in result.stdout
    assert result.stdout == (tmp_path / "evaluation-fast.md").read_text(encoding="utf-8")
    assert (tmp_path / "evaluation.json").read_text(encoding="utf-8") == "all figures"
    found = json.loads((tmp_path / "evaluation-fast.json").read_text(encoding="utf-8"))
    assert found["fast"] is True
    assert found.keys() == figures.keys() - {"final"}
    assert found["own tasks"].keys() == figures["own tasks"].keys()
    assert found["ablations"].keys() == figures["ablations"].keys()
    for table in ("tau", "error of the median cell", "coverage"):
        for name, value in found["own tasks"][table].items():
            assert value["mean"] == pytest.approx(figures["own tasks"][table][name]["mean"], rel=0.02), name
    assert all("skipped" in found[table] for table in ("backbones", "MetaD2A rows", "latency"))


def test_the_final_check_is_never_a_fast_one() -> None:
    with pytest.raises(UserError, match="give one of them"):
        evaluate(final=True, fast=True)


def test_noise_and_ceiling_come_from_the_seeds() -> None:
    once = episode(task(), [0, 1, 2], [50.0, 60.0, 70.0])
    assert np.isnan(ceiling(once)) and np.isnan(seed_noise(once))
    seeds = np.array([[50.0, 52.0], [60.0, 62.0], [70.0, 72.0]])
    twice = type(once)(once.features, once.recipe, once.cells, seeds.mean(1), seeds, once.family)
    assert ceiling(twice) == pytest.approx(1.0)
    assert seed_noise(twice) == pytest.approx(np.sqrt(2))
