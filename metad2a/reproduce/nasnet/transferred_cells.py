"""Searches for a cell on one small image set, and what their cells are worth on another.

At our scale the networks are tiny and see every training image five times, since after one pass the seed alone moves
the accuracy by tens of points. A search has sixteen trainings where NASNet's
had 20,000: too few for a policy gradient to learn from, so that regularised evolution searches here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, image_space
from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN, Task, sample
from databases.records.recipe import Recipe
from metad2a.reports.report import paired
from metad2a.reproduce.demonstration import Context
from metad2a.search import loop
from metad2a.search.controllers import controller

if TYPE_CHECKING:
    from metad2a.train.training import Training

RECIPE = Recipe("", channels=4, cells=1, resolution=8, epochs=5, batch=32, learning_rate=0.05, average=0.25)
POPULATION, TOURNAMENT = 4, 2  # small: a search has sixteen trainings
STRANGERS = 1000  # added to a seed for its random cells, which must not be those that the searches began with
FURTHER = 10_000  # added to a seed for each further training of the same cell
MOST, FAST_MOST = 540, 180  # training images of a set: 85 steps, or 30
BEST, LUCKY, WORST, RANDOM = "best of the search", "best of random search", "worst of the search (control)", "random"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        searches, trials: paired searches, and trainings of each.
        finalists, retrainings: how many best cells of a search are trained anew and how often; the best of them by the
            mean is taken (NASNet retrains its 250 best).
        rivals: random cells that each search is judged against.
        tests: trainings of every cell on the second set.
    """

    searches: int = 10
    trials: int = 16
    finalists: int = 3
    retrainings: int = 2
    rivals: int = 7
    tests: int = 2


FAST = Size(searches=2, trials=2, finalists=1, retrainings=0, rivals=1, tests=1)


@dataclass(frozen=True)
class Cell:
    """One training: of which cell, with which seed, and on which set."""

    architecture: Architecture
    seed: int
    task: Task


@dataclass(frozen=True)
class Search:
    """What one seed searches, by evolution and by random search, on which set."""

    seed: int
    size: Size
    task: Task


@dataclass(frozen=True)
class Searched:
    """What the searches of a seed measured: validation accuracies on the first set.

    Attributes:
        best: BEST and LUCKY -> the finalist that was taken, and its mean validation accuracy.
    """

    seed: int
    evolution: loop.Trace
    random: loop.Trace
    best: dict[str, tuple[Architecture, float]]

    def valid(self) -> dict[str, float]:
        """Role -> validation accuracy of its one cell."""
        return {role: accuracy for role, (_, accuracy) in self.best.items()} | {WORST: min(self.evolution.scores)}

    def cells(self, rivals: int) -> dict[str, list[Architecture]]:
        """Role -> the cells that go to the second set."""
        worst = self.evolution.architectures[self.evolution.scores.index(min(self.evolution.scores))]
        strangers = controller("random", image_space("nasnet"), seed=self.seed + STRANGERS).ask(rivals)
        return {role: [chosen] for role, (chosen, _) in self.best.items()} | {WORST: [worst], RANDOM: strangers}


@dataclass(frozen=True)
class Found:
    """The second set's figures, in the order of the seeds.

    Attributes:
        test: role -> test accuracies (searches, cells), means over trainings.
        size: role -> mean parameters of its cells' networks.
    """

    test: dict[str, Values]
    size: dict[str, float]

    @property
    def median(self) -> Values:
        """Test accuracy of the median random cell, (searches,)."""
        middle: Values = np.median(self.test[RANDOM], axis=1)
        return middle

    def above(self, role: str) -> dict[str, float]:
        """Paired difference of a role's one cell from the median random cell."""
        return paired(self.test[role][:, 0], self.median)

    def best_above(self, role: str) -> dict[str, float]:
        """Paired difference of the searched cell from a role's one cell."""
        return paired(self.test[BEST][:, 0], self.test[role][:, 0])


def image_sets(context: Context) -> tuple[Task, Task]:
    """The two sets: digits and clothes; for CI the digits 0 to 4 and 5 to 9, which need no files."""
    digits = load_task("sklearn:digits", as_stored=True)
    if context.fast:
        return fewer(_classes(digits, range(5)), FAST_MOST), fewer(_classes(digits, range(5, 10)), FAST_MOST)
    clothes = load_task(context.image_source("fashion_mnist"), resolution=RECIPE.resolution, as_stored=True)
    return fewer(digits), fewer(clothes)


def _classes(task: Task, kept: range) -> Task:
    """The part of a task with some of its classes."""
    chosen = np.isin(task.labels, kept)
    return Task(
        f"{task.name} {kept.start} to {kept.stop - 1}",
        task.images[chosen],
        task.labels[chosen] - kept.start,
        task.parts[chosen],
        tuple(task.class_names[i] for i in kept),
        task.source,
    )


def fewer(task: Task, most: int = MOST) -> Task:
    """The task with at most ``most`` training images and all others."""
    training = np.flatnonzero(task.parts == TRAIN)
    kept = training[sample(task.labels[training], task.parts[training], most=most, seed=0)]
    chosen = np.sort(np.concatenate([kept, np.flatnonzero(task.parts != TRAIN)]))
    return replace(task, images=task.images[chosen], labels=task.labels[chosen], parts=task.parts[chosen])


def searches(task: Task, size: Size, context: Context) -> list[Searched]:
    """Every seed's searches on the first set, in processes of their own, in the order of the seeds."""
    jobs = [Search(seed, size, task) for seed in context.seeds(size.searches)]
    found: list[Searched] = []
    for each in context.run(_search, jobs):
        found.append(each)
        context.say(f"{len(found)} of {len(jobs)} searches on {task.name}: {each.valid()[BEST]:.1f}% on validation")
    return sorted(found, key=lambda each: each.seed)


def _search(job: Search) -> Searched:
    """Evolution, and random search that begins with the same cells; what both ask for is trained once."""
    space = image_space("nasnet")
    known: dict[tuple[Architecture, int], float] = {}

    def valid(architecture: Architecture, seed: int) -> float:
        if (architecture, seed) not in known:
            known[architecture, seed] = _valid(Cell(architecture, seed, job.task))
        return known[architecture, seed]

    def measure(architectures: Sequence[Architecture]) -> list[float]:
        return [valid(each, job.seed) for each in architectures]

    def best(trace: loop.Trace) -> tuple[Architecture, float]:
        order = np.argsort(trace.scores, kind="stable")[::-1]
        finalists = dict.fromkeys(trace.architectures[i] for i in order)
        seeds = [job.seed + i * FURTHER for i in range(job.size.retrainings + 1)]
        means = {each: float(np.mean([valid(each, s) for s in seeds])) for each in [*finalists][: job.size.finalists]}
        return max(means.items(), key=lambda each: each[1])

    evolution = controller("evolution", space, seed=job.seed, population=POPULATION, tournament=TOURNAMENT)
    drawing = controller("random", space, seed=job.seed)
    found, drawn = (loop.run(each, measure, trials=job.size.trials, batch=POPULATION) for each in (evolution, drawing))
    return Searched(job.seed, found, drawn, {BEST: best(found), LUCKY: best(drawn)})


def transfer(searched: Sequence[Searched], task: Task, size: Size, context: Context) -> Found:
    """Trains the cells of every search on the second set, each as often although it may have two roles."""
    cells = {each.seed: each.cells(size.rivals) for each in searched}
    further = [i * FURTHER for i in range(size.tests)]
    jobs = [
        Cell(each, seed + more, task)
        for seed, of in cells.items()
        for each in dict.fromkeys(chain(*of.values()))
        for more in further
    ]
    tested: dict[tuple[int, Architecture], float] = {}
    for job, accuracy in context.run(_test, jobs):
        tested[job.seed, job.architecture] = accuracy
        if len(tested) % 10 == 0:
            context.say(f"{len(tested)} of {len(jobs)} trainings on {task.name}")

    def test(seed: int, architecture: Architecture) -> float:
        return float(np.mean([tested[seed + more, architecture] for more in further]))

    space, skeleton = image_space("nasnet"), RECIPE.skeleton(input_channels=task.channels, classes=task.classes)
    roles = (BEST, LUCKY, WORST, RANDOM)
    return Found(
        {role: np.array([[test(seed, each) for each in of[role]] for seed, of in cells.items()]) for role in roles},
        {
            role: float(np.mean([space.parameters(each, skeleton) for of in cells.values() for each in of[role]]))
            for role in roles
        },
    )


def _trained(cell: Cell) -> Training:
    from metad2a.train.train import train

    return train(cell.task, cell.architecture, recipe=RECIPE, seed=cell.seed, on="cpu")


def _valid(cell: Cell) -> float:
    """Validation accuracy in percent."""
    return _trained(cell).valid_accuracy or 0.0


def _test(cell: Cell) -> tuple[Cell, float]:
    """Test accuracy in percent."""
    from metad2a.train.inference import accuracy

    return cell, accuracy(_trained(cell), cell.task.resized(RECIPE.resolution)) or 0.0
