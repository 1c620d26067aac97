"""Figures of curves with their bands: one colour a name in all panels, the legend beside the drawing, never on it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from metad2a.reports.cell_svg import INK, one_line
from metad2a.reports.figure import BLUE, VERMILION, new_figure, quiet_axes, save, say_empty

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

    from metad2a.reports.report import Curve, Panel

COLOURS = (BLUE, VERMILION, "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#6A3D9A", "#8C564B")  # after Okabe and Ito
COLUMNS = {0: 1, 1: 1, 2: 2, 4: 2}  # of so many panels; else 3
LINES, MARKERS = ("-", "--", ":"), ("o", "s", "^", "D", "v", "P", "X", "*")
FEW_POINTS = 12  # of a curve, which are marked
LEGEND_COLUMNS = {1: 3, 2: 5, 3: 7}  # of the figure's legend, by its columns of panels
TICKS = 6  # on a logarithmic axis
LETTERS = 9.5  # of a title, an inch


@dataclass(frozen=True)
class Appearance:
    """How a name is drawn."""

    colour: str
    line: str
    marker: str


def panels(drawn: Sequence[Panel], path: Path, *, title: str = "") -> Figure:
    """Writes panels of curves with their bands, at most three side by side; the suffix is the format.

    A name looks the same in every panel. Where the panels share their names there is one legend below all of them,
    else each panel has its own below it.
    """
    columns = COLUMNS.get(len(drawn), 3)
    rows = -(-len(drawn) // columns) or 1
    figure = new_figure(8.0 if columns == 1 else 5.4 * columns, 4.9 * rows)
    all_axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    appearances, shared = _appearances(drawn), _shared(drawn)
    for axes, panel in zip(all_axes, drawn, strict=False):
        _draw_panel(axes, panel, appearances)
        if not shared:
            _own_legend(axes)
    for axes in all_axes[len(drawn) :]:
        axes.set_axis_off()
    if shared:
        _one_legend(figure, all_axes, most=LEGEND_COLUMNS[columns])
    if title:
        width = int(LETTERS * figure.get_figwidth())
        told = "\n".join(textwrap.fill(each, width) for each in (one_line(title, 240), *_bands(drawn)))
        figure.suptitle(told, x=0.012, horizontalalignment="left", fontweight="bold", color=INK)
    save(figure, path)
    return figure


def _bands(drawn: Sequence[Panel]) -> list[str]:
    """A line on what lines and their bands are, where there are bands."""
    curves = [each for panel in drawn for each in panel.curves]
    told = dict.fromkeys(each.told for each in curves if each.told and each.low != each.high)
    return [f"Lines and bands: {'; '.join(told)}"] if told else []


def _names(panel: Panel) -> list[str]:
    return [each.label for each in panel.curves]


def _appearances(drawn: Sequence[Panel]) -> dict[str, Appearance]:
    """An appearance for each name, in the order in which they first occur."""
    names = dict.fromkeys(name for panel in drawn for name in _names(panel))
    return {
        name: Appearance(
            COLOURS[i % len(COLOURS)], LINES[i // len(COLOURS) % len(LINES)], MARKERS[i % len(MARKERS)]
        )
        for i, name in enumerate(names)
    }  # fmt: skip


def _shared(drawn: Sequence[Panel]) -> bool:
    """Whether one panel has all the names."""
    sets = [set(_names(panel)) for panel in drawn]
    return len(drawn) == 1 or set().union(*sets) in sets


def _own_legend(axes: Axes) -> None:
    def make(columns: int) -> Legend:
        return axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=columns)

    if axes.get_legend_handles_labels()[0]:
        _fitting(make, 2, axes.get_window_extent().width)


def _one_legend(figure: Figure, all_axes: Sequence[Axes], *, most: int) -> None:
    found = {
        name: handle
        for axes in all_axes
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }  # fmt: skip

    def make(columns: int) -> Legend:
        equal = -(-len(found) // -(-len(found) // columns))  # rows of equal length
        return figure.legend(
            found.values(), found.keys(), loc="outside lower center", ncols=equal, frameon=False, fontsize=9
        )

    if found:
        _fitting(make, most, figure.bbox.width)


def _fitting(make: Callable[[int], Legend], most: int, width: float) -> None:
    """Leaves the legend of at most so many columns that is no wider than what it belongs to."""
    for columns in range(most, 0, -1):
        made = make(columns)
        if columns == 1 or made.get_window_extent().width <= width:
            return
        made.remove()


def _draw_panel(axes: Axes, panel: Panel, appearances: Mapping[str, Appearance]) -> None:
    quiet_axes(axes, panel.title, panel.x_label, panel.y_label, pad=10)
    curves = [kept for each in panel.curves if (kept := _known(each)) is not None]
    if not curves:
        return say_empty(axes, "nothing was measured")
    for each in curves:
        _draw_curve(axes, each, appearances[each.label], panel)
    if (
        math.isfinite(panel.least)
        and math.isfinite(panel.most)
        and len({y for each in curves for y in each.middle}) == 1
    ):
        margin = 0.04 * (panel.most - panel.least)
        axes.set_ylim(panel.least - margin, panel.most + margin)  # of one value alone there is no range
    _scales(axes, panel, curves)


def _draw_curve(axes: Axes, curve: Curve, appearance: Appearance, panel: Panel) -> None:
    low, high = np.clip([curve.low, curve.high], panel.least, panel.most)
    if panel.joined and len(curve.x) > 1:
        axes.fill_between(curve.x, low, high, color=appearance.colour, alpha=0.13, linewidth=0)
    else:
        axes.vlines(curve.x, low, high, color=appearance.colour, alpha=0.4, linewidth=3)
    axes.plot(
        curve.x,
        curve.middle,
        linestyle=appearance.line if panel.joined else "none",
        color=appearance.colour,
        linewidth=1.8,
        marker=appearance.marker if len(curve.x) <= FEW_POINTS or not panel.joined else "",
        markersize=4.5,
        markerfacecolor=appearance.colour if panel.joined else "none",  # what lies below stays visible
        label=curve.label,
    )


def _known(curve: Curve) -> Curve | None:
    """The curve at the places where it is known, None where that is nowhere."""
    from metad2a.reports.report import Curve

    rows = [row for row in zip(curve.x, curve.middle, curve.low, curve.high, strict=True) if math.isfinite(row[1])]
    if not rows:
        return None
    x, middle, low, high = (tuple(column) for column in zip(*rows, strict=True))
    return Curve(curve.label, x, middle, low, high)


def _scales(axes: Axes, panel: Panel, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    if panel.log_x:
        axes.set_xscale("log")
        low, high = min(min(each.x) for each in curves), max(max(each.x) for each in curves)
        steps = (1.0, 2.0, 5.0) if math.log10(max(high / low, 1.1)) < TICKS / 3 else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif len(places := {x for each in curves for x in each.x}) == 1:
        axes.set_xticks([*places])  # around a single place there is no scale
    elif all(x.is_integer() for x in places):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if panel.log_y:
        axes.set_yscale("symlog", linthresh=0.1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
