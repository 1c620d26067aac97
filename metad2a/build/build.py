"""`database build`: measures architectures on sampled tasks by a recipe and stores every record at once.

Append-only and resumable: what the store holds is not measured again. In three rounds: cells of a common core on
every task; then further seeds of the judged tasks, which tell noise from signal; then, task by task, the cells that
the surrogate would learn most from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.special import log_softmax

from databases.architectures.space import Architecture, finite_space, space
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.architectures.spaces.nasbench201_core import CORE
from databases.datasets.features import extract
from databases.datasets.sampler import SOURCES, TaskSpec, build_task, family, sample_specs
from databases.datasets.task import TEST, VALIDATION, Task
from databases.errors import UserError
from databases.records.recipe import recipe as named_recipe
from databases.records.recipe import trainable
from databases.records.record import Record, RecordKey, TaskEntry
from databases.records.store import Store
from databases.usual import AUTOMATIC, DEFAULT_SPACE
from metad2a.build.acquisition import most_telling
from metad2a.runtime.executors.processes import Death, GivenUp
from metad2a.runtime.place import TWO, Place
from metad2a.train.inference import predictions
from metad2a.train.train import train
from metad2a.train.training import Training

POOL = 256  # cells among which the next ones for a task are chosen


@dataclass(frozen=True)
class Measurement:
    """One training to do."""

    spec: TaskSpec
    folder: Path
    architecture: str
    recipe: str
    seed: int
    space: str = DEFAULT_SPACE

    def __str__(self) -> str:
        return f"{self.spec.name}, {self.architecture} by {self.recipe}, seed {self.seed}"


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
    place: Place = TWO,
    judged: int,
    seeds: int = 3,
    seed: int = 0,
    cache: Path | None = None,
    on_progress: Callable[[Built], None] | None = None,
    on_death: Callable[[Death], None] = lambda death: None,
) -> Built:
    """Measures ``per_task`` architectures on each of ``tasks`` tasks.

    The first ``judged`` tasks take the whole common core under ``seeds`` seeds instead, so that their noise can
    be told from their spread. ``cache`` is the folder of cached features. ``on_death`` hears of processes that died.
    Where the ``place`` has other machines, ``folder`` must be there under the same path.

    Raises:
        GivenUp: when all else is measured, where measurements ended their process each time.
    """
    trainable(recipe)
    spread = place.crew(nice=19, on_death=on_death)
    specs = sample_specs(folder, tasks=tasks, seed=seed)
    first, last = core_rounds(specs, folder, per_task=per_task, recipe=recipe, judged=judged, seeds=seeds)
    for spec in specs:
        store.add_task(entry(built_task(spec, folder), spec))
    rounds: tuple[Callable[[], list[Measurement]], ...] = (
        lambda: first,
        lambda: last,
        lambda: telling_round(store, specs[judged:], folder, per_task=per_task, recipe=recipe, cache=cache),
    )
    built = _progress(store.keys(recipe=recipe), [*first, *last], judged, per_task)
    lost: list[Measurement] = []
    for jobs in rounds:
        known = store.keys(recipe=recipe)
        todo = [job for job in jobs() if _key(job) not in known and job not in lost]
        for record in _measured(todo, lost, spread):
            store.add([record])
            built = Built(built.done + 1, built.known, built.left - 1, record)
            if on_progress is not None:
                on_progress(built)
    if lost:
        raise GivenUp(lost)
    return built


def _measured(
    jobs: Iterable[Measurement], lost: list[Measurement], spread: Callable[..., Iterator[Record]]
) -> Iterator[Record]:
    """The records of a round; measurements that are given up join ``lost``, and the next round can begin."""
    try:
        yield from spread(measure, jobs)
    except GivenUp as given_up:
        lost += given_up.jobs


def shared_cells(per_task: int) -> int:
    """Cells of the core on a task that is not judged: three quarters."""
    return min(per_task * 3 // 4, len(CORE))


def core_rounds(
    specs: Sequence[TaskSpec], folder: Path, *, per_task: int, recipe: str, judged: int, seeds: int
) -> tuple[list[Measurement], list[Measurement]]:
    """The measurements of the common core: the first seeds of all tasks, and the further ones of judged tasks.

    Each lap through the image sources takes another stretch of the core.
    """
    if per_task < 1:
        raise UserError(f"{per_task} architectures a task: give 1 or more")
    first, last = [], []
    for index, spec in enumerate(specs):
        shift = 0 if index < judged else 7 * (index // len(SOURCES))
        count = len(CORE) if index < judged else shared_cells(per_task)
        cells = [CORE[(shift + i) % len(CORE)] for i in range(count)]
        first += [Measurement(spec, folder, each, recipe, 0) for each in cells]
        if index < judged:
            last += [Measurement(spec, folder, each, recipe, s) for s in range(1, seeds) for each in cells]
    return first, sorted(last, key=lambda job: job.seed)


def telling_round(
    store: Store, specs: Sequence[TaskSpec], folder: Path, per_task: int, recipe: str, cache: Path | None = None
) -> list[Measurement]:
    """As many more cells for each task as make ``per_task``: those that the surrogate would learn most from."""
    from databases.records.episodes import by_recipe, episodes, own_episodes
    from metad2a.recommend.model import load
    from predictors.surrogates import learn_process

    measured = _cells_of_tasks(store.keys(recipe=recipe, space=DEFAULT_SPACE))
    lacking = {spec: per_task - len(measured[fingerprint_of(spec, folder)]) for spec in specs}
    if not any(count > 0 for count in lacking.values()):
        return []
    own = own_episodes(episodes(store, images=folder, usable=by_recipe(recipe), cache=cache), recipe)
    process, nasbench = learn_process(load().predictor, own) if own else None, finite_space(DEFAULT_SPACE)
    jobs = []
    for index, (spec, count) in enumerate(lacking.items()):
        task = built_task(spec, folder)
        known = [nasbench.class_number(nasbench.parse(text)) for text in measured[task.fingerprint]]
        pool = [nasbench.class_number(each) for each in scattered_architectures(POOL, seed=index)]
        if process is None:  # nothing to learn from yet
            chosen = [each for each in pool if each not in known][: max(0, count)]
        else:
            chosen = most_telling(process, extract(task, cache=cache).statistics, pool, known, count)
        for number in chosen:
            jobs.append(Measurement(spec, folder, str(nasbench.classes[number]), recipe, 0))
    return jobs


def measure(job: Measurement) -> Record:
    """Trains once and tests on validation and test images; picklable, for the executor."""
    task = built_task(job.spec, job.folder)
    architecture = space(job.space).parse(job.architecture)
    training = train(task, architecture, recipe=named_recipe(job.recipe), seed=job.seed, on=AUTOMATIC)
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
            extra[f"{name}_loss"] = float(-np.mean(log_softmax(logits, axis=1)[np.arange(len(labels)), labels]))
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
    return replace(TaskEntry.of(task), source=family(spec.source), spec=spec.to_json())


def scattered_architectures(count: int, *, seed: int) -> list[Architecture]:
    """Cells drawn at random among those with a convolution on a path from input to output."""
    cells = _sensible()
    picked = np.random.default_rng([201, seed]).choice(len(cells), size=count, replace=False)
    return [cells[i] for i in picked]


@lru_cache(maxsize=1)
def _sensible() -> list[Architecture]:
    nasbench = space("nasbench201")
    assert isinstance(nasbench, NASBench201)
    return [each for each in nasbench.classes if sum(nasbench.graph_numbers(each)[:2])]


@lru_cache(maxsize=3)
def built_task(spec: TaskSpec, folder: Path) -> Task:
    """The task, kept for a while: many measurements in turn are of one."""
    return build_task(spec, folder)


def _cells_of_tasks(keys: Iterable[RecordKey]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        found[key.task].add(key.architecture)
    return found


def _progress(known: set[RecordKey], core: Sequence[Measurement], judged: int, per_task: int) -> Built:
    """What is there already and what is left, the cells that are not chosen yet included."""
    planned = {_key(job) for job in core}
    cells = _cells_of_tasks([*known, *planned])
    tasks = list(dict.fromkeys(_key(job).task for job in core))
    left = len(planned - known) + sum(max(0, per_task - len(cells[task])) for task in tasks[judged:])
    return Built(0, len(planned & known), left)


def _key(job: Measurement) -> RecordKey:
    return RecordKey(fingerprint_of(job.spec, job.folder), job.space, job.architecture, job.recipe, job.seed)


@lru_cache(maxsize=1000)
def fingerprint_of(spec: TaskSpec, folder: Path) -> str:
    """Of the task, also of more than are kept."""
    return built_task(spec, folder).fingerprint
