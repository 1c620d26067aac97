"""Looking at images: probes of frozen networks, cheap ones first, as many as there is time for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import TRAIN, VALIDATION, Task
from metad2a.recommend.chances import Measured, anew_too, fits, is_far, sensible_probes
from metad2a.train.bases import OTHER, Base, installed
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
    also: Base | None = None,
    insist: bool = False,
    now: Callable[[str], None] = lambda text: None,
) -> Iterator[Look]:
    """The first probe always, others where they fit into the seconds ``left``; ``known`` accuracies are only timed.

    ``also`` is the user's own network, probed once at least where one is to ``insist`` on it.
    """
    images = sum(len(looked_at(task, part)) for part in (TRAIN, VALIDATION))
    found: list[Measured] = []
    for number, pipeline in enumerate(_to_probe(task, also)):
        if pipeline.weights == "lite0" and is_far(found):
            continue
        base = base_of(pipeline, task, also=also)
        shape = {"features": width(base), "classes": task.classes}
        rate = speed(base, task, resolution=pipeline.resolution)
        if known and pipeline in known:
            found.append(Measured(pipeline, known[pipeline], rate))
            yield Look(found[-1], None, False, 0.0)
        elif number == 0 or (insist and pipeline.weights == OTHER) or fits(images, rate, left(), **shape):
            now(f"Probing {pipeline}")
            both = anew_too(pipeline) and fits(2 * images, rate, left(), **shape)
            probed, anew = probe_either(pipeline, task, base, anew=both, cache=cache)
            insist = insist and pipeline.weights != OTHER
            found.append(Measured(pipeline, probed.valid_accuracy or 0.0, rate))
            yield Look(found[-1], probed, anew, probed.seconds)


def _to_probe(task: Task, also: Base | None) -> list[Pipeline]:
    """The sensible ones of what is there; a network of one size sees the images as large as they come."""
    there = [name for name, is_there in installed().items() if is_there]
    found = sensible_probes(task.resolution, there if also is None else [*there, OTHER])
    if also is None or also.side is None:
        return found
    last = max(each.resolution for each in found if each.weights == OTHER)
    return [each for each in found if each.weights != OTHER or each.resolution == last]


def about(also: Base | None, measured: Sequence[Measured]) -> list[str]:
    """What is to be known of the user's own network: which it is, and whether there was time to look at it."""
    if also is None:
        return []
    if all(each.pipeline.weights != OTHER for each in measured):
        return [f"{also.name} was left out: its probe would take more than half of the seconds that were left"]
    enlarged = f", which sees images enlarged to {also.side} px" if also.side else ""
    return [f"{OTHER} is {also.name}{enlarged}; what fine-tuning it adds is judged by trainings of lite0"]
