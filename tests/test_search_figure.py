"""The figure of a search."""

from __future__ import annotations

import numpy as np

from metad2a.reports.figure import VERMILION
from metad2a.reports.search_figure import MOST, search_figure


def test_the_best_trainings_are_named_in_their_order_and_the_winner_is_in_colour() -> None:
    names, accuracies = [f"network {number}" for number in range(40)], [50.0 + (7 * n) % 40 for n in range(40)]
    axes = search_figure(names, accuracies, [1.0] * 40, [""] * 40).axes[0]
    written = [label.get_text() for label in axes.get_yticklabels()]
    kept = sorted(np.argsort(accuracies)[-MOST:].tolist())
    assert written == [names[place] for place in kept]
    colours = axes.collections[0].get_facecolor()
    coloured = [place for place, colour in zip(kept, np.asarray(colours), strict=True) if colour[0] > 0.5]
    assert coloured == [accuracies.index(max(accuracies))] and VERMILION.startswith("#D")


def test_a_search_without_a_measurement_says_so() -> None:
    assert [text.get_text() for text in search_figure([], [], [], []).axes[0].texts] == ["no training was measured"]


def test_a_training_that_was_given_up_is_drawn_hollow_and_is_never_the_best() -> None:
    fates = ["", "given up", "cut", ""]
    axes = search_figure(list("abcd"), [70.0, 90.0, 80.0, 71.0], [1.0] * 4, fates).axes[0]
    faces, edges = (
        np.asarray(found) for found in (axes.collections[0].get_facecolor(), axes.collections[0].get_edgecolor())
    )
    assert [face[:3].tolist() == [1, 1, 1] for face in faces] == [False, True, True, False]
    assert [edge[0] > 0.5 for edge in edges] == [False, False, False, True]
    assert [text.get_text() for text in axes.texts] == ["1.0 s", "1.0 s, given up", "1.0 s, cut", "1.0 s"]
    low, high = sorted(axes.get_ylim())
    assert low < -0.5 and high > 3.5  # no point lies on the frame
    only = search_figure(["a"], [70.0], [1.0], ["cut"]).axes[0].collections[0]
    assert np.asarray(only.get_edgecolor())[0][0] > 0.5


def test_the_best_is_drawn_however_many_that_were_given_up_stand_above_it() -> None:
    number = MOST + 5
    accuracies, fates = [90.0] * number + [60.0], ["given up"] * number + [""]
    axes = search_figure([str(n) for n in range(number + 1)], accuracies, [1.0] * (number + 1), fates).axes[0]
    assert axes.get_yticklabels()[-1].get_text() == str(number)
