"""What a search found, over the seconds that it trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from metad2a.reports.figure import BLUE, PALE, VERMILION, new_figure, plain, say_empty

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 12  # trainings that have their name beside them


def search_figure(names: Sequence[str], accuracies: Sequence[float], seconds: Sequence[float]) -> Figure:
    """Each training in order: its validation accuracy in percent where it ended, and the best so far as a line."""
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    plain(axes, "What the search found", "seconds of training, all trainings together", "validation accuracy (%)")
    if not names:
        say_empty(axes, "no training was measured")
        return figure
    ends, best = list(accumulate(seconds)), list(accumulate(accuracies, max))
    axes.step([0.0, *ends], [best[0], *best], where="post", color=PALE, linewidth=2)
    winner = max(range(len(names)), key=lambda place: accuracies[place])
    axes.scatter(ends, accuracies, color=[VERMILION if i == winner else BLUE for i in range(len(names))], zorder=3)
    for place in sorted({winner, *range(min(NAMED, len(names)))}):
        late = ends[place] > 0.6 * ends[-1]
        axes.annotate(
            names[place],
            (ends[place], accuracies[place]),
            xytext=(-6 if late else 6, 5 if place % 2 else -12),
            textcoords="offset points",
            fontsize=7,
            ha="right" if late else "left",
        )
    return figure
