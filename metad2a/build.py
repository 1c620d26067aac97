"""`database build`: measures architectures on sampled tasks by a recipe and stores every record at once.

Append-only and resumable: what the store holds is not measured again. A common core of architectures is
measured on every task, the rest is drawn for each task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from databases.architectures.architecture import Architecture
from databases.architectures.spaces import space
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.datasets.sampler import TaskSpec, build_task, family, sample_specs
from databases.datasets.task import TEST, VALIDATION, Task
from databases.errors import UserError
from databases.records.recipe import recipe as named_recipe
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a import executor
from metad2a.training import Training, predictions, train

# Measured on every task. Nine are the typical cells (nearest to k-means centres over live operations, depths
# and paths of all cells with a live convolution), seven are extremes (farthest-point sampling of the same).
CORE = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_1x1~1|+|skip_connect~0|skip_connect~1|nor_conv_1x1~2|",
    "|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
    "|skip_connect~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    "|nor_conv_1x1~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|avg_pool_3x3~0|avg_pool_3x3~1|nor_conv_1x1~2|",
    "|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
    "|skip_connect~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|nor_conv_1x1~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|nor_conv_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
    "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
)


@dataclass(frozen=True)
class Measurement:
    """One training to do."""

    spec: TaskSpec
    folder: Path
    architecture: str
    recipe: str
    seed: int
    space: str = "nasbench201"


@dataclass(frozen=True)
class Built:
    """Progress of a build: measurements done now, already there, and still to do."""

    done: int
    known: int
    left: int
    record: Record | None = None


def build(
    store: Store,
    folder: Path,
    *,
    tasks: int,
    per_task: int,
    recipe: str,
    workers: int = 2,
    judged: int = 6,
    seeds: int = 3,
    seed: int = 0,
    on_progress: Callable[[Built], None] | None = None,
) -> Built:
    """Measures ``tasks`` x ``per_task`` architectures; the first ``judged`` tasks under ``seeds`` seeds.

    The judged tasks take the common core only, so that their noise can be told from their spread.
    """
    specs = sample_specs(folder, tasks=tasks, seed=seed)
    for spec in specs:
        store.add_task(entry(_task(spec, folder), spec))
    jobs = plan(specs, folder, per_task=per_task, recipe=recipe, judged=judged, seeds=seeds)
    known = set(store.keys(recipe=recipe))
    todo = [job for job in jobs if _key(job) not in known]
    built = Built(0, len(jobs) - len(todo), len(todo))
    for record in executor.run(measure, todo, workers=workers, nice=19):
        store.add([record])
        built = Built(built.done + 1, built.known, built.left - 1, record)
        if on_progress is not None:
            on_progress(built)
    return built


def plan(
    specs: Sequence[TaskSpec], folder: Path, *, per_task: int, recipe: str, judged: int, seeds: int
) -> list[Measurement]:
    """The measurements in the order of their worth: first seeds of all tasks, then further seeds."""
    named_recipe(recipe)
    core = core_architectures(per_task)
    jobs = []
    for index, spec in enumerate(specs):
        shared = per_task if index < judged else per_task * 3 // 4
        chosen = [*core[:shared], *scattered_architectures(per_task - shared, seed=index)]
        count = seeds if index < judged else 1
        cells = dict.fromkeys(map(str, chosen))  # a scattered cell may be one of the core
        jobs += [Measurement(spec, folder, each, recipe, s) for s in range(count) for each in cells]
    return sorted(jobs, key=lambda job: job.seed)


def measure(job: Measurement) -> Record:
    """Trains once and tests on validation and test images; picklable, for the executor."""
    task = _task(job.spec, job.folder)
    architecture = space(job.space).parse(job.architecture)
    training = train(task, architecture, recipe=named_recipe(job.recipe), seed=job.seed, device="auto")
    return record_of(task, training, architecture=architecture, recipe=job.recipe, seed=job.seed, source="own")


def record_of(
    task: Task, training: Training, *, architecture: Architecture, recipe: str, seed: int, source: str
) -> Record:
    """The record of a finished training, tested on every held-out image: accuracies and mean log losses."""
    small, values, extra = task.resized(named_recipe(recipe).resolution), {}, {}
    for part, name in ((VALIDATION, "valid"), (TEST, "test")):
        images, labels = small.part(part)
        extra[f"{name}_images"] = float(len(labels))
        if len(labels):
            logits = predictions(training, images)
            values[name] = float(100 * np.mean(logits.argmax(1) == labels))
            extra[f"{name}_loss"] = _log_loss(logits, labels)
    return Record(
        task=task.fingerprint,
        space=architecture.space,
        architecture=str(architecture),
        recipe=recipe,
        seed=seed,
        source=source,
        valid_accuracy=values.get("valid"),
        test_accuracy=values.get("test"),
        train_seconds=training.seconds,
        extra=extra,
    )


def entry(task: Task, spec: TaskSpec) -> TaskEntry:
    """What the store keeps of a task: never its images."""
    statistics = {name: float(value) for name, value in task.statistics().items()}
    return TaskEntry(task.fingerprint, task.name, family(spec.source), statistics, spec.to_json())


def core_architectures(count: int) -> list[Architecture]:
    """The first ``count`` of the 16 cells that are measured on every task."""
    if not 1 <= count <= len(CORE):
        raise UserError(f"{count} architectures a task: give 1 to {len(CORE)}")
    return [space("nasbench201").parse(text) for text in CORE[:count]]


def scattered_architectures(count: int, *, seed: int) -> list[Architecture]:
    """Cells drawn at random among those with a convolution on a path from input to output."""
    cells = _sensible()
    picked = np.random.default_rng([201, seed]).choice(len(cells), size=count, replace=False)
    return [cells[i] for i in picked]


@lru_cache(maxsize=1)
def _sensible() -> list[Architecture]:
    nasbench = space("nasbench201")
    assert isinstance(nasbench, NASBench201)
    return [each for each in nasbench.classes if sum(nasbench.describe(each)[:2])]


@lru_cache(maxsize=2)
def _task(spec: TaskSpec, folder: Path) -> Task:
    return build_task(spec, folder)


def _key(job: Measurement) -> tuple[str, str, str, str, int]:
    return (_task(job.spec, job.folder).fingerprint, job.space, job.architecture, job.recipe, job.seed)


def _log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    shifted = logits - logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    return float(np.mean(log_sum - shifted[np.arange(len(labels)), labels]))
