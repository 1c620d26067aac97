"""NASNet (Zoph, Vasudevan, Shlens, Le, 2018): a cell searched on one small image set, used on another.

At our scale the networks are tiny and see every training image once. A search has eight trainings where the paper
had 20,000: too few for a policy gradient to learn from, so that regularised evolution searches here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.architecture import Architecture, Skeleton
from databases.architectures.spaces import image_space
from databases.architectures.spaces.nasnet import NASNET_A
from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN, Task, sample
from databases.records.recipe import Recipe
from metad2a import executor, loop
from metad2a.controllers import controller
from metad2a.reproduce.report import Context, Curve, Demonstration, Panel, Report, Table, Verdict, paired, with_interval

RECIPE = Recipe("", channels=4, cells=1, resolution=8, epochs=1, batch=16, learning_rate=0.05, average=0.25)
POPULATION, TOURNAMENT = 4, 2  # small: a search has eight trainings
STRANGERS = 1000  # added to a seed for its random cells, which must not be those that the search began with
MOST, FAST_MOST = 540, 270  # training images of a set, seen once: 34 steps or half of them
PUBLISHED = 3.3e6  # parameters of NASNet-A (6 @ 768) on CIFAR-10: 6 cells a stage, 32 filters in the first
LARGE = Skeleton(channels=32, cells=6, input_channels=3, classes=10)
BEST, WORST, RANDOM = "best of the search", "worst of the search", "random"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Cell:
    """One training: why, of which cell, on which set, and with which seed."""

    role: str
    architecture: Architecture
    seed: int
    task: Task


@dataclass(frozen=True)
class _Found:
    """The second set's figures, in the order of the seeds.

    Attributes:
        test: role -> test accuracies (seeds, cells). size: role -> mean parameters of its cells' networks.
    """

    test: dict[str, Values]
    size: dict[str, float]

    @property
    def median(self) -> Values:
        """Test accuracy of the median random cell, (seeds,)."""
        middle: Values = np.median(self.test[RANDOM], axis=1)
        return middle

    def above(self, role: str) -> dict[str, float]:
        """Paired difference of a role's one cell from the median random cell."""
        return paired(self.test[role][:, 0], self.median)


def run(context: Context) -> Report:
    """Searches on one set; trains the best and the worst of the search and random cells on the other."""
    first, second = _tasks(context)
    seeds, trials, rivals = (2, 3, 2) if context.fast else (5, 8, 5)
    trace = _search(first, trials, context)
    places = range(context.seed, context.seed + seeds)
    found = _second([each for seed in places for each in _cells(trace, seed, rivals, second)], context)
    gain, control = found.above(BEST), found.above(WORST)
    valid = {BEST: max(trace.scores), WORST: min(trace.scores)}
    return Report(
        system="nasnet",
        source="Zoph, Vasudevan, Shlens, Le, 2018 (CVPR)",
        setting=(
            f"one search on {first.name} by evolution ({trials} trainings, best by validation), its cell then trained "
            f"on {second.name} beside {rivals} random cells; {seeds} seeds, each with its own random cells, so that "
            f"intervals are over trainings and rivals, not over searches; {RECIPE.channels} filters, "
            f"{RECIPE.cells} normal cell a stage, {RECIPE.resolution} px, {RECIPE.epochs} pass over {MOST} images"
        ),
        tables=(_transfer_table(found, valid, first, second), _size_table()),
        verdicts=(*_verdicts(gain, control, loose=context.fast), _size_verdict()),
        panels=(_panel(found, second),),
        figures={
            "seeds": list(places),
            "valid": valid,
            "test": {role: values.tolist() for role, values in found.test.items()},
            "parameters": found.size,
            "searched": {str(each): score for each, score in zip(trace.architectures, trace.scores, strict=True)},
            "best_less_median": gain,
            "worst_less_median": control,
            "best_less_worst": paired(found.test[BEST][:, 0], found.test[WORST][:, 0]),
            "share_of_random_beaten": float((found.test[BEST] > found.test[RANDOM]).mean()),
            "nasnet_a_parameters": _nasnet_a(),
        },
    )


def _tasks(context: Context) -> tuple[Task, Task]:
    """The two sets: digits and clothes; for CI the digits 0 to 4 and 5 to 9, which need no files."""
    digits = load_task("sklearn:digits")
    if context.fast:
        return _fewer(_classes(digits, range(5)), FAST_MOST), _fewer(_classes(digits, range(5, 10)), FAST_MOST)
    clothes = load_task(context.image_source("fashion_mnist"), resolution=RECIPE.resolution)
    return _fewer(digits), _fewer(clothes)


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


def _fewer(task: Task, most: int = MOST) -> Task:
    """The task with at most `MOST` training images and all others."""
    training = np.flatnonzero(task.parts == TRAIN)
    kept = training[sample(task.labels[training], task.parts[training], most=most, seed=0)]
    chosen = np.sort(np.concatenate([kept, np.flatnonzero(task.parts != TRAIN)]))
    return replace(task, images=task.images[chosen], labels=task.labels[chosen], parts=task.parts[chosen])


def _search(task: Task, trials: int, context: Context) -> loop.Trace:
    """What one search measured: validation accuracy on the first set."""
    space = image_space("nasnet")
    made = controller("evolution", space, seed=context.seed, population=POPULATION, tournament=TOURNAMENT)

    def measure(architectures: Sequence[Architecture]) -> list[float]:
        jobs = [_Cell("search", each, context.seed, task) for each in architectures]
        scores = {job.architecture: valid for job, valid, _ in executor.run(_train, jobs, workers=context.workers)}
        return [scores[each] for each in architectures]

    def say(trace: loop.Trace) -> None:
        context.say(f"{len(trace.scores)} of {trials} cells on {task.name}: {max(trace.scores):.1f}% on validation")

    return loop.run(made, measure, trials=trials, batch=POPULATION, on_trial=say)


def _cells(trace: loop.Trace, seed: int, rivals: int, task: Task) -> list[_Cell]:
    """The best and the worst of the search, and random cells."""
    worst = trace.architectures[trace.scores.index(min(trace.scores))]
    strangers = controller("random", image_space("nasnet"), seed=seed + STRANGERS).ask(rivals)
    return [
        _Cell(BEST, trace.best, seed, task),
        _Cell(WORST, worst, seed, task),
        *(_Cell(RANDOM, each, seed, task) for each in strangers),
    ]


def _second(jobs: Sequence[_Cell], context: Context) -> _Found:
    """Trains every cell on the second set."""
    space, skeleton = (
        image_space("nasnet"),
        RECIPE.skeleton(input_channels=jobs[0].task.channels, classes=jobs[0].task.classes),
    )
    test: dict[str, dict[int, list[float]]] = {role: {} for role in (BEST, WORST, RANDOM)}
    for number, (job, _, accuracy) in enumerate(executor.run(_train, jobs, workers=context.workers), start=1):
        test[job.role].setdefault(job.seed, []).append(accuracy)
        if number % 5 == 0:
            context.say(f"{number} of {len(jobs)} cells trained on {jobs[0].task.name}")
    size = {
        role: float(np.mean([space.parameters(each.architecture, skeleton) for each in jobs if each.role == role]))
        for role in test
    }
    return _Found({role: np.array([runs[seed] for seed in sorted(runs)]) for role, runs in test.items()}, size)


def _train(job: _Cell) -> tuple[_Cell, float, float]:
    """Validation and test accuracy in percent of one cell."""
    from metad2a.training import accuracy, train

    training = train(job.task, job.architecture, recipe=RECIPE, seed=job.seed, device="cpu")
    test = accuracy(training, job.task.resized(RECIPE.resolution))
    return job, training.valid_accuracy or 0.0, test or 0.0


def _transfer_table(found: _Found, valid: dict[str, float], first: Task, second: Task) -> Table:
    rows = []
    for role in (BEST, WORST):
        gain = found.above(role)
        rows.append(
            (
                role,
                f"{valid[role]:.1f}",
                f"{found.test[role].mean():.1f}",
                with_interval(gain, "+.1f"),
                f"{found.size[role]:,.0f}",
            )
        )
    middle = (f"median of {found.test[RANDOM].shape[1]} random cells", "", f"{found.median.mean():.1f}", "0")
    rows.append((*middle, f"{found.size[RANDOM]:,.0f}"))
    heads = ("Cell", f">validation, {first.name}", f">test, {second.name}", ">less the median", ">parameters (mean)")
    return Table("Accuracy in percent, means over seeds, differences paired", heads, tuple(rows))


@cache
def _nasnet_a() -> int:
    """Parameters of the published cells at the published size."""
    space = image_space("nasnet")
    return space.parameters(space.parse(NASNET_A), LARGE)


def _size_table() -> Table:
    row = ("NASNet-A (6 @ 768), CIFAR-10", f"{_nasnet_a() / 1e6:.2f}M", f"{PUBLISHED / 1e6:.1f}M")
    title = "Rebuilt from its published genotype (its normal cell also concatenates an input again, ours does not)"
    return Table(title, ("Network", ">parameters", ">published"), (row,))


def _size_verdict() -> Verdict:
    off = _nasnet_a() / PUBLISHED - 1
    return Verdict("NASNet-A rebuilt has the published size", "within 10%", f"{100 * off:+.1f}%", abs(off) <= 0.1)


def _verdicts(gain: dict[str, float], control: dict[str, float], *, loose: bool) -> list[Verdict]:
    """The claim and its control; ``loose`` where a handful of trainings can only show that nothing is broken."""
    bound, asked = (gain["mean"] > -15, "> -15 points (two seeds)") if loose else (gain["low"] > 0, "interval above 0")
    return [
        Verdict("the searched cell beats the median random cell on the other set", asked, _interval(gain), bound),
        Verdict(
            "control: the worst cell of the search does not", "interval not above 0", _interval(control),
            loose or control["low"] <= 0,
        ),
    ]  # fmt: skip


def _interval(found: dict[str, Any]) -> str:
    return f"{with_interval(found, '+.1f')} points"


def _panel(found: _Found, second: Task) -> Panel:
    """Test accuracy of each seed, the random cells as a band."""
    seeds = tuple(float(i) for i in range(len(found.median)))
    low, middle, high = np.quantile(found.test[RANDOM], [0.0, 0.5, 1.0], axis=1)
    curves = [Curve("random cells (median, least and most)", seeds, *map(_plain, (middle, low, high)))]
    for role in (BEST, WORST):
        line = _plain(found.test[role][:, 0])
        curves.append(Curve(role, seeds, line, line, line))
    return Panel(f"Cells on {second.name}", "seed", "test accuracy in percent", tuple(curves))


def _plain(values: Values) -> tuple[float, ...]:
    return tuple(float(each) for each in values)


DEMONSTRATION = Demonstration(
    "nasnet", "A cell searched on one small image set transfers to another", "Zoph et al., 2018", run
)
