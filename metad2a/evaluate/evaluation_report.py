"""What `metad2a evaluate` prints, writes and draws: the tables of the model card, every task, curves."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from metad2a.evaluate.model_card import tables
from metad2a.evaluate.own_figures import CEILING, OURS, WITHOUT, OwnFigures, TaskFigures
from metad2a.reports.publish import aligned, markdown_table
from metad2a.reports.report import Curve, Panel, jsonable
from metad2a.runtime.files import write_folder

WIDTH = 120  # of the text between the tables
DRAWN = (OURS, "best on average", "nearest task's", WITHOUT, "parameters")  # on the own tasks


def report(figures: dict[str, Any]) -> str:
    """The figures as Markdown that reads well in a terminal: the tables of the model card, then every own task."""
    title = "# Evaluation, fast mode: not all figures" if figures["fast"] else "# Evaluation"
    head = [title, "", f"Weights {figures['weights']}..., {figures['date']}.", ""]
    return "\n".join(_laid_out([*head, *tables(figures), "", *_every_task(_tasks(figures))])) + "\n"


def _tasks(figures: dict[str, Any]) -> tuple[TaskFigures, ...]:
    return OwnFigures.from_json(figures["own tasks"]).tasks


def write(figures: dict[str, Any], folder: Path) -> list[str]:
    """Writes ``evaluation.json``, with every opening of the held-back data so far, ``.md``, ``.png`` and ``.svg``.

    The figures of the fast mode get files of their own, ``evaluation-fast``, so that they never stand in the place of
    all. The earlier files are replaced by all of the new ones or stay. Returns the names.

    Raises:
        UserError: the folder is a file or cannot be written.
    """
    stem = "evaluation-fast" if figures["fast"] else "evaluation"
    path = folder / f"{stem}.json"
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    figures["openings"] = list(earlier.get("openings", []))
    if "final" in figures:
        opened = {"date": figures["date"], "weights": figures["weights"]}
        figures["openings"].append({**opened, "tau": figures["final"]["tau ours"]["median"]})
    return write_folder(folder, _writer(figures, stem))


def _writer(figures: dict[str, Any], stem: str) -> Callable[[Path], list[str]]:
    def fill(folder: Path) -> list[str]:
        from metad2a.reports.panels import panels

        mode = ", fast mode" if figures["fast"] else ""
        for name in (f"{stem}.png", f"{stem}.svg"):
            panels(panels_of(figures), folder / name, title=f"Evaluation of weights {figures['weights']}...{mode}")
        (folder / f"{stem}.md").write_text(report(figures), encoding="utf-8")
        text = json.dumps(jsonable(figures), indent=1, allow_nan=False)
        (folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
        return [f"{stem}.{suffix}" for suffix in ("md", "png", "svg", "json")]

    return fill


def panels_of(figures: dict[str, Any]) -> list[Panel]:
    """Order, regret and ceiling on held-out own tasks; where CIFAR-10 was opened, what measured cells add there."""
    tasks = _tasks(figures)
    share = f"% of the {len(tasks)} held-out own tasks, each curve from its worst"
    order = _sorted([each.tau for each in tasks], falling=False)
    regrets = _sorted([each.first_pick for each in tasks], falling=True)
    found = [
        Panel("Order of a task's cells", share, "Kendall tau", order),
        Panel("Regret of the first pick", share, "accuracy points", regrets, log_y=True),
        _under_the_ceiling(tasks),
    ]
    return found + _few(figures.get("final", {}).get("few measurements"))


def _sorted(tasks: list[dict[str, float]], *, falling: bool) -> tuple[Curve, ...]:
    """One curve a ranking over all tasks, sorted by itself."""
    curves = []
    for name in DRAWN:
        values = sorted((task[name] for task in tasks if _known(task[name], 3)), reverse=falling)
        curves.append(_line(name, [100 * (place + 0.5) / len(values) for place in range(len(values))], values))
    return tuple(curves)


def _under_the_ceiling(tasks: Sequence[TaskFigures]) -> Panel:
    """Tau on each task whose noise ceiling is known, in the ceiling's order."""
    known = sorted((each for each in tasks if _known(each.ceiling, 3)), key=lambda each: each.ceiling)
    names = {OURS: OURS, "best on average": "best on average", CEILING: "one seed against another (noise ceiling)"}
    places = range(1, len(known) + 1)
    curves = [_line(label, places, [each.taus[name] for each in known]) for name, label in names.items()]
    title = "Order of the cells' means, and noise"
    return Panel(title, "tasks of several seeds, by ceiling", "Kendall tau", tuple(curves) if known else ())


def _few(found: dict[str, Any] | None) -> list[Panel]:
    """Tau on CIFAR-10 against measured cells: one curve a family of models, its band the range of the draws."""
    from metad2a.evaluate.few_measurements import GRAPH, OPERATIONS, OURS, SEED_AGAINST_SEED

    if found is None:
        return []
    counts = sorted(found, key=int)
    processes = (OURS, OPERATIONS, GRAPH)
    others = (OURS, *(name for name in found[counts[-1]] if name not in processes))
    ours, rivals = (tuple(_measured(found, counts, name) for name in names) for names in (processes, others))
    ceiling = _line("noise ceiling (on CIFAR-100)", (float(counts[0]), float(counts[-1])), [SEED_AGAINST_SEED] * 2)
    label = "random cells measured (band: range of draws)"
    return [
        Panel("CIFAR-10: processes", label, "Kendall tau", ours),
        Panel("CIFAR-10: other families", label, "Kendall tau", (*rivals, ceiling)),
    ]


def _measured(found: dict[str, Any], counts: Sequence[str], name: str) -> Curve:
    """A family's mean tau, and the lowest and highest, where that many cells were measured for it."""
    there = [(float(count), found[count][name]) for count in counts if name in found[count]]
    low, high = (tuple(float(each["range"][end]) for _, each in there) for end in (0, 1))
    return replace(_line(name, [n for n, _ in there], [each["tau"] for _, each in there]), low=low, high=high)


def _line(label: str, x: Iterable[float], y: Iterable[float]) -> Curve:
    """A curve without a band."""
    values = tuple(map(float, y))
    return Curve(label, tuple(map(float, x)), values, values, values)


def _every_task(tasks: Sequence[TaskFigures]) -> Iterator[str]:
    yield (
        "Every held-out own task. Spread and noise are standard deviations in points: between its cells (sensible "
        "ones, with a convolution; no other is measured) and between seeds of one cell. The noise ceiling is tau of "
        "one seed against another; seeds: of the cell with the fewest. Blank where every cell was trained once."
    )
    yield ""
    heads = ("task", "source", "cells", "seeds", "tau, ours", "spread", "noise", "noise ceiling")
    rows = [
        (
            *(each.task, each.source, each.cells, each.seeds, _known(each.tau[OURS], 3)),
            *(_known(each.spread, 2), _known(each.noise, 2), _known(each.ceiling, 3)),
        )
        for each in tasks
    ]
    yield from markdown_table(heads, rows)


def _known(value: float | None, digits: int) -> str:
    return "" if value is None or value != value else f"{value:.{digits}f}"


def _laid_out(lines: Iterable[str]) -> Iterator[str]:
    """The columns of tables padded to one width, other lines folded."""
    for is_table, block in groupby(lines, key=lambda line: line.startswith("|")):
        if is_table:
            yield from aligned(block)
        else:
            for line in block:
                yield from textwrap.wrap(line, WIDTH, break_on_hyphens=False) or [""]
