"""What a pipeline costs when it answers: parameters, multiply-adds, and milliseconds for one image on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from databases.architectures.networks import cost
from databases.architectures.skeleton import Blueprint
from databases.architectures.space import Architecture
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import Task
from databases.errors import UserError
from metad2a.recommend.chances import SLIMMER
from metad2a.recommend.limits import Limits, Prefer
from metad2a.train.bases import Base
from metad2a.train.classifier import Classifier
from metad2a.train.pipeline import blueprint_of

SINGLE = 5  # images, one at a time, that tell the latency
THIS_MACHINE = "this machine"
PREFER: tuple[Prefer, ...] = ("accuracy", "latency")
OURS, HOG = Pipeline("own", 32, "probe"), Pipeline("hog", 64, "probe")


@dataclass(frozen=True)
class PipelineCost:
    """Parameters, multiply-adds for one image and milliseconds for it here, of the network that would be exported."""

    pipeline: Pipeline
    parameters: int
    flops: int
    latency_ms: float

    @property
    def architecture(self) -> Architecture:
        """The walk of the space."""
        return PIPELINE.of(self.pipeline)


@dataclass(frozen=True)
class Allowed:
    """Which pipelines keep the ``limits`` on a task; ``also`` is the user's own network.

    ``milliseconds`` are those that were measured, by the pipelines' texts: they are measured once.

    With the preference ``latency`` the fastest answers of those that are as good.

    Raises:
        UserError: limits for another machine, or another preference.
    """

    limits: Limits
    task: Task
    also: Base | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limits.device not in (None, THIS_MACHINE):
            raise UserError(
                f"given the device {self.limits.device!r} for a search of pipelines: "
                f"their milliseconds are those of {THIS_MACHINE}: leave it out"
            )
        if self.limits.prefer not in PREFER:
            raise UserError(
                f"given the preference {self.limits.prefer!r} for a search of pipelines; "
                f"allowed are {' and '.join(PREFER)}; give one of these"
            )

    @property
    def fast(self) -> bool:
        """Whether the fastest of those that are as good is preferred."""
        return self.limits.prefer == "latency"

    def latency(self, pipeline: Pipeline) -> float:
        """Milliseconds that it takes for one image."""
        return self._cost(pipeline).latency_ms

    def __call__(self, *pipelines: Pipeline) -> bool:
        """Whether the mean of these keeps all limits."""
        costs = [self._cost(each) for each in pipelines]
        total = replace(
            costs[0],
            parameters=sum(each.parameters for each in costs),
            flops=sum(each.flops for each in costs),
            latency_ms=sum(each.latency_ms for each in costs),
        )
        return self.limits.fits(total)

    def probes(self, tried: Sequence[Pipeline]) -> list[Pipeline]:
        """What to probe where none that was ``tried`` keeps the limits: the largest slice of our weights, else HOG.

        Raises:
            UserError: neither keeps them.
        """
        if any(map(self, tried)):
            return []
        slices = [replace(OURS, slim=slim, short=short) for slim, short in SLIMMER]
        there = list(dict.fromkeys([*slices, HOG, *tried]))  # the nearest possible may be among the last
        kept = self.limits.within([self._cost(each) for each in there])
        return [each.pipeline for each in kept[:1]]

    def _cost(self, pipeline: Pipeline) -> PipelineCost:
        found = cost_of(pipeline, self.task, self.also)
        return replace(found, latency_ms=self.milliseconds.setdefault(str(pipeline), found.latency_ms))


def limits_here(
    parameters: int | None, flops: int | None, latency: str | float | None, *, prefer: Prefer = "accuracy"
) -> Limits:
    """Limits on what a pipeline costs here, and whether the fastest of those as good is preferred."""
    timed = latency is not None or prefer != "accuracy"
    return Limits(parameters, flops, latency, THIS_MACHINE if timed else None, prefer)


def cost_of(pipeline: Pipeline, task: Task, also: Base | None = None) -> PipelineCost:
    """Of the network that a pipeline makes for the task's channels and classes."""
    blueprint = blueprint_of(pipeline, channels=task.channels, classes=task.classes, also=also)
    return PipelineCost(pipeline, *_measured(blueprint, task.channels, pipeline.resolution))


@lru_cache(maxsize=64)
def _measured(blueprint: Blueprint, channels: int, resolution: int) -> tuple[int, int, float]:
    network = cost.with_zeros(cost.without_weights(blueprint.build))
    parameters = cost.parameters(network)
    flops = cost.multiply_adds(network, (channels, resolution, resolution))
    classifier = Classifier(network.eval(), blueprint, (0.0,) * channels, (255.0,) * channels, resolution)
    image, times = np.zeros((1, resolution, resolution, channels), dtype=np.uint8), []
    for _ in range(1 + SINGLE):
        begin = time.perf_counter()
        classifier.logits(image)
        times.append(time.perf_counter() - begin)
    return parameters, flops, 1_000 * min(times[1:])  # other work on the machine only adds
