"""The front of accuracy against latency: its knee, what is as good, how that is told and drawn."""

from __future__ import annotations

import numpy as np
import pytest

from databases.architectures.spaces.pipeline import Pipeline
from metad2a.cli.pipeline import _of_the_small
from metad2a.recommend.front import as_good, front
from metad2a.recommend.pipelines import Choice, PipelineRecommendation, _knee
from metad2a.reports.pipeline_figures import front_figure


def made(*points: tuple[float, float]) -> PipelineRecommendation:
    """An answer of choices with such milliseconds and accuracies."""
    fastest_first = [
        Choice(pipeline, 10**6, 10**6, latency, accuracy, (accuracy - 5, accuracy + 5), 60, False)
        for (latency, accuracy), pipeline in zip(points, PIPELINES, strict=False)
    ]
    choices = tuple(sorted(fastest_first, key=lambda each: -each.expected_accuracy))
    best_of_each = front(choices, cost=lambda each: each.latency_ms, quality=lambda each: each.expected_accuracy)
    equal = as_good(choices, cost=lambda each: each.latency_ms, quality=lambda each: each.expected_accuracy)
    return PipelineRecommendation(choices, best_of_each, _knee(best_of_each), equal, 60, "why", 0, "data", "0")


PIPELINES = [Pipeline("own", side, "all", rate) for side in (32, 48) for rate in (0.03, 0.1)]


@pytest.mark.parametrize(
    ("points", "knee"),
    [
        ([(1, 80)], 1),
        ([(1, 30), (10, 80)], 10),  # of two alone the fast one is none where it is far behind
        ([(1, 79.8), (10, 80)], 1),
        ([(1, 30), (2, 79), (100, 80)], 2),
        ([(1, 30), (50, 31), (100, 80)], 100),  # what lies between is below the line
    ],
)
def test_the_knee_is_never_far_behind_for_no_other_reason_than_that_it_is_fast(
    points: list[tuple[float, float]], knee: float
) -> None:
    assert made(*points).knee.latency_ms == knee


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([(1, 79.8), (10, 80)], "The small one is as good: own 32px all rate0.03 whole takes 90% less time an image"),
        ([(1, 80), (10, 79)], "The small one is the best"),
        ([(1, 70), (10, 80)], ""),
        ([(1, 80)], ""),
    ],
)
def test_whether_the_small_one_is_as_good_is_told(points: list[tuple[float, float]], told: str) -> None:
    found = _of_the_small(made(*points))
    assert found.startswith(told) and bool(found) == bool(told)


@pytest.mark.parametrize("points", [[(1, 80), (10, 79)], [(1, 79.8), (10, 80)], [(1, 30), (2, 79), (100, 80)]])
def test_best_knee_and_what_is_as_good_are_all_seen_where_they_are_one(points: list[tuple[float, float]]) -> None:
    answer = made(*points)
    axes = front_figure(answer).axes[0]
    marked = {str(line.get_label()).partition(":")[0]: line for line in axes.lines if ": own" in str(line.get_label())}
    assert [float(np.asarray(line.get_xdata())[0]) for line in marked.values()] == [
        each.latency_ms for each in (answer.best, answer.knee, answer.equal)
    ]
    sizes, fills = zip(*((line.get_markersize(), line.get_fillstyle()) for line in marked.values()), strict=True)
    assert list(sizes) == sorted(set(sizes)) and fills == ("full", "none", "none")
