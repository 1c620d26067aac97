"""Whether found cells are wider than random ones: of the searches in the table, and of those on shared weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from databases.architectures.space import Architecture
from metad2a.reports.report import Table, Verdict, judged, not_refuted, with_interval
from metad2a.reproduce.cells.table import FoundShapes, every_cell, shapes_of, wider

DRAWN = 200  # random cells of the control
RANDOM = "random cells (control)"
TITLE = "Cells that searches find: mean width and depth; wider than the mean cell, and than those of its operations"
Gains = dict[str, dict[str, float]]  # searcher -> a mean with its interval


@dataclass(frozen=True)
class Shown:
    """What a report tells of the shapes of the cells that were found."""

    table: Table
    verdicts: tuple[Verdict, ...]
    figures: dict[str, Any]


def shown(
    found: Mapping[str, Sequence[Architecture]], *, asked: Sequence[str] = (), seed: int, title: str = TITLE
) -> Shown:
    """Of every searcher's cells of NAS-Bench-201, one a seed, beside random ones; verdicts of those ``asked`` for."""
    cells = every_cell()
    drawn = np.random.default_rng(seed).integers(len(cells.architectures), size=DRAWN)
    every = {**found, RANDOM: [cells.architectures[i] for i in drawn]}
    shapes = {label: shapes_of(each, cells) for label, each in every.items()}
    all_cells, kind = wider(shapes, float(cells.width.mean())), wider(shapes)
    told = {
        label: {"width": each.width, "depth": each.depth, "wider": all_cells[label], "than its kind": kind[label]}
        for label, each in shapes.items()
    }
    verdicts = (
        *verdicts_of(asked, all_cells, kind),
        not_refuted("random cells are not", "interval not above 0", all_cells[RANDOM], above=0),
    )
    return Shown(table_of(shapes, all_cells, kind, title=title), verdicts if asked else (), told)


def table_of(shapes: Mapping[str, FoundShapes], all_cells: Gains, kind: Gains, *, title: str = TITLE) -> Table:
    """Searchers in rows."""
    rows = tuple(
        (
            label,
            f"{each.width.mean():.2f}",
            f"{each.depth.mean():.2f}",
            with_interval(all_cells[label]),
            with_interval(kind[label]),
        )
        for label, each in shapes.items()
    )
    return Table(title, ("Searcher", ">Width", ">Depth", ">than all [95%]", ">than its kind [95%]"), rows)


def verdicts_of(finders: Sequence[str], all_cells: Gains, kind: Gains) -> list[Verdict]:
    """That their cells are wider than the mean cell, and than those of the same operations."""
    return [
        *(_above(f"{label} finds cells wider than random ones", all_cells[label]) for label in finders),
        *(_above(f"{label}: wider than those of the same operations", kind[label]) for label in finders),
    ]


def _above(claim: str, found: Mapping[str, float]) -> Verdict:
    return judged(claim, "interval above 0", found, above=0, learnt=True)
