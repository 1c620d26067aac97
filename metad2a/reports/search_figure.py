"""What a search found, training by training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metad2a.reports.figure import BLUE, VERMILION, new_figure, plain, say_empty
from metad2a.reports.words import span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 30  # trainings that are drawn: the best ones of more


def search_figure(names: Sequence[str], accuracies: Sequence[float], seconds: Sequence[float]) -> Figure:
    """Each training in its order: validation accuracy in percent, and the seconds that it took; the best in colour."""
    places = sorted(sorted(range(len(names)), key=lambda place: -accuracies[place])[:MOST])
    figure = new_figure(8, 1.6 + 0.25 * max(3, len(places)))
    axes = figure.subplots()
    plain(axes, "What the search found", "validation accuracy (%), and the time of training", "", pad=10)
    if not places:
        say_empty(axes, "no training was measured")
        return figure
    winner = max(places, key=lambda place: accuracies[place])
    rows, found = range(len(places)), [accuracies[place] for place in places]
    axes.scatter(found, rows, color=[VERMILION if place == winner else BLUE for place in places], zorder=3)
    for row, place in zip(rows, places, strict=True):
        axes.annotate(span(seconds[place]), (accuracies[place], row), (8, -3), textcoords="offset points", fontsize=8)
    axes.set_yticks(rows, [names[place] for place in places])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    return figure
