"""Own tasks that were trained under several seeds, each with a generator that saw no relative of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from databases.architectures.spaces import finite_space
from databases.records.store import Store
from metad2a import executor
from metad2a.benchmark_table import BenchmarkTable, Values
from metad2a.episodes import Episode, episodes
from metad2a.generator import Generator, Lesson, train_generator
from metad2a.home import home
from metad2a.recommend import load
from metad2a.reproduce.report import Context
from metad2a.shipped import add_measurements

RECIPE, SPACE = "tiny", "nasbench201"
SEEDS, CELLS = 3, 20  # how often and on how many cells a judged task was trained
AMONG, GOOD = 1500, 32  # classes that are predicted for a known task, and how many of them its lesson calls good


@dataclass(frozen=True, eq=False)
class OwnTask:
    """A judged task: its few cells with means over seeds, every single validation accuracy, a generator without it.

    Attributes:
        runs: (cells, seeds) validation accuracies. generator: taught by tasks of other families alone.
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


def held_out_tasks(context: Context, *, steps: int, most: int = 100) -> list[OwnTask]:
    """At most ``most`` of the shipped tasks with enough seeds, with generators trained for ``steps`` updates."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "own.db") as store:
        add_measurements(store)
        context.image_source("fashion_mnist")  # says what is missing
        known = episodes(store, images=context.images, cache=home() / "features")
        own = [each for each in known if each.recipe == RECIPE]
        judged = [each for each in own if is_judged(each.by_seed)][:most]
        tables = [_table(store, each) for each in judged]
    jobs = [(i, each, own, steps, context.seed) for i, each in enumerate(judged)]
    generators: dict[int, Generator] = {}
    for number, generator in executor.run(_taught, jobs, workers=min(context.workers, len(jobs))):
        generators[number] = generator
        context.say(f"generator without {judged[number].family}: trained ({len(generators)} of {len(jobs)})")
    return [OwnTask(each, *tables[i], generators[i]) for i, each in enumerate(judged)]


def _table(store: Store, episode: Episode) -> tuple[BenchmarkTable, Values]:
    """The cells that every seed trained."""
    chosen, runs, tests = finite_space(SPACE), dict[str, list[float]](), dict[str, list[float]]()
    for record in store.records(task=episode.features.fingerprint, recipe=RECIPE):
        if record.valid_accuracy is not None and record.test_accuracy is not None:
            runs.setdefault(record.architecture, []).append(record.valid_accuracy)
            tests.setdefault(record.architecture, []).append(record.test_accuracy)
    texts = [text for text, values in runs.items() if len(values) >= SEEDS]
    by_seed = np.array([runs[text][:SEEDS] for text in texts])
    test = np.array([np.mean(tests[text]) for text in texts])
    cells = tuple(chosen.canonical(chosen.parse(text)) for text in texts)
    return BenchmarkTable(episode.features.name, RECIPE, cells, by_seed.mean(1), test), by_seed


def _taught(job: tuple[int, Episode, Sequence[Episode], int, int]) -> tuple[int, Generator]:
    """A generator of the shipped one's sizes, taught by what the surrogate without the family says of other tasks."""
    number, judged, own, steps, seed = job
    model, rng = load(), np.random.default_rng([seed, number])
    process = model.surrogates[RECIPE].without(judged.family)
    assert process is not None
    classes = finite_space(SPACE).classes
    lessons = []
    for each in own:
        if each.family != judged.family:
            among = rng.permutation(len(classes))[:AMONG]
            best = among[np.argsort(-process.predict(each.features.statistics, among).mean)[:GOOD]]
            lessons.append(Lesson(each.features, RECIPE, [classes[i].walk for i in best], np.full(GOOD, 1 / GOOD)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return number, train_generator(Generator(model.generator.config), lessons, steps=steps, seed=seed)
