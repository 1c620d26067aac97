"""`metad2a evaluate` prints the tables of README and card and every task, and writes what it prints with its curves."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from metad2a.build import shipped
from metad2a.cli.app import app
from metad2a.evaluate import evaluation
from metad2a.evaluate.evaluation_report import WIDTH, panels_of, report, write
from metad2a.evaluate.model_card import tables
from metad2a.reports import panels as drawing


@pytest.fixture
def figures() -> dict[str, Any]:
    path = shipped.MEASUREMENTS.parent / "evaluation.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def squeezed(text: str) -> str:
    """Without what only the layout is made of."""
    return re.sub(r"\s|---+", "", text)


def test_the_report_shows_the_tables_of_readme_and_card(figures: dict[str, Any]) -> None:
    assert squeezed("\n".join(tables(figures))) in squeezed(report(figures))


def test_columns_are_aligned_and_other_lines_folded(figures: dict[str, Any]) -> None:
    lines = report(figures).splitlines()
    for above, below in pairwise(lines):
        if above.startswith("|") and below.startswith("|"):
            assert [m.start() for m in re.finditer(r"\|", above)] == [m.start() for m in re.finditer(r"\|", below)]
    assert max(len(line) for line in lines if not line.startswith("|")) <= WIDTH


def test_a_bar_in_a_cell_ends_none(figures: dict[str, Any]) -> None:
    name = "|skip_connect~0|"
    figures["own tasks"]["tasks"][0]["task"] = name
    rows = report(figures).splitlines()[-len(figures["own tasks"]["tasks"]) :]
    assert rows[0].startswith(r"| \|skip_connect~0\| ")
    assert len({len(row) for row in rows}) == 1 and len({len(re.split(r"(?<!\\)\|", row)) for row in rows}) == 1


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_every_own_task_has_its_row_and_what_is_unknown_is_blank(figures: dict[str, Any], unknown: object) -> None:
    tasks = figures["own tasks"]["tasks"]
    tasks[0] |= {"tau ours": 0.25, "spread": 3.0, "noise": unknown, "tau noise ceiling": unknown}
    tasks[1] |= {"noise": 1.5, "tau noise ceiling": 0.75}
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in report(figures).splitlines()[-len(tasks) :]]
    assert [row[0] for row in rows] == [each["task"] for each in tasks]
    assert rows[0][4:] == ["0.250", "3.00", "", ""] and rows[1][6:] == ["1.50", "0.750"]


def test_a_figure_that_was_left_out_shows_its_reason(figures: dict[str, Any]) -> None:
    for name in ("backbones", "MetaD2A rows", "latency"):
        figures[name] = {"skipped": f"no {name} here"}
        assert f"\n\nNo figures of {name}: no {name} here.\n\n" in report(figures)


def test_curves_cover_every_task_and_cifar10_where_it_was_opened(figures: dict[str, Any]) -> None:
    drawn, count = panels_of(figures), len(figures["own tasks"]["tasks"])
    assert all(len(curve.x) == count for panel in drawn[:2] for curve in panel.curves)
    few = figures["final"]["few measurements"]
    assert {curve.label for panel in drawn[3:] for curve in panel.curves} >= set(few["78"])
    del figures["final"]
    assert panels_of(figures) == drawn[:3]


def test_without_several_seeds_no_ceiling_is_drawn(figures: dict[str, Any]) -> None:
    for each in figures["own tasks"]["tasks"]:
        each["tau noise ceiling"] = float("nan")
    assert panels_of(figures)[2].curves == ()


def test_evaluate_writes_what_it_prints_and_leaves_other_files(
    figures: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "load", lambda: SimpleNamespace(weights="abc"))
    monkeypatch.setattr(evaluation, "_all_figures", lambda *_: {"own tasks": figures["own tasks"]})
    (tmp_path / "mine").write_text("stays", encoding="utf-8")
    result = CliRunner().invoke(app, ["evaluate", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    names = {f"evaluation.{suffix}" for suffix in ("json", "md", "png", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == {"mine", ".metad2a-files", *names}
    assert result.stdout == (tmp_path / "evaluation.md").read_text(encoding="utf-8")
    assert "Written: evaluation.md" in result.stderr


def test_what_cannot_be_drawn_leaves_the_earlier_figures(
    figures: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no figure")

    (tmp_path / "evaluation.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(drawing, "panels", fail)
    with pytest.raises(RuntimeError, match="no figure"):
        write(figures, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]
    assert (tmp_path / "evaluation.json").read_text(encoding="utf-8") == "{}"
