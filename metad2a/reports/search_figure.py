"""What a search found, training by training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metad2a.reports.figure import BLUE, VERMILION, new_figure, quiet_axes, say_empty
from metad2a.reports.words import span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 30  # trainings that are drawn: the best ones of more


def search_figure(
    names: Sequence[str], accuracies: Sequence[float], seconds: Sequence[float], fates: Sequence[str]
) -> Figure:
    """Each training in its order: validation accuracy in percent, and the seconds that it took; the best in colour.

    ``fates`` tell in a word what did not go to its end, as "cut", and are empty for the others. Such a training is
    drawn hollow, and is never the best where another went to its end.
    """
    best_first = sorted(range(len(names)), key=lambda place: -accuracies[place])
    winner = min(best_first, key=lambda place: bool(fates[place]), default=0)  # the first of equals
    places = sorted({*best_first[:MOST], winner}) if names else []
    figure = new_figure(8, 1.6 + 0.25 * max(3, len(places)))
    axes = figure.subplots()
    quiet_axes(axes, "What the search found", "validation accuracy (%), and the time of training", "", pad=10)
    if not places:
        say_empty(axes, "no training was measured")
        return figure
    rows, found = range(len(places)), [accuracies[place] for place in places]
    edges = [VERMILION if place == winner else BLUE for place in places]
    faces = ["white" if fates[place] else edge for place, edge in zip(places, edges, strict=True)]
    axes.scatter(found, rows, color=faces, edgecolors=edges, zorder=3)
    for row, place in zip(rows, places, strict=True):
        told = ", ".join(filter(None, (span(seconds[place]), fates[place])))
        axes.annotate(told, (accuracies[place], row), (8, -3), textcoords="offset points", fontsize=8)
    axes.set_yticks(rows, [names[place] for place in places])
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.margins(x=0.12)
    return figure
