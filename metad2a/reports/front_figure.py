"""The accuracy-latency front of an answer: what the best cell of each speed is expected to reach on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metad2a.reports.cell_svg import INK
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from metad2a.recommend.recommendation import Candidate, Recommendation

MOST_NUMBERED = 5


def front_figure(recommendation: Recommendation, path: Path) -> Figure:
    """Writes the front with 80% intervals of both, and the first five candidates by number; suffix is the format.

    Where the level is not known, scores are drawn instead of accuracies: they order and do not measure.
    """
    figure = new_figure(8.2, 5)
    axes = figure.subplots()
    name = recommendation.device.name if recommendation.device else "no device"
    shown = (*recommendation.front, *recommendation.candidates)
    known = all(each.expected_accuracy is not None for each in shown)
    network = "" if recommendation.device is None else f", networks of {recommendation.device.network}"
    quiet_axes(axes, f"Accuracy and latency on {name}", f"predicted milliseconds{network}", quality_name(known))
    if recommendation.front:
        _draw_front(axes, recommendation.front, known)
        _draw_numbered(axes, recommendation.candidates[:MOST_NUMBERED], known, recommendation.prefer)
        axes.legend(loc="lower right", frameon=False, fontsize=9)
    else:
        say_empty(axes, "no candidate")
    headline(figure, f"Recommended networks for the recipe “{recommendation.recipe}”")
    save(figure, path)
    return figure


def _draw_front(axes: Axes, front: Sequence[Candidate], known: bool) -> None:
    """A line through the front, a band of its accuracy intervals, a bar for each latency interval."""
    x, y = [each.latency_ms or 0.0 for each in front], [quality(each, known) for each in front]
    if known:
        low, high = zip(*(each.interval or (quality(each, known),) * 2 for each in front), strict=True)
        axes.fill_between(x, low, high, color=BLUE, alpha=0.12, linewidth=0, label="80% interval of the accuracy")
    bars = [each.latency_interval_ms or (at, at) for at, each in zip(x, front, strict=True)]
    axes.hlines(y, *zip(*bars, strict=True), color=PALE, linewidth=1, label="80% interval of the latency")
    axes.plot(x, y, "o-", color=BLUE, linewidth=1.6, markersize=4, label=f"front: {len(front)} cells")


def _draw_numbered(axes: Axes, first: Sequence[Candidate], known: bool, prefer: str) -> None:
    for i, each in enumerate(first):
        colour = VERMILION if i == 0 else INK
        at = (each.latency_ms or 0.0, quality(each, known))
        label = f"first by {prefer}" if i == 0 else None
        axes.plot(*at, "o", color=colour, markersize=7 if i == 0 else 4, zorder=3, label=label)
        axes.annotate(
            str(i + 1), at, xytext=(5, -11), textcoords="offset points", fontsize=9, fontweight="bold", color=colour
        )
