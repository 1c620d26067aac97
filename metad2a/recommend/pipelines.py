"""`metad2a recommend`: which pipeline fits, what it is expected to reach and what it costs, before anything is tuned.

Probes of frozen networks look at the images for a few seconds; what fine-tuning adds is learnt from other datasets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import TEST, VALIDATION, Task, sample
from databases.errors import Say, UserError
from databases.hosting import lent
from metad2a.recommend.chances import Chance, MeasuredProbe, chances, sensible_probes, told_by_probes
from metad2a.recommend.experience import experience
from metad2a.recommend.front import as_good, front
from metad2a.recommend.limits import NO_LIMITS, Limits
from metad2a.recommend.looking import about, looks
from metad2a.recommend.pipeline_cost import PipelineCost, cost_of
from metad2a.runtime.versions import versions
from metad2a.train.bases import Base, absent
from metad2a.train.probe import told_of_few
from predictors.nearness import Nearness, nearness
from predictors.outcome import OutcomeModel
from predictors.scale import NORMAL_80, sampling_noise, to_logit, to_percent

if TYPE_CHECKING:
    from databases.records.store import Store

LOOK_SECONDS = 3.0  # of probing
IN_SECONDS = "looking takes a few seconds, and what it reaches with all is higher"
MOST_SEEN = 2_000  # images that are looked at
FLAT = 1e-9  # of the height of a front: no knee


@dataclass(frozen=True)
class Choice(PipelineCost):
    """A pipeline that could be chosen, and what it costs.

    Attributes:
        expected_accuracy, interval: percent on new images like these, and the 80% interval.
        seconds: what it takes here to train it. measured: whether it is a probe that was tried on the images.
    """

    expected_accuracy: float
    interval: tuple[float, float]
    seconds: float
    measured: bool

    @property
    def megabytes(self) -> float:
        """Of its weights in single precision."""
        return 4 * self.parameters / 2**20

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        named = ("expected_accuracy", "seconds", "measured", "parameters", "megabytes", "flops", "latency_ms")
        told = {name: getattr(self, name) for name in named}
        return {"pipeline": str(self.pipeline), **told, "interval": list(self.interval)}

    def __str__(self) -> str:
        """One line."""
        return f"{self.pipeline}, {self.expected_accuracy:.1f}% expected, {self.latency_ms:.2g} ms an image"

    __repr__ = __str__  # which notebooks show


@dataclass(frozen=True)
class PipelineRecommendation:
    """The answer for one dataset.

    Attributes:
        choices: the best by expected accuracy first. front: those that none beats in accuracy and latency, the fastest
            first. knee: the one of the front after which accuracy is dear.
        equal: the fastest that is expected to reach the best's accuracy within `EQUAL` points.
        seconds: the training time that accuracies hold for.
    """

    choices: tuple[Choice, ...]
    front: tuple[Choice, ...]
    knee: Choice
    equal: Choice
    seconds: float
    reason: str
    seed: int
    data: str
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Choice:
        """The first choice."""
        return self.choices[0]

    def to_json(self) -> dict[str, Any]:
        """The contract of ``metad2a recommend --json`` in the space of pipelines."""
        return {
            "space": PIPELINE.name,
            "choices": [each.to_json() for each in self.choices],
            "front": [str(each.pipeline) for each in self.front],
            "knee": str(self.knee.pipeline),
            "equal": str(self.equal.pipeline),
            "seconds": self.seconds,
            "reason": self.reason,
            "seed": self.seed,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
            "versions": versions(),
        }

    def __str__(self) -> str:
        """The front, a line each, and the reason; `to_json` has everything."""
        return "\n".join([f"Pipelines for {self.data}", *map(str, self.front), self.reason])

    __repr__ = __str__


@dataclass(frozen=True)
class Seen:
    """What probes saw of a task, which no budget and no limit changes.

    Attributes:
        images: how many they looked at. held_out: those among them that measured each probe, at least.
        probes: what each measured, and the seconds it took. left_out: why, by the name of weights, others did not look.
        notes: which of them looked at a part.
    """

    images: int
    held_out: int
    probes: tuple[tuple[MeasuredProbe, float], ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@lent()
def look_at(
    task: Task,
    *,
    seconds: float = LOOK_SECONDS,
    seed: int = 0,
    cache: Path | None = None,
    also: Base | None = None,
    now: Say = lambda text: None,
) -> Seen:
    """Probes for about so many ``seconds``; ``also`` is a network of the user's own, however long that takes.

    Raises:
        UserError: there is no validation image.
    """
    seen = _sample(task, seed)
    held_out = int(np.count_nonzero(seen.parts == VALIDATION))
    if not held_out:
        raise UserError("no image is held out for validation, which tells what a probe reaches; give more images")
    end = time.monotonic() + seconds
    why: dict[str, str] = {}
    begun = looks(seen, left=lambda: end - time.monotonic(), cache=cache, also=also, insist=True, left_out=why, now=now)
    found = list(begun)
    few = [(each, each.probed and told_of_few(each.probed, seen, why=IN_SECONDS)) for each in found]
    notes = tuple(f"{each.measured.pipeline} {told}" for each, told in few if told)
    held_out = min([held_out, *(len(each.probed.valid_features) for each in found if each.probed)])
    return Seen(len(seen.labels), held_out, tuple((each.measured, each.seconds) for each in found), why, notes)


@lent()
def recommend_pipelines(
    task: Task,
    *,
    seconds: float,
    looked: Seen | None = None,
    limits: Limits = NO_LIMITS,
    seed: int = 0,
    cache: Path | None = None,
    also: Base | None = None,
    store: Store | None = None,
    now: Say = lambda text: None,
) -> PipelineRecommendation:
    """Tells what training for ``seconds`` is expected to reach, by what was ``looked`` at, here if need be.

    ``also`` is a network of the user's own; ``store`` holds what searches measured on other images.

    Raises:
        UserError: no pipeline keeps the limits, or there is no validation image.
    """
    looked = looked or look_at(task, seed=seed, cache=cache, also=also, now=now)
    measured = [each for each, _ in looked.probes]
    now("Weighing what fine-tuning would add")
    model, shape = experience(store, task).model, {"images": task.train_images, "classes": task.classes}
    tuned = chances(measured, **shape, seconds=seconds, held_out=looked.held_out, short=True, model=model)
    cost = partial(cost_of, task=task, also=also)
    found = [_of_probe(each, took, looked.held_out, cost) for each, took in looked.probes]
    found += [_of_chance(each, cost) for each in tuned]
    seen, sensible = {each.pipeline for each in measured}, sensible_probes(task.resolution, [*looked.left_out])
    beside = (cost(each) for each in sensible if each not in seen)
    kept = _within(limits, found, beside, looked.left_out)
    choices = sorted(kept, key=lambda each: (-each.expected_accuracy, each.latency_ms))
    best_of_each = front(choices, cost=lambda each: each.latency_ms, quality=lambda each: each.expected_accuracy)
    like = nearness(told_by_probes(measured, **shape).probes, model.examples)
    return PipelineRecommendation(
        choices=tuple(choices),
        front=best_of_each,
        knee=_knee(best_of_each),
        equal=as_good(choices, quality=lambda each: each.expected_accuracy, cost=lambda each: each.latency_ms),
        seconds=seconds,
        reason=f"{_reason(choices[0], measured, seconds, model)} {like}",
        seed=seed,
        data=task.summary,
        fingerprint=task.fingerprint,
        notes=tuple(_notes(task, looked, like, also)),
    )


def _within(
    limits: Limits, found: Sequence[Choice], beside: Iterable[PipelineCost], left_out: Mapping[str, str]
) -> list[Choice]:
    """Those that keep the limits; raises `UserError` where none does, which looks at those ``beside`` them too."""
    if kept := [each for each in found if limits.fits(each)]:
        return kept
    one = limits.within([*found, *beside])[0].pipeline  # raises, with the nearest of all
    raise UserError(
        f"no candidate that was looked at has {limits.told()}: {one} has, but was left out: {left_out[one.weights]}; "
        "raise the limits, or search with them, which looks at HOG and slices of our weights in any case"
    )


def _notes(task: Task, looked: Seen, like: Nearness, also: Base | None) -> list[str]:
    notes = [*task.notes, *looked.notes, *about(also, [each for each, _ in looked.probes], looked.left_out), *absent()]
    if like.unlike:
        notes.append("these images are unlike all that was measured: take what is expected of fine-tuning with care")
    if looked.images < len(task.labels):
        notes.append(f"looked at {looked.images:,} of the images; training takes them all")
    return notes


def _sample(task: Task, seed: int) -> Task:
    """About `MOST_SEEN` of the images that are not for testing, of each class and part its share, but at least two."""
    where = np.flatnonzero(task.parts != TEST)
    place = where[sample(task.labels[where], task.parts[where], most=MOST_SEEN, seed=seed)]
    groups = None if task.groups is None else task.groups[place]
    return replace(task, images=task.images[place], labels=task.labels[place], parts=task.parts[place], groups=groups)


def _of_probe(measured: MeasuredProbe, took: float, count: int, cost: Callable[[Pipeline], PipelineCost]) -> Choice:
    """A probe's accuracy is measured, on ``count`` images."""
    half = NORMAL_80 * sampling_noise(measured.accuracy, count)
    level = to_logit(measured.accuracy)
    low, high = (float(to_percent(level + side * half)) for side in (-1, 1))
    low, high = min(low, measured.accuracy), max(high, measured.accuracy)  # logits end at 0.5 and 99.5%
    chance = Chance(measured.pipeline, took, measured.accuracy, low, high)
    return replace(_of_chance(chance, cost), measured=True)


def _of_chance(chance: Chance, cost: Callable[[Pipeline], PipelineCost]) -> Choice:
    return Choice(
        **vars(cost(chance.pipeline)),
        expected_accuracy=chance.expected,
        interval=(chance.low, chance.high),
        seconds=chance.seconds,
        measured=False,
    )


def _knee(front: Sequence[Choice]) -> Choice:
    """Where the front is farthest above the straight line between its ends, over the logarithm of latency.

    Of one that is nowhere above it, as with two alone, the fastest that is as good as the best.
    """
    first, last = front[0], front[-1]
    wide = np.log(last.latency_ms / first.latency_ms) or 1.0
    high = last.expected_accuracy - first.expected_accuracy or 1.0

    def above(each: Choice) -> float:
        right = np.log(each.latency_ms / first.latency_ms) / wide
        return float((each.expected_accuracy - first.expected_accuracy) / high - right)

    knee = max(front, key=above)
    if above(knee) > FLAT:
        return knee
    return as_good(front, quality=lambda each: each.expected_accuracy, cost=lambda each: each.latency_ms)


def _reason(best: Choice, measured: Sequence[MeasuredProbe], seconds: float, model: OutcomeModel) -> str:
    probes = ", ".join(f"{each.pipeline} {each.accuracy:.1f}%" for each in measured)
    told = f"Probes on your images: {probes}"
    if best.measured:
        return f"{told}. Fine-tuning for {seconds:.0f} s is not expected to beat {best.pipeline}."
    return (
        f"{told}. What fine-tuning for {seconds:.0f} s adds is judged by {len(model.examples)} trainings on images of "
        f"{len(model.sources)} sources."
    )
