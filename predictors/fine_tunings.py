"""Fine-tunings that were measured, each with what probes of frozen features told of its task before."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.records.record import Record, TaskEntry


@dataclass(frozen=True)
class Looked:
    """What is known of a task before a training.

    Attributes:
        classes: their number. images: for training.
        probes: accuracies on held-out images in percent, by weights and resolution.
        held_out: those images, whose number tells how sure the accuracies are; None: as sure as those learnt from.
    """

    classes: int
    images: int
    probes: Mapping[tuple[str, int], float]
    held_out: int | None = None

    def probe(self, pipeline: Pipeline) -> float | None:
        """Accuracy of the probe that the pipeline begins with; None: not measured."""
        found = {side: value for (weights, side), value in self.probes.items() if weights == pipeline.weights}
        side = min(found, key=lambda each: abs(math.log(each / pipeline.resolution)), default=None)
        return None if side is None else found[side]


@dataclass(frozen=True)
class Example:
    """A measured fine-tuning: on what, how long, what it reached, and the source of its images.

    Attributes:
        runs: accuracies in percent, one for each seed.
    """

    looked: Looked
    pipeline: Pipeline
    steps: float
    runs: tuple[float, ...]
    source: str

    @property
    def accuracy(self) -> float:
        """Of the mean run."""
        return sum(self.runs) / len(self.runs)


def examples_of(tasks: Iterable[TaskEntry], records: Iterable[Record]) -> tuple[Example, ...]:
    """The measured fine-tunings of the space ``pipeline``, with the probes of their tasks, both on the same images.

    These are test images where there are any: validation images would flatter, since those of the sampled tasks may
    come from the same track as a training image. A user's are tested on validation images alone.

    Raises:
        UserError: a record's pipeline is none.
    """
    source = {each.key: each.source or each.name for each in tasks}
    of_task: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.space == PIPELINE.name:
            of_task[record.task].append(record)
    found = []
    for task, measured in of_task.items():
        tested = any(each.test_accuracy is not None for each in measured)
        probes, tuned = dict[tuple[str, int], float](), defaultdict[tuple[Pipeline, int, int, int], list[float]](list)
        for record in measured:
            pipeline = PIPELINE.pipeline(PIPELINE.parse(record.architecture))
            accuracy = record.test_accuracy if tested else record.valid_accuracy
            if accuracy is None:
                continue
            if pipeline.training == "probe" and not (pipeline.slim or pipeline.short):
                probes[pipeline.weights, pipeline.resolution] = accuracy
            elif steps := pipeline.steps(record.recipe):
                classes, images = (int(record.extra.get(name, 0)) for name in ("classes", "train_images"))
                tuned[pipeline, steps, classes, images].append(accuracy)
        for (pipeline, steps, classes, images), runs in tuned.items():
            looked = Looked(classes, images, probes)
            if min(classes, images) > 0 and looked.probe(pipeline) is not None:  # a row from elsewhere need not tell
                found.append(Example(looked, pipeline, steps, tuple(runs), source.get(task, task)))
    return tuple(found)
