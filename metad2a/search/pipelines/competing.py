"""Which fine-tunings compete in the seconds that there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from databases.architectures.spaces.pipeline import Pipeline
from metad2a.recommend.chances import (
    FAST_RATE,
    GENTLE_RATE,
    USUAL_RATE,
    Chance,
    MeasuredProbe,
    chances,
    outcomes,
    told_by_probes,
)
from metad2a.recommend.front import EQUAL
from metad2a.recommend.pipeline_cost import Allowed
from predictors.outcome import OutcomeModel

LEAST_TUNING, LEAST_AGAIN = 3.0, 3.0  # seconds below which no fine-tuning is begun, and none goes on
TESTING = 0.25  # of the budget, the most that is kept for testing before it is known what answers
FIRST_ROUND = 0.5  # share of the time that the first round of several takes
BEHIND = 4.0  # points of expected accuracy, what is foretold being that sure
SEVERAL, MANY, MOST = 30.0, 90.0, 180.0  # seconds from which two, three, and with one from scratch four compete


class TaskFacts(TypedDict):
    """What competitors are chosen by, beside the probes: training images, classes, and what tells what to expect."""

    images: int
    classes: int
    model: OutcomeModel


def first_round(
    measured: Sequence[MeasuredProbe],
    *,
    images: int,
    classes: int,
    seconds: float,
    model: OutcomeModel | None = None,
    allowed: Allowed | None = None,
) -> list[Chance]:
    """The trainings that begin: the best of each weights where time is short, and with more of each part that learns.

    Pretrained weights need not suit signs, spectrograms or scans at all, so where time allows these compete on
    validation, and one from scratch. What competes is what is best after its share of the time; what is expected far
    behind is not begun: one long training is worth more than two short ones. Of what is ``allowed`` the fastest that
    are expected to be as good come first where it says so.
    """
    count = 1 + sum(seconds >= least for least in (SEVERAL, MANY, MOST))
    each = seconds if count == 1 else FIRST_ROUND * seconds / count
    best: dict[tuple[str, ...], Chance] = {}

    def ranked(seconds: float) -> list[Chance]:
        short = allowed is not None and allowed.limits.bound
        found = chances(measured, images=images, classes=classes, seconds=seconds, short=short, model=model)
        if allowed is None:
            return found
        found = [each for each in found if allowed(each.pipeline)]
        return _fastest_first(found, allowed) if allowed.fast else found

    for chance in ranked(each):
        pipeline = chance.pipeline
        kind = (pipeline.weights,) if seconds < MANY else (pipeline.weights, pipeline.training)
        best.setdefault(kind, chance)
    chosen = _close(list(best.values())[:count])
    if len(chosen) == 1 and seconds < MOST:
        return ranked(seconds)[:1]
    scratch = Pipeline("scratch", 32, "all", FAST_RATE)
    if seconds >= MOST and (allowed is None or allowed(scratch)):
        chosen = [*chosen[: count - 1], Chance(scratch, each, 0.0)]
    for chance in list(chosen):
        if len(chosen) < count:
            chosen.append(replace(chance, pipeline=_other_rate(chance.pipeline)))
    return chosen


def to_go_on(
    tuned: Sequence[tuple[Pipeline, float, float]],
    measured: Sequence[MeasuredProbe],
    *,
    images: int,
    classes: int,
    left: float,
    model: OutcomeModel | None = None,
) -> int:
    """Which of the fine-tunings gets the time that is left: the one that is expected to end best.

    Args:
        tuned: pipeline, validation accuracy in percent, and seconds of training so far.
        measured: the probes.
        images: for training.
        classes: of the task.
        left: seconds.
        model: tells what to expect, by default the one learnt from what we measured.
    """
    looked = told_by_probes(measured, images=images, classes=classes)

    def end(place: int) -> float:
        pipeline, accuracy, seconds = tuned[place]
        return (model or outcomes()).later(looked, pipeline, accuracy, 1 + left / max(seconds, 1.0))

    return max(range(len(tuned)), key=end)


def to_classify(measured: Sequence[MeasuredProbe], images: int, among: Sequence[Pipeline] | None = None) -> float:
    """Seconds that ``among`` take for so many images; by default the slowest in two forms and the next, as a mean."""
    if among is None:
        slowest = sorted(each.rate for each in measured)[:2]
        rates = [*slowest[:1], *slowest]
    else:
        known = {(each.pipeline.weights, each.pipeline.resolution): each.rate for each in measured}
        usual = max(known.values(), default=math.inf)  # of a network from scratch, which is as ours
        rates = [known.get((each.weights, each.resolution), usual) for each in among]
    return images * sum(1 / rate for rate in rates)


def _fastest_first(ranked: Sequence[Chance], allowed: Allowed) -> list[Chance]:
    """Those that are expected to be as good as the first by their speed, then the others."""
    equal = [each for each in ranked if each.expected >= ranked[0].expected - EQUAL]
    return [*sorted(equal, key=lambda each: allowed.latency(each.pipeline)), *ranked[len(equal) :]]


def _close(ranked: Sequence[Chance]) -> list[Chance]:
    """Those that may yet be best: no more than `BEHIND` points below the first."""
    return [each for each in ranked if each.expected >= ranked[0].expected - BEHIND]


def _other_rate(pipeline: Pipeline) -> Pipeline:
    """The same at the neighbouring learning rate."""
    other = {FAST_RATE: USUAL_RATE, USUAL_RATE: FAST_RATE, GENTLE_RATE: USUAL_RATE}
    return replace(pipeline, learning_rate=other[pipeline.learning_rate or USUAL_RATE])
