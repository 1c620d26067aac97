"""The loop of `metad2a search` on tasks whose candidates were all measured, against searchers without its parts.

A run is shown the validation accuracy of one training of each cell it asks for, drawn among the published seeds; what
it would take by validation is judged by the mean test accuracy over the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from databases.architectures.space import Architecture
from metad2a.recommend.model import load
from metad2a.reports.report import MEAN, Curve, Panel, Report, Table, Verdict, judged, paired, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.loop.searchers import CONTROL, FREE, ORDER, OURS, RANDOM, SEARCHERS, searcher, searchers_of
from metad2a.reproduce.loop.worlds import World, cifar10, imagenet16, own_tasks
from metad2a.search.loop import run as search

Values = npt.NDArray[np.float64]
SOURCE = "our own; regularised evolution: Real et al., AAAI 2019; NASWOT: Mellor et al., ICML 2021"
LOOKED_AT = (1, 2, 3, 5, 10, 20, 30)
WITHIN, AFTER = 0.1, 5  # points of the optimum, trainings
NO_DIFFERENCE = 1.0  # points: a mean within them is no different


@dataclass(frozen=True)
class Size:
    """How much is run: paired seeds, trainings a search at most, own tasks, and whether ImageNet16-120 too."""

    seeds: int = 20
    trials: int = 30
    own: int = 10
    imagenet: bool = True


FAST = Size(seeds=3, trials=8, own=2, imagenet=False)


def run(context: Context) -> Report:
    """Mean regret against the number of trainings, of the loop and its rivals, on tables and held-out own tasks."""
    size, model = FAST if context.fast else Size(), load()
    worlds = [cifar10(model, context)]
    if size.imagenet:
        worlds.append(imagenet16(model, context))
    tables, own = worlds[:], own_tasks(model, context, most=size.own)
    regrets = _searched([*tables, *own], size, context)
    groups = {_name(each): _of_all(regrets, [each]) for each in tables}
    groups[f"{len(own)} own tasks"] = _of_all(regrets, own)
    tops = {_name(each): each.best for each in tables}
    tops[f"{len(own)} own tasks"] = float(np.mean([each.best for each in own]))
    return Report(
        "loop",
        SOURCE,
        _setting(size, own),
        (*(_table(name, found) for name, found in groups.items()), _own_table(regrets, own)),
        tuple(_verdicts(groups)),
        tuple(_panels(groups, tops)),
        {"groups": {name: _figures(found) for name, found in groups.items()}, "own": _own_figures(regrets, own)},
    )


def _setting(size: Size, own: Sequence[World]) -> str:
    imagenet = (
        " ImageNet16-120's table taught the shipped weights: there the predictor is trained anew, on MetaD2A's rows;"
        " constants of the surrogate and of evolution were chosen on its columns, among others."
        if size.imagenet
        else ""
    )
    return (
        f"{size.seeds} paired seeds, at most {size.trials} trainings. CIFAR-10's table taught nothing.{imagenet} "
        f"{len(own)} own tasks of {len({each.source for each in own})} sources, {len(own[0].cells)} cells each, "
        "predicted without their source; their intervals are by source. That their predicted noise takes the place of "
        "a grid was decided on these tasks. Ours asks by expected improvement per second, as `search` does, with "
        "seconds guessed from the FLOPs"
    )


def _name(world: World) -> str:
    return world.task.rpartition("/")[2]


@dataclass(frozen=True, eq=False)
class _Job:
    world: World
    searcher: str
    seed: int
    trials: int


def _searched(worlds: Sequence[World], size: Size, context: Context) -> dict[tuple[str, str], Values]:
    """(task, searcher) -> (seeds, trainings) regrets of what would be taken after each training."""
    jobs = [
        _Job(world, name, seed, min(size.trials, len(world.cells)))
        for world in worlds
        for name in searchers_of(world)
        for seed in context.seeds(size.seeds)
    ]
    found: dict[tuple[str, str], dict[int, Values]] = {}
    for (task, name), seed, regret in context.run(_search, jobs):
        of_searcher = found.setdefault((task, name), {})
        of_searcher[seed] = regret
        if len(of_searcher) == size.seeds and name == SEARCHERS[0]:
            context.say(f"{task}: searched")
    return {key: np.stack([of[seed] for seed in sorted(of)]) for key, of in found.items()}


def _search(job: _Job) -> tuple[tuple[str, str], int, Values]:
    """Regret after each training of one run."""
    world, valid = job.world, job.world.noisy(job.seed)
    if job.searcher == CONTROL:
        valid = np.random.default_rng([job.seed, 5]).permutation(valid)
    row = {each: i for i, each in enumerate(world.cells)}

    def measure(architectures: Sequence[Architecture]) -> list[float]:
        return [float(valid[row[each]]) for each in architectures]

    trace = search(searcher(job.searcher, world, job.seed, trials=job.trials), measure, trials=job.trials)
    rows = np.array([row[each] for each in trace.architectures])
    taken = rows[[int(np.argmax(valid[rows[: n + 1]])) for n in range(len(rows))]]  # of equals the first
    return (world.task, job.searcher), job.seed, world.best - world.test[taken]


def _of_all(regrets: dict[tuple[str, str], Values], worlds: Sequence[World]) -> dict[str, Values]:
    """Searcher -> (n, trainings) regrets of one world's seeds, or of several worlds' sources; what all worlds have.

    Intervals are over the rows: of one task they tell how much the seeds matter, of several how much the tasks do.
    """
    names = [name for name in SEARCHERS if all((each.task, name) in regrets for each in worlds)]
    count = min(regrets[each.task, OURS].shape[1] for each in worlds)
    if len(worlds) == 1:
        return {name: regrets[worlds[0].task, name][:, :count] for name in names}

    def mean(name: str, source: str) -> Values:
        of = [regrets[each.task, name][:, :count].mean(axis=0) for each in worlds if each.source == source]
        return np.asarray(np.mean(of, axis=0))

    sources = sorted({each.source for each in worlds})
    return {name: np.stack([mean(name, source) for source in sources]) for name in names}


def _gain(found: dict[str, Values], name: str) -> dict[str, float]:
    """How much less regret than random search, the mean over all trainings, paired."""
    return _less(found, name, RANDOM)


def _less(found: dict[str, Values], name: str, rival: str) -> dict[str, float]:
    return paired(found[rival].mean(axis=1), found[name].mean(axis=1))


def _figures(found: dict[str, Values]) -> dict[str, Any]:
    return {
        name: {
            "mean regret": values.mean(axis=0),
            "median regret": np.median(values, axis=0),
            "less than random": None if name == RANDOM else _gain(found, name),
        }
        for name, values in found.items()
    }


def _own_figures(regrets: dict[tuple[str, str], Values], own: Sequence[World]) -> dict[str, Any]:
    return {each.task: _figures(_of_all(regrets, [each])) for each in own}


def _table(title: str, found: dict[str, Values]) -> Table:
    after = [n for n in LOOKED_AT if n <= found[OURS].shape[1]]
    rows = [
        (name, *(f"{values[:, n - 1].mean():.2f}" for n in after), f"{values.mean():.2f}", _difference(found, name))
        for name, values in found.items()
    ]
    headings = ("Searcher", *(f">{n}" for n in after), ">all", ">Less than random [95%]")
    return Table(f"{title}: mean test regret in points after so many trainings", headings, tuple(rows))


def _difference(found: dict[str, Values], name: str) -> str:
    return "" if name == RANDOM else with_interval(_gain(found, name))


def _own_table(regrets: dict[tuple[str, str], Values], own: Sequence[World]) -> Table:
    rows, shown = [], [name for name in SEARCHERS if name not in (FREE, CONTROL)]
    for each in own:
        found = _of_all(regrets, [each])
        means = [f"{found[name].mean():.2f}" if name in found else "" for name in shown]
        rows.append((each.task, *means, _difference(found, OURS)))
    headings = ("Task", *(f">{name}" for name in shown), ">Less than random [95%]")
    return Table("Own tasks: mean test regret over all trainings", headings, tuple(rows))


def _verdicts(groups: dict[str, dict[str, Values]]) -> list[Verdict]:
    first = groups["cifar10"][OURS]
    median = np.median(first, axis=0)
    reached = f"{median[AFTER - 1]:.2f} points"
    found = [
        Verdict(
            f"cifar10: median regret after {AFTER} trainings",
            f"at most {WITHIN} points",
            reached,
            bool(median[AFTER - 1] <= WITHIN),
        )
    ]
    for name, regrets in groups.items():
        found.append(_never_behind(name, regrets))
        for rival in (RANDOM, ORDER):
            gain = _less(regrets, OURS, rival)
            better = rival == RANDOM
            claim = f"{name}: {'less' if better else 'no more'} regret than {rival}, mean over all trainings"
            asked = "interval above 0" if better else f"interval above -{NO_DIFFERENCE} points"
            found.append(judged(claim, asked, gain, above=0 if better else -NO_DIFFERENCE))
    return found


def _never_behind(name: str, regrets: dict[str, Values]) -> Verdict:
    """Behind means that the 95% interval of the paired difference lies below zero."""
    ahead = [paired(random, ours) for random, ours in zip(regrets[RANDOM].T, regrets[OURS].T, strict=True)]
    behind = sum(each["high"] < 0 for each in ahead)
    least = min(each["mean"] for each in ahead)
    return Verdict(
        f"{name}: never behind random",
        "no training after which the interval lies below 0",
        f"behind after {behind} of {len(ahead)}; smallest mean lead {least:+.2f}",
        behind == 0,
    )


def _panels(groups: dict[str, dict[str, Values]], tops: dict[str, float]) -> list[Panel]:
    """Best so far above, regret below."""
    best, regret = [], []
    for name, found in groups.items():
        accuracy = tuple(_mean(label, tops[name] - values) for label, values in found.items())
        lost = tuple(_mean(label, values) for label, values in found.items())
        best.append(Panel(f"{name}: best so far", "trainings", "test accuracy", accuracy, least=0, most=100))
        regret.append(Panel(f"{name}: regret", "trainings", "test regret, points", lost, log_y=True, least=0))
    return [*best, *regret]


def _mean(label: str, runs: Values) -> Curve:
    """Mean over the rows of (rows, n) with its 95% interval (Student, 1908)."""
    middle, count = runs.mean(axis=0), len(runs)
    half = student.ppf(0.975, count - 1) * runs.std(axis=0, ddof=1) / np.sqrt(count)
    x = tuple(map(float, range(1, len(middle) + 1)))
    return Curve(label, x, *(tuple(each.tolist()) for each in (middle, middle - half, middle + half)), told=MEAN)


DEMONSTRATION = Demonstration("loop", "A search that learns from its trainings, against its rivals", SOURCE, run)
