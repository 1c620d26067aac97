"""`database build --space pipeline`: measures whole pipelines on sampled tasks, for so many steps each.

Resumable, breadth first: the pipelines of a round on every task before the next round. What a probe of frozen features
tells is a record like the others, so that whoever learns from them knows it of every task. That of a fine-tuning holds
its learning curve.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from databases.architectures.networks import cost
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.sampler import PIPELINE_SOURCES, TaskSpec, sample_specs
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.records.record import Record, RecordKey
from databases.records.store import Store
from databases.usual import AUTOMATIC
from metad2a.build.build import Built, built_task, entry, fingerprint_of
from metad2a.runtime.executors.processes import Death
from metad2a.runtime.place import TWO, Place
from metad2a.train.augment import Augment
from metad2a.train.classifier import Classifier
from metad2a.train.curve import curve_of
from metad2a.train.loop import Epoch
from metad2a.train.pipeline import Effort, begin_of, choose_augment, probe_pipeline, tune_pipeline
from metad2a.train.probe import percent_right

MOST_TEST = 1_000  # images
TIMED = 64  # images that tell the speed
ROUNDS: tuple[tuple[tuple[str, int], ...], ...] = (  # pipelines with their steps, what a search asks first in front
    (
        ("own 32px probe whole", 0),
        ("hog 64px", 0),
        ("own 48px probe whole", 0),
        ("lite0 64px probe whole", 0),
        ("own 48px all rate0.03 whole", 400),
        ("own 48px all rate0.1 whole", 400),
        ("own 32px all rate0.03 whole", 400),
        ("own 32px all rate0.1 whole", 400),
        ("own 32px half rate0.03 whole", 100),
    ),
    (
        ("own 48px all rate0.1 whole", 100),
        ("own 48px half rate0.03 whole", 400),
        ("own 32px all rate0.03 slim-short", 400),
        ("lite0 64px half rate0.01 whole", 100),
    ),
    (
        ("own 32px half rate0.03 whole", 400),
        ("own 48px all rate0.03 whole", 100),
        ("own 48px half rate0.03 whole", 100),
        ("lite0 64px all rate0.01 whole", 100),
    ),
    (
        ("own 32px all rate0.03 whole", 100),
        ("own 48px all rate0.03 slim", 100),
        ("scratch 32px rate0.1 whole", 400),
        ("lite0 96px probe whole", 0),
        ("lite0 128px probe whole", 0),
    ),
    (  # what a minute is long enough for, and larger images where there are
        ("lite0 64px all rate0.01 whole", 400),
        ("lite0 96px half rate0.01 whole", 100),
        ("lite0 96px all rate0.01 whole", 100),
        ("lite0 128px half rate0.01 whole", 100),
        ("lite0 128px all rate0.01 whole", 100),
    ),
    (  # half of the channels for as long as the whole takes
        ("own 48px all rate0.1 slim", 640),
        ("own 48px all rate0.03 slim", 640),
        ("own 32px all rate0.1 slim", 640),
        ("own 32px all rate0.03 slim", 640),
    ),
)
JUDGED = 4  # rounds that a judged task takes under more seeds: twenty pipelines, two more where images are large


@dataclass(frozen=True)
class Job:
    """One pipeline to measure; ``steps`` 0: a probe. ``cache`` is the folder of features."""

    spec: TaskSpec
    folder: Path
    pipeline: str
    steps: int
    seed: int
    cache: Path

    @property
    def recipe(self) -> str:
        """What the record says of its training."""
        return _pipeline(self.pipeline).recipe(self.steps)

    def __str__(self) -> str:
        return f"{self.spec.name}, {self.pipeline} by {self.recipe}, seed {self.seed}"


def build_pipelines(
    store: Store,
    folder: Path,
    *,
    tasks: int,
    cache: Path,
    place: Place = TWO,
    judged: int,
    seeds: int = 3,
    seed: int = 0,
    on_progress: Callable[[Built], None] = lambda built: None,
    on_death: Callable[[Death], None] = lambda death: None,
) -> Built:
    """Measures `ROUNDS` on each of ``tasks`` tasks, and the first `JUDGED` of them under more seeds on ``judged``.

    Raises:
        GivenUp: when all else is measured, where measurements ended their process each time.
    """
    specs = sample_specs(folder, tasks=tasks, seed=seed, sources=PIPELINE_SOURCES)
    for spec in specs:
        store.add_task(entry(built_task(spec, folder), spec))
    jobs = list(_jobs(specs, folder, cache, judged=judged, seeds=seeds))
    known = store.keys(space=PIPELINE.name)
    todo = [job for job in jobs if _key(job) not in known]
    built = Built(0, len(jobs) - len(todo), len(todo))
    for record in place.crew(nice=19, on_death=on_death)(measure, todo):
        store.add([record])
        built = Built(built.done + 1, built.known, built.left - 1, record)
        on_progress(built)
    return built


def _jobs(specs: list[TaskSpec], folder: Path, cache: Path, *, judged: int, seeds: int) -> Iterator[Job]:
    for number in range(seeds if judged else 1):
        for pipelines in ROUNDS[:JUDGED] if number else ROUNDS:
            for spec in specs[:judged] if number else specs:
                side = built_task(spec, folder).resolution
                for text, steps in pipelines:
                    if (steps or not number) and _pipeline(text).resolution <= max(64, side):
                        yield Job(spec, folder, text, steps, number, cache)


def measure(job: Job) -> Record:
    """One pipeline trained and tested; picklable, for the executor."""
    task, pipeline, begin = built_task(job.spec, job.folder), _pipeline(job.pipeline), time.monotonic()
    if not job.steps:
        probed = probe_pipeline(pipeline, task, cache=job.cache)
        return _record(job, task, probed.classifier, time.monotonic() - begin, probed.valid_loss)
    effort = Effort(steps=job.steps, augment=_augment(job.spec, job.folder, job.cache), seed=job.seed)
    first, curve = begin_of(pipeline, task, seed=job.seed, cache=job.cache), list[Epoch]()
    tuned = tune_pipeline(pipeline, task, effort, begin=first, on_epoch=curve.append)
    return _record(job, task, tuned.classifier, tuned.seconds, tuned.valid_loss, curve)


@lru_cache(maxsize=2)
def _augment(spec: TaskSpec, folder: Path, cache: Path) -> Augment:
    """What may be done to the training images, as a search finds it out."""
    return choose_augment(AUTOMATIC, built_task(spec, folder), cache=cache)[0]


def _record(
    job: Job, task: Task, classifier: Classifier, seconds: float, valid_loss: float, curve: Sequence[Epoch] = ()
) -> Record:
    values, extra = dict[str, float](), curve_of(curve)
    for part, name in ((VALIDATION, "valid"), (TEST, "test")):
        images, labels = task.part(part)
        extra[f"{name}_images"] = float(min(MOST_TEST, len(labels)))
        values[name] = percent_right(classifier.logits(images[:MOST_TEST]), labels[:MOST_TEST])
    network = cost.without_weights(classifier.blueprint.build)
    shape = (task.channels, classifier.resolution, classifier.resolution)
    begin = time.monotonic()
    classifier.logits(task.images[:TIMED])
    extra |= {
        "valid_loss": valid_loss,
        "train_images": float(np.count_nonzero(task.parts == TRAIN)),
        "classes": float(task.classes),
        "parameters": float(cost.parameters(network)),
        "flops": float(cost.multiply_adds(cost.with_zeros(network), shape)),
        "images_a_second": TIMED / max(time.monotonic() - begin, 1e-6),
    }
    return Record(
        task=task.fingerprint,
        space=PIPELINE.name,
        architecture=job.pipeline,
        recipe=job.recipe,
        seed=job.seed,
        source="own",
        valid_accuracy=values["valid"],
        test_accuracy=values["test"],
        train_seconds=seconds,
        extra={name: value for name, value in extra.items() if np.isfinite(value)},
    )


def _pipeline(text: str) -> Pipeline:
    return PIPELINE.pipeline(PIPELINE.parse(text))


def _key(job: Job) -> RecordKey:
    return RecordKey(fingerprint_of(job.spec, job.folder), PIPELINE.name, job.pipeline, job.recipe, job.seed)
