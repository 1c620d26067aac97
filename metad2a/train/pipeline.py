"""Trains one pipeline of the space ``pipeline``: a probe, a fine-tuning, or a network from nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from databases.architectures.skeleton import Blueprint
from databases.architectures.spaces.pipeline import Pipeline
from databases.architectures.supernets.inherit import recalibrate
from databases.architectures.supernets.pretrained import Stages
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.errors import UserError
from databases.hosting import lent
from metad2a.train.augment import PLAIN, Augment, asked, choose
from metad2a.train.bases import OTHER, Base, family_of, open_base
from metad2a.train.classifier import Classifier
from metad2a.train.finetune import Layers, Tuned, Tuning, finetune
from metad2a.train.inference import normalisation
from metad2a.train.loop import Epoch
from metad2a.train.probe import Probed, probe

STATISTICS_IMAGES, STATISTICS_BATCH = 512, 128  # from which a slice takes its batch-norm statistics
# Trained by the statistics of Tiny-ImageNet ours can be lost at the first steps where images are unlike it; by those of
# each batch they are not, but then a layer fitted to others' would have to be found again. ImageNet's weights lose more
# by other statistics than they gain.
OURS = ("scratch", "own")
BEGIN, BEGIN_EACH = 5_000, 20  # images, and of each class, to which the linear layer is fitted that they begin with
# Cheap probes, the better of which tells whether mirrored images keep their class: one that knows signs badly takes
# them for others whether they are mirrored or not.
JUDGES = (Pipeline("own", 32, "probe"), Pipeline("hog", 64, "probe"))
SLIM, SHORT = 0.5, 1  # share of the hidden channels, blocks of a stage


@dataclass(frozen=True)
class Effort:
    """How long and how to fine-tune: seconds or steps, one of them given."""

    seconds: float | None = None
    steps: int | None = None
    augment: Augment = PLAIN
    seed: int = 0
    parts: tuple[int, ...] = (TRAIN,)


def base_of(pipeline: Pipeline, task: Task, *, anew: bool = False, also: Base | None = None) -> Base:
    """The weights that a pipeline begins with; ``anew``, and those of a slice, with statistics of the task's images.

    Raises:
        UserError: the weights are not installed, or they are the user's and ``also`` is None.
    """
    if pipeline.weights == OTHER:
        return _given(also)
    stages = _stages(pipeline)
    base = open_base(pipeline.weights, channels=task.channels, resolution=pipeline.resolution, stages=stages)
    if stages is not None or anew:
        recalibrate(base.network, _batches(base.at(pipeline.resolution), task))
        base = replace(base, digest=f"{base.digest}-anew")
    return base


def _given(also: Base | None) -> Base:
    if also is None:
        raise UserError(f"the weights {OTHER!r} are a network of your own: name it, such as --also timm:NAME")
    return also


def blueprint_of(pipeline: Pipeline, *, channels: int, classes: int, also: Base | None = None) -> Blueprint:
    """How the network of a pipeline is made."""
    if pipeline.weights == OTHER:
        return _given(also).blueprint(classes)
    if pipeline.weights == "hog":
        return open_base("hog", channels=channels, resolution=pipeline.resolution).blueprint(classes)
    family = family_of(pipeline.weights)
    return family.blueprint(_stages(pipeline) or family.stages, channels, classes)


def probe_pipeline(pipeline: Pipeline, task: Task, *, cache: Path | None = None) -> Probed:
    """The linear layer on the features of a pipeline's weights."""
    return probe(base_of(pipeline, task), task, resolution=pipeline.resolution, cache=cache)


def cheap_probes(
    task: Task, judges: Sequence[Pipeline] = JUDGES, *, cache: Path | None = None
) -> dict[Pipeline, Probed]:
    """The cheap probes of a task."""
    return {each: probe_pipeline(each, task, cache=cache) for each in judges}


def best_judge(judges: Mapping[Pipeline, Probed]) -> Pipeline:
    """The one that is right for most validation images."""
    return max(judges, key=lambda each: judges[each].valid_accuracy or 0.0)


def choose_augment(
    choice: str, task: Task, *, judges: Mapping[Pipeline, Probed] | None = None, cache: Path | None = None
) -> tuple[Augment, str]:
    """What to do to training images, and one line that says so and why; the best of the probes ``judges`` tells.

    Without them those of `JUDGES` are fitted.

    Raises:
        UserError: the choice is unknown.
    """
    if (found := asked(choice)) is not None:
        return found
    known = judges or cheap_probes(task, cache=cache)
    best = best_judge(known)
    return choose(choice, base_of(best, task), known[best].classifier, task, cache=cache)


def tune_pipeline(
    pipeline: Pipeline,
    task: Task,
    effort: Effort,
    *,
    begin: Classifier | None = None,
    deadline: float = math.inf,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], bool | None] | None = None,
) -> Tuned:
    """Fine-tunes from ``begin``, by default from where `begin_of` the pipeline says."""
    if begin is None:
        begin = begin_of(pipeline, task, seed=effort.seed)
    layers: Layers = "head" if pipeline.training == "head" else "half" if pipeline.training == "half" else "all"
    tuning = Tuning(
        layers=layers,
        learning_rate=pipeline.learning_rate or 0.03,
        seconds=effort.seconds,
        steps=effort.steps,
        statistics=pipeline.weights not in OURS,
        augment=effort.augment,
        parts=effort.parts,
        seed=effort.seed,
    )
    return finetune(begin, task, tuning, deadline=deadline, checkpoint=checkpoint, on_epoch=on_epoch)


def begin_of(
    pipeline: Pipeline, task: Task, *, seed: int = 0, cache: Path | None = None, also: Base | None = None
) -> Classifier:
    """Where a training begins: at fresh weights, or at a linear layer that is fitted to the frozen weights' features.

    Ours have the statistics of the images before, see `OURS`.
    """
    if pipeline.weights == "scratch":
        return from_nothing(pipeline, task, seed)
    ours = pipeline.weights in OURS
    base = base_of(pipeline, task, anew=ours, also=also)
    few = max(BEGIN, BEGIN_EACH * task.classes)
    most = {TRAIN: few, VALIDATION: few} if ours else None  # others' features are known from their probe
    return probe(base, task, resolution=pipeline.resolution, cache=cache, most=most).classifier


def from_nothing(pipeline: Pipeline, task: Task, seed: int) -> Classifier:
    """The residual network with fresh weights."""
    blueprint = blueprint_of(pipeline, channels=task.channels, classes=task.classes)
    with lent(seed=seed):
        network = blueprint.build().eval()
    mean, scale = normalisation(task)
    return Classifier(network, blueprint, mean, scale, pipeline.resolution)


def _stages(pipeline: Pipeline) -> Stages | None:
    """The slice of its family that a pipeline keeps; None for the whole."""
    if pipeline.weights == "hog" or not (pipeline.slim or pipeline.short):
        return None
    family = family_of(pipeline.weights)
    slim = max(SLIM * width for blocks in family.stages for _, width in blocks)
    return family.slice(depth=SHORT if pipeline.short else None, expansion=slim if pipeline.slim else None)


def stages_of(pipeline: Pipeline) -> Stages:
    """The blocks that a pipeline keeps; none of HOG and of networks that are not ours to know."""
    if pipeline.weights in ("hog", OTHER):
        return ()
    family = family_of(pipeline.weights)
    return _stages(pipeline) or family.stages


def _batches(classifier: Classifier, task: Task) -> Iterator[Tensor]:
    where = task.places(TRAIN)
    some = task.images[where[np.random.default_rng(0).permutation(len(where))[:STATISTICS_IMAGES]]]
    for part in classifier.resized(some).split(STATISTICS_BATCH):
        if len(part) > 1:
            yield classifier.normalised(part)
