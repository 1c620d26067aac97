"""The figure of a search."""

from __future__ import annotations

import numpy as np

from metad2a.reports.figure import VERMILION
from metad2a.reports.search_figure import MOST, search_figure


def test_the_best_trainings_are_named_in_their_order_and_the_winner_is_in_colour() -> None:
    names, accuracies = [f"network {number}" for number in range(40)], [50.0 + (7 * n) % 40 for n in range(40)]
    axes = search_figure(names, accuracies, [1.0] * 40).axes[0]
    written = [label.get_text() for label in axes.get_yticklabels()]
    kept = sorted(np.argsort(accuracies)[-MOST:].tolist())
    assert written == [names[place] for place in kept]
    colours = axes.collections[0].get_facecolor()
    coloured = [place for place, colour in zip(kept, np.asarray(colours), strict=True) if colour[0] > 0.5]
    assert coloured == [accuracies.index(max(accuracies))] and VERMILION.startswith("#D")


def test_a_search_without_a_measurement_says_so() -> None:
    assert [text.get_text() for text in search_figure([], [], []).axes[0].texts] == ["no training was measured"]
