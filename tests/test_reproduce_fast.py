"""The short runs of the systems on shared weights: every part is there, with seeds, a control and something random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from metad2a.reports.publish import FAILS, outcome, write_report
from metad2a.reproduce import find_demonstration
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.enas.other_spaces import OtherSpaces
from metad2a.supernets.instance import InstanceRecipe

# name -> module with FAST, what makes it still shorter here, verdicts
SHORTER: dict[str, tuple[str, dict[str, Any], int]] = {
    "enas": (
        "enas.demonstration",
        {"judged": 6, "told": 4, "other_spaces": OtherSpaces(2, 1, (0.05, 0.05), (4, 4), (1, 1), 3)},
        21,
    ),
    "lpt": ("lpt", {"steps": 2, "every": 1}, 5),
    "instanas": ("instanas.demonstration", {"timed": 2, "drawn": 2, "digits": InstanceRecipe(1, 1, 1)}, 3),
    "shufflenasnets": ("shufflenasnets.demonstration", {"cells": 2, "trained": 2, "searches": 1, "images": 40}, 9),
    "cells": ("cells.demonstration", {"seeds": 4, "trials": 12, "images": 60}, 16),
    "task-similarity": ("task_similarity.demonstration", {"images": 90, "cells": 3}, 13),
}
IMAGES = {"lpt": 400}  # for more than a batch in each of its parts


def intervals(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in a JSON that has a lower and an upper bound."""
    if isinstance(value, dict):
        if {"low", "high"} <= set(value):
            yield value
        for each in value.values():
            yield from intervals(each)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORTER)
def test_a_short_run_shows_every_part(
    name: str, tables: str, shared: Path, few_probed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, smaller, verdicts = SHORTER[name]
    there = import_module(f"metad2a.reproduce.{module}")
    monkeypatch.setattr(there, "FAST", replace(there.FAST, **smaller))
    if hasattr(there, "load_task"):
        monkeypatch.setattr(there, "load_task", partial(there.load_task, max_images=IMAGES.get(name, 120)))
    context = Context(fast=True, database=tables, images=shared / "images", workers=1, say=lambda line: None)
    report = find_demonstration(name).report(context)
    assert len(report.verdicts) == verdicts and report.short
    words = [row[0] for table in report.tables for row in table.rows]
    assert any("control" in each for each in words) and any("random" in each for each in map(str.lower, _told(report)))
    assert {"report.json", "tables.md", "figure.png"} <= set(write_report(report, tmp_path))
    found = list(intervals(json.loads((tmp_path / "report.json").read_text())["figures"]))
    assert found and all(each["seeds"] >= 1 for each in found if name != "cells")  # over sets of operations there
    failed = [each for each in report.verdicts if outcome(each, report) == FAILS]
    assert not any(each.open for each in failed)


def _told(report: Any) -> list[str]:
    """Titles and first cells of the tables."""
    return [text for table in report.tables for text in (table.title, *(row[0] for row in table.rows))]
