"""Looking at images: probes of frozen networks, cheap ones first, as many as there is time for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import TRAIN, VALIDATION, Task
from metad2a.recommend.chances import Measured, anew_too, fits, sensible_probes
from metad2a.train.bases import installed
from metad2a.train.pipeline import base_of, probe_either
from metad2a.train.probe import Probed, looked_at, speed, width


@dataclass(frozen=True, eq=False)
class Look:
    """One probe.

    Attributes:
        probed: the fitted network; None where its accuracy was known. anew: whether it has statistics of the images.
        seconds: what features and regression took.
    """

    measured: Measured
    probed: Probed | None
    anew: bool
    seconds: float


def looks(
    task: Task,
    *,
    left: Callable[[], float],
    cache: Path | None = None,
    known: Mapping[Pipeline, float] | None = None,
    now: Callable[[str], None] = lambda text: None,
) -> Iterator[Look]:
    """The first probe always, others where they fit into the seconds ``left``; ``known`` accuracies are only timed."""
    there = [name for name, is_there in installed().items() if is_there]
    images = sum(len(looked_at(task, part)) for part in (TRAIN, VALIDATION))
    for number, pipeline in enumerate(sensible_probes(task.resolution, there)):
        base = base_of(pipeline, task)
        shape = {"features": width(base), "classes": task.classes}
        rate = speed(base, task, resolution=pipeline.resolution)
        if known and pipeline in known:
            yield Look(Measured(pipeline, known[pipeline], rate), None, False, 0.0)
        elif number == 0 or fits(images, rate, left(), **shape):
            now(f"Probing {pipeline}")
            both = anew_too(pipeline) and fits(2 * images, rate, left(), **shape)
            probed, anew = probe_either(pipeline, task, base, anew=both, cache=cache)
            yield Look(Measured(pipeline, probed.valid_accuracy or 0.0, rate), probed, anew, probed.seconds)
