"""What a pipeline will reach on a task, from what probes of frozen features told of it.

A Gaussian process of the gain over the probe that a fine-tuning begins with, in logits, learnt from measured pipelines
of many tasks (Rasmussen, Williams, 2006). Its interval is conformal: the errors on tasks of image sources that were
left out, each source counting alike, in units of the process's own doubt (Vovk, Gammerman, Shafer, 2005; Papadopoulos,
Vovk, Gammerman, 2011), so it holds for a source that nobody has measured, as far as that is like them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from databases.architectures.spaces.pipeline import Pipeline
from predictors.fine_tunings import Example, Looked
from predictors.gaussian_process import Process, alike, learn_process, left_out
from predictors.scale import NORMAL_80, sampling_noise, to_logit, to_percent

Values = npt.NDArray[np.float64]
BATCH = 32  # images a step of the measured trainings
SLOPE_PENALTY, SHARE = 1.0, 0.8  # the second of the outcomes inside the interval
ASKED = ("own", "hog", "lite0")  # weights whose probes tell of a task


@dataclass(frozen=True, eq=False)
class Expected:
    """Accuracies in percent and the ends of their 80% intervals, each (n,)."""

    mean: Values
    low: Values
    high: Values


@dataclass(frozen=True, eq=False)
class OutcomeModel:
    """Learnt from ``examples``, of three sources at least."""

    examples: tuple[Example, ...]

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The image sources of the examples."""
        return tuple(dict.fromkeys(each.source for each in self.examples))

    def without(self, source: str) -> OutcomeModel:
        """The same without the examples of a source."""
        return OutcomeModel(tuple(each for each in self.examples if each.source != source))

    def knows(self, pipeline: Pipeline) -> bool:
        """Whether fine-tunings of its kind were measured: the same part, rate and slice of such weights."""
        return _kind(pipeline) in self._kinds

    @cached_property
    def _kinds(self) -> dict[tuple[object, ...], float]:
        """The most steps for an image that a kind was measured with."""
        found = [(each.steps / each.looked.images, _kind(each.pipeline)) for each in self.examples]
        return {kind: most for most, kind in sorted(found, key=lambda each: each[0])}

    def expect(self, looked: Looked, asked: Sequence[tuple[Pipeline, float]]) -> Expected:
        """Of pipelines with their steps on a task; ValueError where no probe of a pipeline's weights was measured.

        More passes over the images than were ever measured of a kind count as those.
        """
        ends = [looked.images * self._kinds.get(_kind(each), max(self._kinds.values())) for each, _ in asked]
        x, base = _rows((looked, each, min(steps, end)) for (each, steps), end in zip(asked, ends, strict=True))
        gain, doubt = self._process.predict(x)
        mean = base + gain
        chance = [
            0.0 if looked.held_out is None else sampling_noise(float(p), looked.held_out) for p in to_percent(base)
        ]
        width = np.hypot(self.width * doubt, NORMAL_80 * np.array(chance))
        return Expected(to_percent(mean), to_percent(mean - width), to_percent(mean + width))

    def later(self, looked: Looked, pipeline: Pipeline, accuracy: float, times: float) -> float:
        """Accuracy in percent of a fine-tuning that has reached ``accuracy``, after so many times the steps.

        What it gained over its probe so far tells how it goes on (learning curves: Domhan, Springenberg, Hutter, 2015).
        """
        now = float(to_logit([accuracy])[0])
        probe = looked.probe(pipeline)
        gained = 0.0 if probe is None else now - float(to_logit([probe])[0])
        row = np.array(_curve(pipeline, gained, looked.images))
        slope = float(np.append(row, 1.0) @ self._growth)
        return float(to_percent([now + slope * math.log(times)])[0])

    @cached_property
    def _growth(self) -> Values:
        """Weights of what a unit of log steps adds, in logits, from pipelines that were measured twice on a task."""
        rows, slopes = [], []
        of_curve: dict[tuple[object, ...], list[Example]] = defaultdict(list)
        for each in self.examples:
            probes = tuple(sorted(each.looked.probes.items()))
            of_curve[each.source, each.looked.images, probes, each.pipeline].append(each)
        for curve in of_curve.values():
            short, *_, long = sorted(curve, key=lambda each: each.steps) if len(curve) > 1 else curve * 2
            probe = short.looked.probe(short.pipeline)
            if long.steps > short.steps and probe is not None:
                begin, now, end = to_logit([probe, short.accuracy, long.accuracy])
                rows.append(_curve(short.pipeline, now - begin, short.looked.images))
                slopes.append((end - now) / math.log(long.steps / short.steps))
        if not rows:
            return np.zeros(len(_curve(Pipeline("own", 32, "all"), 0.0, 1)) + 1)
        return _ridge(np.array(rows), np.array(slopes), SLOPE_PENALTY)

    @cached_property
    def errors(self) -> dict[str, Values]:
        """Errors in logits on each source, by models that were learnt without it."""
        return {name: error for name, (error, _) in self._left_out.items()}

    @cached_property
    def width(self) -> float:
        """Half of the 80% interval, in units of the process's doubt."""
        return _quantile([np.abs(error) / doubt for error, doubt in self._left_out.values()])

    @cached_property
    def noise(self) -> float:
        """Half of the 80% interval of one pipeline's error beside the others' on the same task, in logits."""
        return _quantile([np.abs(each - each.mean()) for each in self.errors.values()])

    @cached_property
    def _data(self) -> tuple[Values, Values, npt.NDArray[np.int64]]:
        x, base = _rows((each.looked, each.pipeline, each.steps) for each in self.examples)
        y = to_logit(np.array([each.accuracy for each in self.examples])) - base
        return x, y, np.array([self.sources.index(each.source) for each in self.examples])

    @cached_property
    def _process(self) -> Process:
        x, y, source = self._data
        return learn_process(x, y, alike(source))

    @cached_property
    def _left_out(self) -> dict[str, tuple[Values, Values]]:
        """Errors of each run on each source and the doubt there, by processes that were learnt without it.

        A mean over seeds would be foretold better than what a user gets, which is one run.
        """
        x, y, source = self._data
        gain, doubt = left_out(x, y, source)
        runs = [(i, run, each.accuracy) for i, each in enumerate(self.examples) for run in each.runs]
        of, run, mean = (np.array(each) for each in zip(*runs, strict=True))
        error = y[of] + to_logit(run) - to_logit(mean) - gain[of]
        held = {name: source[of] == number for number, name in enumerate(self.sources)}
        return {name: (error[each], doubt[of][each]) for name, each in held.items()}


def _rows(asked: Iterable[tuple[Looked, Pipeline, float]]) -> tuple[Values, Values]:
    """What the model sees, (n, d), and the logits of the probes of the fine-tuned weights, (n,)."""
    rows, base = [], []
    for looked, pipeline, steps in asked:
        begin, best, hog, lite0 = _levels(looked, pipeline)
        passes = math.log(max(1.0, steps * BATCH) / looked.images)
        rate = math.log((pipeline.learning_rate or 0.03) / 0.03)
        own = pipeline.weights == "own"
        larger = 0.0 if own else math.log(pipeline.resolution / 64)
        flags = (
            pipeline.training == "half",
            pipeline.weights in ("lite0", "other"),  # nobody measured the user's: most have seen ImageNet
            own and pipeline.resolution > 32,
            pipeline.slim,
            pipeline.short,
        )
        plain = (begin, best - begin, max(0.0, hog), lite0, passes, rate, larger)
        size = (math.log(looked.classes), math.log(looked.images), math.log(looked.images / looked.classes))
        mixed = (begin * passes, passes * flags[0], passes * flags[2], begin * flags[0], hog * rate, hog * flags[3])
        rows.append((*plain, *size, *map(float, flags), *mixed))
        base.append(begin)
    return np.array(rows, dtype=np.float64), np.array(base, dtype=np.float64)


def _levels(looked: Looked, pipeline: Pipeline) -> tuple[float, float, float, float]:
    """In logits: the probe of the pipeline's weights, the best of all, and how far HOG and Lite0 are above ours.

    Ours counts as the mean over its resolutions, since what fine-tuning reaches hardly depends on where it begins; HOG
    and ImageNet's weights tell how far photographs are. Where one of them was not asked it counts as ours.
    """
    probe = looked.probe(pipeline)
    if probe is None:
        raise ValueError(f"{pipeline} begins with no measured probe: the weights measured are {sorted(looked.probes)}")
    of = {name: to_logit([value for (each, _), value in looked.probes.items() if each == name]) for name in ASKED}
    begin = float((of["own"] if pipeline.weights == "own" else to_logit([probe])).mean())
    best = float(to_logit(list(looked.probes.values())).max())
    above = (float(of[n].mean() - of["own"].mean()) if len(of[n]) and len(of["own"]) else 0.0 for n in ("hog", "lite0"))
    return begin, best, *above  # type: ignore[return-value]  # two of them


def _kind(pipeline: Pipeline) -> tuple[object, ...]:
    own, kept = pipeline.weights == "own", (pipeline.slim, pipeline.short)
    return own, own and pipeline.resolution > 32, pipeline.training, pipeline.learning_rate, *kept


def _curve(pipeline: Pipeline, gained: float, images: int) -> tuple[float, ...]:
    """What the slope of a learning curve depends on: of few images it ends sooner."""
    deep = float(pipeline.training == "all")
    return gained, deep, gained * deep, math.log(images)


def _ridge(x: Values, y: Values, penalty: float) -> Values:
    """Weights (d + 1,), the constant last, of columns that are scaled alike; the constant is not penalised.

    Written out, since importing scikit-learn's takes seconds (5 on a busy core), and all else here a fraction of one.
    """
    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    z = (x - mean) / scale
    weights = np.linalg.solve(z.T @ z + penalty * np.eye(z.shape[1]), z.T @ (y - y.mean())) / scale
    return np.append(weights, y.mean() - weights @ mean)


def _quantile(errors: Sequence[Values]) -> float:
    """The share `SHARE` of all errors, each source counting alike; it holds on average, not for certain."""
    values = np.concatenate(errors)
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in errors])
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / len(errors)
    return float(values[order][min(int(np.searchsorted(reached, SHARE)), len(values) - 1)])
