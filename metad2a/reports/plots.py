"""Pictures of an answer: an SVG for each cell, a figure of the candidates; and its files.

Figures are made without pyplot: no global state, so threads of the service may draw at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from databases.architectures.space import image_space
from metad2a.reports.cell_svg import INK, MUTED, cell_svg, one_line
from metad2a.reports.figure import (
    BLUE,
    PALE,
    VERMILION,
    headline,
    new_figure,
    quality,
    quality_name,
    quiet_axes,
    save,
    say_empty,
)
from metad2a.reports.front_figure import front_figure
from metad2a.reports.words import short
from metad2a.runtime.files import ours, write_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from metad2a.recommend.recommendation import Candidate, Recommendation

__all__ = ["cell_svg", "overview", "write_recommendation"]

MOST_CELLS, MOST_NUMBERED, MOST_NEAREST = 100, 5, 8
NEAR = 0.05  # of the span: labels of candidates at less than this would overlap


def write_recommendation(recommendation: Recommendation, folder: Path) -> list[str]:
    """Writes recommendation.json, cell-1.svg ... (at most 100), overview.svg, .png; for a device front.svg, .png.

    Returns the names. Everything is drawn beside the folder's files and then moved in; an earlier answer is replaced as
    a whole.

    Raises:
        UserError: the folder is a file or cannot be written; it is then left as it was.
    """
    names = write_folder(folder, lambda beside: _write_all(recommendation, beside))
    _remove_earlier(names, folder)
    return names


def _write_all(recommendation: Recommendation, folder: Path) -> list[str]:
    """Writes every file; returns the names, the JSON last."""
    names = []
    for rank, candidate in enumerate(recommendation.candidates[:MOST_CELLS], start=1):
        names.append(f"cell-{rank}.svg")
        title = f"{rank}. {_expectation(candidate, recommendation.recipe)}"
        (folder / names[-1]).write_text(cell_svg(candidate.architecture, title), encoding="utf-8")
    figure = overview(recommendation, folder / "overview.svg")
    save(figure, folder / "overview.png")
    if recommendation.device is not None:
        save(front_figure(recommendation, folder / "front.svg"), folder / "front.png")
        names += ["front.svg", "front.png"]
    text = json.dumps(recommendation.to_json(), indent=2, allow_nan=False) + "\n"
    (folder / "recommendation.json").write_text(text, encoding="utf-8")
    return [*names, "overview.svg", "overview.png", "recommendation.json"]


def _remove_earlier(names: Sequence[str], folder: Path) -> None:
    """Removes the cells of an earlier, longer answer, and the front of one for a device."""
    for name in ours(folder) - set(names):
        if re.fullmatch(r"cell-\d+\.svg|front\.(svg|png)", name):
            (folder / name).unlink()


def _expectation(candidate: Candidate, recipe: str) -> str:
    size = f"{short(candidate.parameters)} parameters, recipe {recipe}"
    if candidate.expected_accuracy is None:
        return size
    interval = "" if candidate.interval is None else " (80%: {:.1f} to {:.1f})".format(*candidate.interval)
    return f"{candidate.expected_accuracy:.1f}%{interval} expected, {size}"


def overview(recommendation: Recommendation, path: Path) -> Figure:
    """Writes accuracy (or score) against parameters, and the nearest datasets; the suffix is the format.

    The first five candidates are numbered; beside them stands what each lacks of the first, with its 80% interval:
    intervals of their levels would overlap, since most of what is not known is the same for all. Where the level is not
    known for every candidate, the scores are drawn instead: they order and do not measure.
    """
    figure = new_figure(15, 4.8)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.5, 1.2, 1))
    _draw_candidates(left, recommendation.candidates)
    _draw_differences(middle, recommendation.candidates[:MOST_NUMBERED])
    _draw_nearest(right, recommendation)
    headline(figure, f"Recommended networks for the recipe “{recommendation.recipe}”")
    save(figure, path)
    return figure


def _draw_candidates(axes: Axes, candidates: Sequence[Candidate]) -> None:
    from matplotlib.ticker import MaxNLocator

    known = all(each.expected_accuracy is not None for each in candidates)
    quiet_axes(axes, "Candidates", "trainable parameters", quality_name(known))
    axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    first, others = candidates[:MOST_NUMBERED], candidates[MOST_NUMBERED:]
    if not first:
        return say_empty(axes, "no candidate")
    sizes = [each.parameters for each in candidates]
    span = max(max(sizes) - min(sizes), 0.2 * max(sizes))
    middle = (max(sizes) + min(sizes)) / 2
    axes.set_xlim(middle - 0.57 * span, middle + 0.57 * span)
    if others:
        axes.plot(
            [each.parameters for each in others],
            [quality(each, known) for each in others],
            "o",
            color=PALE,
            markersize=5 if len(others) < 200 else 3,
            markeredgewidth=0,
            alpha=0.6,
            rasterized=len(others) > 1000,
            label=f"{len(others):,} other candidates",
        )
    _draw_first(axes, first, known)


def _draw_first(axes: Axes, first: Sequence[Candidate], known: bool) -> None:
    """The numbered candidates where they are; those so near each other that labels would overlap share one."""
    at = [(float(each.parameters), quality(each, known)) for each in first]
    wide, high = ((max(each) - min(each)) or 1.0 for each in zip(*at, strict=True))
    labels: dict[tuple[float, float], list[int]] = {}
    for rank, (x, y) in enumerate(at, start=1):
        near = (each for each in labels if abs(x - each[0]) < NEAR * wide and abs(y - each[1]) < NEAR * high)
        labels.setdefault(next(near, (x, y)), []).append(rank)
    for rank in range(len(at), 0, -1):  # the first on top
        colour, name = (VERMILION, "first") if rank == 1 else (BLUE, f"next {len(at) - 1}" if rank == 2 else None)
        axes.plot(*at[rank - 1], "o", color=colour, markersize=6.5, markeredgecolor="white", label=name)
    for place, ranks in labels.items():
        axes.annotate(
            ", ".join(map(str, ranks)),
            place,
            xytext=(7, -3),
            textcoords="offset points",
            fontsize=9,
            fontweight="bold",
            color=VERMILION if 1 in ranks else BLUE,
        )
    axes.margins(y=0.1)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=3, frameon=False, fontsize=9, handlelength=1)


def _draw_differences(axes: Axes, first: Sequence[Candidate]) -> None:
    """What each of the first candidates is expected to lack of the very first, the first on top."""
    from matplotlib.ticker import MaxNLocator

    quiet_axes(axes, "Behind the first", "points of accuracy that each lacks of #1, 80% interval", "")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if not first or any(each.behind is None for each in first):
        return say_empty(axes, "not known for this recipe")
    axes.axvline(0, color=MUTED, linewidth=1)
    for row, each in enumerate(first):
        mean, low, high = each.behind or (0.0, 0.0, 0.0)
        colour = VERMILION if row == 0 else BLUE
        axes.plot([low, high], [row, row], color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot(mean, row, "o", color=colour, markersize=6.5, markeredgecolor="white")
    briefs = (image_space(each.architecture.space).brief(each.architecture) for each in first)
    axes.set_yticks(range(len(first)), [f"{i}  {one_line(each, 30)}" for i, each in enumerate(briefs, start=1)])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(first), 4) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def _draw_nearest(axes: Axes, recommendation: Recommendation) -> None:
    """Horizontal bars of distance, the nearest on top."""
    nearest = sorted(recommendation.nearest, key=lambda each: each.distance)[:MOST_NEAREST]
    quiet_axes(axes, "Nearest known datasets", "distance", "")
    axes.grid(False)
    names = [one_line(each.name, 28) for each in nearest]
    rows = range(len(nearest))
    bars = axes.barh(
        rows,
        [each.distance for each in nearest],
        height=0.6,
        color=VERMILION if recommendation.unlike else BLUE,
        alpha=0.8,
    )
    axes.bar_label(bars, fmt="%.3g", padding=4, fontsize=9, color=INK)
    axes.set_yticks(rows, names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(nearest), 4) - 0.5, -0.5)
    axes.set_xlim(0, 1.18 * max((each.distance for each in nearest), default=1.0) or 1.0)
    if recommendation.unlike:
        warning = "unlike all known data: take the figures with care"
        axes.text(0, 1.03, warning, transform=axes.transAxes, fontsize=9, color=VERMILION)
    if not nearest:
        say_empty(axes, "none known")
