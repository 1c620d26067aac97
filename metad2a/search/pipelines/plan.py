"""What to do with the seconds: which probes fit, and which fine-tunings promise most.

Everything here is arithmetic on measured figures: accuracies of the probes on the user's own images, and the images a
second of this machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from databases.architectures.spaces.pipeline import Pipeline

PROBES = (  # in this order: cheap ones first
    Pipeline("own", 32, "probe"),
    Pipeline("hog", 64, "probe"),
    Pipeline("own", 48, "probe"),
    Pipeline("lite0", 64, "probe"),
    Pipeline("lite0", 96, "probe"),
    Pipeline("lite0", 128, "probe"),
)
SHARE = 0.5  # of the time left that one probe may take
FIT_SECONDS, FIT_A_CLASS = 1.0, 0.08  # of the regression, beside the features, and for each class
COST = {"head": 1.5, "half": 2.3, "all": 3.3}  # of a training step, in forward passes
GAIN, PASSES = 0.35, 4.0  # share of a probe's errors that fine-tuning mends in the end, and passes to most of it
FAST, SLOW, GENTLE = 0.1, 0.03, 0.01  # learning rates: with many steps, with few, and of ImageNet weights
MANY_STEPS = 400
STATISTICS_FROM = 48  # pixels from which statistics of the images are tried
BATCH = 32
LEAST_TUNING, LEAST_AGAIN = 3.0, 3.0  # seconds below which no fine-tuning is begun, and none goes on
FIRST_ROUND = 0.5  # share of the time that the first round of several takes
SEVERAL, MANY, MOST = 30.0, 90.0, 180.0  # seconds from which two, three, and with one from scratch four compete


@dataclass(frozen=True)
class Measured:
    """A probe that was measured: validation accuracy in percent, and images a second of its frozen network."""

    pipeline: Pipeline
    accuracy: float
    rate: float


@dataclass(frozen=True)
class Chance:
    """A fine-tuning that could be done, the seconds for it, and what is expected of it in percent."""

    pipeline: Pipeline
    seconds: float
    expected: float


def sensible_probes(resolution: int, available: Sequence[str]) -> list[Pipeline]:
    """Those whose weights are there, and which do not blow images up beyond twice their size.

    HOG and ImageNet weights gain from images that are enlarged to 64 pixels, and from nothing beyond that.
    """
    return [each for each in PROBES if each.weights in available and each.resolution <= max(64, resolution)]


def anew_too(pipeline: Pipeline) -> bool:
    """Whether validation chooses between the statistics of pretraining and those of the images.

    Our weights' belong to 48 px and to the sharpness of Tiny-ImageNet: probes gained up to 6 points, or lost 2.
    """
    return pipeline.weights == "own" and pipeline.resolution >= STATISTICS_FROM


def fits(images: int, classes: int, rate: float, left: float) -> bool:
    """Whether the features of so many images, and the regression, take less than their share of the seconds left."""
    return images / rate + FIT_SECONDS + FIT_A_CLASS * classes <= SHARE * left


def expected(accuracy: float, passes: float) -> float:
    """Accuracy in percent that a probe's fine-tuning reaches after so many passes over the training images."""
    return 100 - (100 - accuracy) * (1 - GAIN * (1 - math.exp(-passes / PASSES)))


def chances(measured: Sequence[Measured], *, images: int, seconds: float) -> list[Chance]:
    """Fine-tunings of measured probes, the most promising first, if each is given ``seconds``."""
    found = []
    for each in measured:
        if each.pipeline.weights == "hog":
            continue
        for training in ("all", "half"):
            drawn = seconds * each.rate / COST[training]
            mended = 1.0 if training == "all" else 0.9  # what half of the layers can mend
            gained = expected(each.accuracy, drawn / images) - each.accuracy
            tuned = replace(each.pipeline, training=training, learning_rate=_rate(each.pipeline, drawn / BATCH))
            found.append(Chance(tuned, seconds, each.accuracy + mended * gained))
    return sorted(found, key=lambda each: -each.expected)


def first_round(measured: Sequence[Measured], *, images: int, seconds: float) -> list[Chance]:
    """The trainings that begin: one where time is short, else the best of each weights, other rates, one from scratch.

    Pretrained weights need not suit signs, spectrograms or scans: where time allows, scratch competes on validation.
    """
    count = 1 + sum(seconds >= least for least in (SEVERAL, MANY, MOST))
    each = seconds if count == 1 else FIRST_ROUND * seconds / count
    ranked = chances(measured, images=images, seconds=each)
    best: dict[str, Chance] = {}
    for chance in ranked:
        best.setdefault(chance.pipeline.weights, chance)
    chosen = list(best.values())[:count]
    if seconds >= MOST:
        chosen = [*chosen[: count - 1], Chance(Pipeline("scratch", 32, "all", FAST), each, 0.0)]
    for chance in list(chosen):
        if len(chosen) < count:
            chosen.append(replace(chance, pipeline=_other_rate(chance.pipeline)))
    return chosen


def _rate(pipeline: Pipeline, steps: float) -> float:
    if pipeline.weights != "own":
        return GENTLE
    return FAST if steps >= MANY_STEPS else SLOW


def _other_rate(pipeline: Pipeline) -> Pipeline:
    """The same at the neighbouring learning rate."""
    other = {FAST: SLOW, SLOW: FAST, GENTLE: SLOW}
    return replace(pipeline, learning_rate=other[pipeline.learning_rate or SLOW])
