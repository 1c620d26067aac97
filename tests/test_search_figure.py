"""The figure of a search."""

from __future__ import annotations

import numpy as np

from metad2a.reports.search_figure import search_figure


def test_the_best_so_far_never_falls_and_the_winner_is_named() -> None:
    names = [f"network {number}" for number in range(20)]
    accuracies = [50.0 + (7 * number) % 20 for number in range(20)]
    axes = search_figure(names, accuracies, [1.0] * 20).axes[0]
    (line,) = axes.lines
    ends, best = (np.asarray(values).tolist() for values in (line.get_xdata(), line.get_ydata()))
    assert best == sorted(best) and best[-1] == max(accuracies) and ends[-1] == 20
    written = {text.get_text() for text in axes.texts}
    assert names[accuracies.index(max(accuracies))] in written and len(written) <= 13


def test_a_search_without_a_measurement_says_so() -> None:
    assert [text.get_text() for text in search_figure([], [], []).axes[0].texts] == ["no training was measured"]
