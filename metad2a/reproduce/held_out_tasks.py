"""Own tasks of every source that can be held out, each with a generator that saw no relative of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from databases.architectures.space import finite_space
from databases.hosting import lent
from databases.records.benchmark_table import BenchmarkTable, Values
from databases.records.episodes import NEVER_HELD_OUT, Episode, episodes
from databases.records.store import Store
from metad2a.build.shipped import add_measurements
from metad2a.generate.generator import Generator, Lesson, train_generator
from metad2a.recommend.model import load
from metad2a.reproduce.demonstration import Context
from metad2a.retrain.may_teach import may_teach
from metad2a.runtime.executors import processes as executor
from metad2a.runtime.home import features_folder

RECIPE, SPACE = "tiny", "nasbench201"
SEEDS, CELLS = 3, 20  # how often and on how many cells a judged task was trained
ENOUGH = 17  # measured cells of a task that is searched
AMONG, GOOD = 1500, 32  # classes that are predicted for a known task, and how many of them its lesson calls good


@dataclass(frozen=True, eq=False)
class OwnTask:
    """A task that is searched: its few cells, and a generator taught by other families alone.

    Attributes:
        table: means over the seeds, most tasks have one. runs: (cells, seeds) every single validation accuracy.
    """

    episode: Episode
    table: BenchmarkTable
    runs: Values
    generator: Generator


def repeated(by_seed: Values) -> npt.NDArray[np.bool_]:
    """(n, seeds) accuracies, NaN where missing -> (n,) whether enough seeds trained the cell."""
    found: npt.NDArray[np.bool_] = np.isfinite(by_seed).sum(1) >= SEEDS
    return found


def is_judged(by_seed: Values) -> bool:
    """Whether an own task of these accuracies, (n, seeds), can judge: enough seeds trained enough cells."""
    return int(repeated(by_seed).sum()) >= CELLS


def held_out_tasks(context: Context, *, steps: int) -> list[OwnTask]:
    """The shipped tasks with enough cells of every source that can be held out.

    One generator a family is trained for ``steps`` updates.
    """
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "own.db") as store:
        add_measurements(store)
        context.image_source("fashion_mnist")  # says what is missing
        known = episodes(store, images=context.images, usable=may_teach, cache=features_folder())
        own = [each for each in known if each.recipe == RECIPE]
        searched = [each for each in own if len(each.cells) >= ENOUGH and each.family not in NEVER_HELD_OUT]
        tables = [_table(store, each) for each in searched]
    families = sorted({each.family for each in searched})
    jobs = [(family, own, steps, context.seed) for family in families]
    generators: dict[str, Generator] = {}
    for family, generator in executor.run(_taught, jobs, workers=min(context.workers, len(jobs))):
        generators[family] = generator
        context.say(f"generator without {family}: trained ({len(generators)} of {len(jobs)})")
    return [OwnTask(each, *table, generators[each.family]) for each, table in zip(searched, tables, strict=True)]


def _table(store: Store, episode: Episode) -> tuple[BenchmarkTable, Values]:
    """The cells that every seed trained; of a task that was not trained often, every cell with its first seed."""
    seeds = SEEDS if is_judged(episode.by_seed) else 1
    chosen, runs, tests = finite_space(SPACE), dict[str, list[float]](), dict[str, list[float]]()
    for record in store.records(task=episode.features.fingerprint, recipe=RECIPE):
        if record.valid_accuracy is not None and record.test_accuracy is not None:
            runs.setdefault(record.architecture, []).append(record.valid_accuracy)
            tests.setdefault(record.architecture, []).append(record.test_accuracy)
    texts = [text for text, values in runs.items() if len(values) >= seeds]
    by_seed = np.array([runs[text][:seeds] for text in texts])
    test = np.array([np.mean(tests[text][:seeds]) for text in texts])
    cells = tuple(chosen.canonical(chosen.parse(text)) for text in texts)
    return BenchmarkTable(episode.features.name, RECIPE, cells, by_seed.mean(1), test), by_seed


def _taught(job: tuple[str, Sequence[Episode], int, int]) -> tuple[str, Generator]:
    """A generator of the shipped one's sizes, taught by what the surrogate without the family says of other tasks."""
    family, own, steps, seed = job
    model, rng = load(), np.random.default_rng([seed, *family.encode()])
    process = model.surrogates[RECIPE].without(family)
    assert process is not None
    classes = finite_space(SPACE).classes
    lessons = []
    for each in own:
        if each.family != family:
            among = rng.permutation(len(classes))[:AMONG]
            best = among[np.argsort(-process.predict(each.features.statistics, among).mean)[:GOOD]]
            lessons.append(Lesson(each.features, RECIPE, [classes[i].walk for i in best], np.full(GOOD, 1 / GOOD)))
    with lent(seed=seed):
        return family, train_generator(Generator(model.generator.config), lessons, steps=steps, seed=seed)
