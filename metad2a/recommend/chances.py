"""What may be done with the seconds: which probes fit, and what fine-tunings are expected to reach.

Arithmetic on measured figures: accuracies of the probes on the user's own images, images a second of this machine, and
what fine-tuning gained on other datasets (`predictors.outcome`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from databases.architectures.spaces.pipeline import Pipeline
from databases.records.csv_file import read_csv
from databases.records.record import Record, RecordKey, TaskEntry
from predictors.fine_tunings import Example, Looked, examples_of
from predictors.outcome import BATCH, OutcomeModel

MEASURED = Path(str(files("metad2a") / "weights" / "pipelines.csv.gz"))  # by `database build --space pipeline`
PROBES = (  # in this order: cheap ones first
    Pipeline("own", 32, "probe"),
    Pipeline("hog", 64, "probe"),
    Pipeline("own", 48, "probe"),
    Pipeline("other", 64, "probe"),
    Pipeline("lite0", 64, "probe"),
    Pipeline("lite0", 96, "probe"),
    Pipeline("lite0", 128, "probe"),
    Pipeline("other", 96, "probe"),
    Pipeline("other", 128, "probe"),
)
SHARE = 0.5  # of the time left that one probe may take
FIT_SECONDS, FIT_EACH = 0.1, 2e-8  # of the regression on one core, and for each image, feature and class
FIT_MORE = 8  # classes that reading the features costs as much as
COST = {"head": 1.5, "half": 2.3, "all": 3.3}  # of a training step, in forward passes
SLIMMER = {(True, False): 1.6, (False, True): 1.8, (True, True): 2.6}  # times as fast to train: slim, short
FAR = 10.0  # points by which HOG is above our weights on images that are no photographs; see `is_far`
USUAL_RATE, FAST_RATE, GENTLE_RATE = 0.03, 0.1, 0.01  # learning rates: two of our weights, and that of ImageNet's


@dataclass(frozen=True)
class MeasuredProbe:
    """A probe that was measured: validation accuracy in percent, and images a second of its frozen network."""

    pipeline: Pipeline
    accuracy: float
    rate: float


@dataclass(frozen=True)
class Chance:
    """A fine-tuning that could be done for ``seconds``, in ``steps``; accuracies in percent, and the 80% interval."""

    pipeline: Pipeline
    seconds: float
    expected: float
    low: float = 0.0
    high: float = 100.0
    steps: float = 0.0


@cache
def outcomes() -> OutcomeModel:
    """What we measured on other datasets, of pipelines that `chances` offers, ready to predict."""
    return outcomes_of(MEASURED)


def outcomes_of(file: Path) -> OutcomeModel:
    """The same of a file that ``metad2a database export`` wrote."""
    rows = list(read_csv(file))
    tasks = [each for each in rows if isinstance(each, TaskEntry)]
    return OutcomeModel(usual(examples_of(tasks, [each for each in rows if not isinstance(each, TaskEntry)])))


def usual(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Those of pipelines that `chances` offers.

    Half of the channels at 32 px were measured and left: they save a tenth more time than at 48 px, and lose 0.6 points
    more.
    """
    return tuple(each for each in examples if _is_offered(each.pipeline))


def _is_offered(pipeline: Pipeline) -> bool:
    alone = pipeline.slim and not pipeline.short and pipeline.resolution <= 32
    return not alone and pipeline.learning_rate in _rates(pipeline)


def _rates(pipeline: Pipeline) -> tuple[float, ...]:
    """Learning rates that are worth asking for; the fast one, by which all is learnt anew, where all layers learn."""
    if pipeline.weights != "own":
        return (GENTLE_RATE,)
    return (USUAL_RATE,) if pipeline.training == "half" else (USUAL_RATE, FAST_RATE)


def shipped_keys() -> set[RecordKey]:
    """What we measured, by its keys."""
    return {each.key for each in read_csv(MEASURED) if isinstance(each, Record)}


def sensible_probes(resolution: int, available: Sequence[str]) -> list[Pipeline]:
    """Those whose weights are there, and which do not blow images up beyond twice their size.

    HOG and ImageNet weights gain from images that are enlarged to 64 pixels, and from nothing beyond that.
    """
    return [each for each in PROBES if each.weights in available and each.resolution <= max(64, resolution)]


def is_far(measured: Sequence[MeasuredProbe]) -> bool:
    """Whether the images are far from photographs: drawn marks, signs, spectrograms.

    On each measured task where HOG beats all probes of our weights by `FAR`, it beats ImageNet's too, which are dear.
    """
    best = {
        weights: max((each.accuracy for each in measured if each.pipeline.weights == weights), default=math.nan)
        for weights in ("hog", "own")
    }
    return best["hog"] > best["own"] + FAR  # never where one of them is not known


def probe_seconds(learnt: int, judging: int, *, rate: float, features: int, classes: int) -> float:
    """What ``features`` of so many training and validation images take, and the regression."""
    return FIT_SECONDS + (learnt + judging) / rate + learnt * fit_seconds(features, classes)


def fit_seconds(features: int, classes: int) -> float:
    """What the regression takes for each image, beside `FIT_SECONDS`.

    Measured on seven sources of 2 to 242 classes, 941 to 4,000 images each, and 256 to 1,764 features.
    """
    return FIT_EACH * features * (classes + FIT_MORE)


def told_by_probes(
    measured: Sequence[MeasuredProbe], *, images: int, classes: int, held_out: int | None = None
) -> Looked:
    """What the probes tell of a task; ``held_out`` images told their accuracies."""
    probes = {(each.pipeline.weights, each.pipeline.resolution): each.accuracy for each in measured}
    return Looked(classes, images, probes, held_out)


def chances(
    measured: Sequence[MeasuredProbe],
    *,
    images: int,
    classes: int,
    seconds: float,
    held_out: int | None = None,
    short: bool = False,
    model: OutcomeModel | None = None,
) -> list[Chance]:
    """Fine-tunings of measured probes, the most promising first, if each is given ``seconds``; of measured kinds alone.

    Half of our channels too, which are trained for longer in that time; with ``short`` fewer blocks too, which lose up
    to 30 points on signs. ``held_out`` images told the accuracies.
    ``model`` tells what to expect, by default the one learnt from what we measured.
    """
    looked = told_by_probes(measured, images=images, classes=classes, held_out=held_out)
    asked = []
    for probe in measured:
        if probe.pipeline.weights == "hog":
            continue
        own = probe.pipeline.weights == "own"
        parts = [replace(probe.pipeline, training=part) for part in ("all", "half")]
        for tuned in [replace(part, learning_rate=rate) for part in parts for rate in _rates(part)]:
            for slim, fewer in [(False, False), *(each for each in SLIMMER if own and (short or not each[1]))]:
                rate = probe.rate * SLIMMER.get((slim, fewer), 1.0)
                steps = seconds * rate / COST[tuned.training] / BATCH
                asked.append((replace(tuned, slim=slim, short=fewer), steps))
    model = model or outcomes()
    asked = [(pipeline, steps) for pipeline, steps in asked if model.knows(pipeline)]
    if not asked:
        return []
    found = model.expect(looked, asked)
    rows = zip(asked, found.mean.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    made = [Chance(pipeline, seconds, mean, low, high, steps) for (pipeline, steps), mean, low, high in rows]
    return sorted(made, key=lambda each: -each.expected)
