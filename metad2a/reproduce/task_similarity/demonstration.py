"""Task similarity: Fisher distances of eight tasks, what they say of transfer, search in the nearest's space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from databases.datasets.features import extract
from databases.datasets.task import Task
from metad2a.reports.report import Curve, Panel, Report, Table, Verdict, band, judged, not_refuted, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.task_similarity.reduced_search import SPACE, Job, Pool, around, measured
from metad2a.reproduce.task_similarity.tasks import DISTANCES, FRECHET, Round, one_round, tasks
from metad2a.reproduce.task_similarity.tasks import Job as RoundJob
from predictors.metrics import bootstrap_interval, spearman

Values = npt.NDArray[np.float64]
SOURCE = "Le, Soltani, Ravier, Tarokh, 2021"
EMBEDDING, CONTROL = "embedding of the images", "random (control)"
FULL, THIRD, NEAREST, FARTHEST, FUSE = (
    "full space",
    "full space, random cells at equal cost",
    "nearest task's space",
    "farthest task's space (control)",
    "FUSE in the nearest's",
)
NO_DIFFERENCE = 1.0  # points


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        rounds: initialisations. images: training images of a task. searches: paired seeds on each task. cells: trained
            from the full space; a third of them from a reduced one. stages: of FUSE.
    """

    rounds: int = 5
    images: int = 300
    searches: int = 5
    cells: int = 12
    stages: int = 2


FAST = Size(rounds=2, images=100, searches=1, cells=3, stages=1)


def run(context: Context) -> Report:
    """Distance matrices over several initialisations, their rank correlation with transfer, and reduced spaces."""
    size = FAST if context.fast else Size()
    every = tasks(context, images=size.images)
    jobs = [RoundJob(seed, tuple(every)) for seed in context.seeds(size.rounds)]
    rounds: list[Round] = []
    for each in context.run(one_round, jobs):
        rounds.append(each)
        context.say(f"{len(rounds)} of {size.rounds} initialisations compared")
    rounds.sort(key=lambda each: each.seed)
    told = {name: [each.distances[name] for each in rounds] for name in DISTANCES}
    told |= {EMBEDDING: [_embedded(every)] * size.rounds, CONTROL: _random(rounds, context.seed)}
    correlations = {name: _correlations(each, [of.transfer for of in rounds]) for name, each in told.items()}
    related = {name: _over_targets(each) for name, each in correlations.items()}
    more = {name: _gain(correlations[name], correlations[EMBEDDING]) for name in DISTANCES}
    stable = {name: _stability(each) for name, each in told.items() if name in DISTANCES}
    apart = {name: _self_and_others(each) for name, each in told.items() if name in DISTANCES}
    middle = np.mean(told[FRECHET], axis=0)
    quality = _searches(every, middle, size, context)
    gains = {name: _gain(each, quality[FULL]) for name, each in quality.items() if name != FULL}
    beyond = {name: _gain(quality[NEAREST], quality[name]) for name in (THIRD, FARTHEST)}
    return Report(
        "task-similarity",
        SOURCE,
        _setting(every, size),
        (_matrix(every, middle), _related_table(related, stable, apart), _search_table(quality, gains)),
        (
            *_distance_verdicts(related, more, stable, apart),
            *_search_verdicts(gains, beyond),
        ),
        (_panel(told, rounds), _search_panel(quality)),
        {
            "transfer": related,
            "transfer above the embedding": more,
            "stability": stable,
            "self and others": apart,
            "search": gains,
            "nearest above": beyond,
            "found": quality,
        },
    )


def _setting(every: Sequence[Task], size: Size) -> str:
    return (
        f"{len(every)} tasks of at most {size.images} training images, {size.rounds} initialisations; NAS-Bench-201 "
        f"cells of 4 channels: {size.searches} times {size.cells} from the full space and {size.cells // 3} from "
        "reduced ones, which begin with the cell that was best on that space's own task; trained once each"
    )


def _embedded(every: Sequence[Task]) -> Values:
    """Distance of the tasks in the frozen features that recommend uses, (n, n)."""
    places = np.stack([extract(each).mean() for each in every]).astype(np.float64)
    return np.asarray(np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1)))


def _random(rounds: Sequence[Round], seed: int) -> list[Values]:
    return [np.random.default_rng([seed, each.seed]).random(each.transfer.shape) for each in rounds]


def _correlations(distances: Sequence[Values], transfer: Sequence[Values]) -> Values:
    """Rank correlation, over the sources of a target, of nearness and transfer, (rounds, targets)."""
    others = ~np.eye(len(distances[0]), dtype=bool)
    return np.array(
        [
            [-spearman(distance[here, j], gain[here, j]) for j, here in enumerate(others)]
            for distance, gain in zip(distances, transfer, strict=True)
        ]
    )


def _over_targets(values: Values) -> dict[str, float]:
    """Mean of (rounds or searches, tasks) with its interval over the tasks."""
    groups = [task for _ in values for task in range(values.shape[1])]
    return {**bootstrap_interval(values.ravel(), groups).to_json(), "seeds": len(values)}


def _stability(distances: Sequence[Values]) -> float:
    """Mean rank correlation of the distances of two initialisations."""
    others = ~np.eye(len(distances[0]), dtype=bool)
    return float(np.mean([spearman(a[others], b[others]) for a, b in combinations(distances, 2)]))


def _self_and_others(distances: Sequence[Values]) -> tuple[float, float, float]:
    """Mean distance to a second training of itself, to other tasks, and the share of the others that are farther."""
    middle = np.mean(distances, axis=0)
    others = ~np.eye(len(middle), dtype=bool)
    farther = (middle > np.diag(middle)[None]) & others
    return float(np.diag(middle).mean()), float(middle[others].mean()), float(farther.sum() / others.sum())


def _searches(every: Sequence[Task], distance: Values, size: Size, context: Context) -> dict[str, Values]:
    """What each way finds on each task: test accuracy of its best by validation, (searches, tasks)."""
    away = distance + np.where(np.eye(len(every), dtype=bool), np.inf, 0)
    nearest, farthest = away.argmin(axis=0), np.where(np.isinf(away), -np.inf, away).argmax(axis=0)
    third = max(1, size.cells // 3)
    found: dict[str, list[list[float]]] = {name: [] for name in (FULL, THIRD, NEAREST, FARTHEST, FUSE)}
    for seed in context.seeds(size.searches):
        full = _pools([Job(each, SPACE, size.cells, seed) for each in every], context)
        found[FULL].append([each.quality(size.cells) for each in full])
        found[THIRD].append([each.quality(third) for each in full])
        for name, chosen, cells, stages in (
            (NEAREST, nearest, third, 0),
            (FARTHEST, farthest, third, 0),
            (FUSE, nearest, 1, size.stages),
        ):
            own = seed + 1000  # cells of the reduced spaces are drawn anew
            jobs = [around(full[i], task, cells, own, stages) for task, i in zip(every, chosen, strict=True)]
            found[name].append([each.quality(cells) for each in _pools(jobs, context)])
    return {name: np.array(each) for name, each in found.items()}


def _gain(ours: Values, theirs: Values) -> dict[str, float]:
    """Mean of ours less theirs, (searches, tasks) each, with its interval over the tasks."""
    return _over_targets(ours - theirs)


def _pools(jobs: Sequence[Job], context: Context) -> list[Pool]:
    done: dict[str, Pool] = {}
    for job, pool in context.run(measured, jobs):
        done[job.task.name] = pool
        context.say(f"{job.task.name}, {job.space.partition(':')[2] or 'all operations'}: {max(pool.valid):.1f}%")
    return [done[each.task.name] for each in jobs]


def _matrix(every: Sequence[Task], distance: Values) -> Table:
    rows = tuple(
        (source.name, *(f"{value:.2f}" for value in of)) for source, of in zip(every, distance.tolist(), strict=True)
    )
    title = "Frechet distance from the source (row) to the target, mean; on the diagonal to a second training of itself"
    return Table(title, ("", *(f">{each.name}" for each in every)), rows)


def _related_table(
    related: dict[str, dict[str, float]], stable: dict[str, float], apart: dict[str, tuple[float, float, float]]
) -> Table:
    rows = tuple(
        (
            name,
            with_interval(each),
            f"{stable[name]:.2f}" if name in stable else "",
            *([f"{value:.2f}" for value in apart[name]] if name in apart else [""] * 3),
        )
        for name, each in related.items()
    )
    headings = ("Distance", ">With transfer [95%]", ">Stable", ">To itself", ">To others", ">Others farther")
    return Table("Rank correlation of nearness with transfer, and between initialisations", headings, rows)


def _search_table(quality: dict[str, Values], gains: dict[str, dict[str, float]]) -> Table:
    rows = tuple(
        (name, f"{np.mean(each):.1f}", with_interval(gains[name], "+.1f") if name in gains else "")
        for name, each in quality.items()
    )
    return Table(
        "Test accuracy of what is found, mean over tasks", ("Searched", ">Test", ">Above the full space [95%]"), rows
    )


def _distance_verdicts(
    related: dict[str, dict[str, float]],
    more: dict[str, dict[str, float]],
    stable: dict[str, float],
    apart: dict[str, tuple[float, float, float]],
) -> list[Verdict]:
    """Those without an interval are open where the run is short: it has few tasks."""
    found = []
    for name in DISTANCES:
        itself, others, farther = apart[name]
        reached = f"{itself:.2f} to itself, {others:.2f} to others"
        found += [
            Verdict(f"{name}: every other task is farther than a second training", "all", reached, farther == 1, True),
            Verdict(
                f"{name}: initialisations agree",
                "rank correlation 0.5",
                f"{stable[name]:.2f}",
                stable[name] >= 0.5,
                open=True,
            ),
            _above(f"{name}: nearer tasks transfer better", related[name]),
            _above(f"{name} tells more of transfer than the embedding's", more[name]),
        ]
    random = related[CONTROL]
    found.append(not_refuted("random distances tell nothing", "interval on 0", random, above=0))
    return found


def _above(claim: str, found: dict[str, float]) -> Verdict:
    return judged(claim, "interval above 0", found, above=0)


def _search_verdicts(gains: dict[str, dict[str, float]], beyond: dict[str, dict[str, float]]) -> list[Verdict]:
    near = gains[NEAREST]
    return [
        judged(
            "the nearest task's space is as good with a third of the trainings",
            f"interval above -{NO_DIFFERENCE:g}",
            near,
            above=-NO_DIFFERENCE,
            form="+.1f",
        ),
        judged("and better than random cells at equal cost", "interval above 0", beyond[THIRD], above=0, form="+.1f"),
        judged("and than the farthest's (control)", "interval above 0", beyond[FARTHEST], above=0, form="+.1f"),
        judged(
            "FUSE in the nearest's space is as good as the full space",
            f"interval above -{NO_DIFFERENCE:g}",
            gains[FUSE],
            above=-NO_DIFFERENCE,
            form="+.1f",
        ),
    ]


def _panel(told: dict[str, list[Values]], rounds: Sequence[Round]) -> Panel:
    """Mean transfer of the sources of a target in the order of their distance."""
    curves = []
    for name, distances in told.items():
        gains = np.array(
            [
                _in_order(distance[:, j], each.transfer[:, j], j)
                for distance, each in zip(distances, rounds, strict=True)
                for j in range(len(distance))
            ]
        )
        mean = tuple(gains.mean(axis=0).tolist())
        curves.append(Curve(name, tuple(map(float, range(1, len(mean) + 1))), mean, mean, mean))
    return Panel(
        "Transfer from the nearest to the farthest task",
        "rank of the source",
        "points over fresh layers",
        tuple(curves),
    )


def _in_order(distance: Values, gain: Values, target: int) -> Values:
    others = np.arange(len(distance)) != target
    return np.asarray(gain[others][np.argsort(distance[others], kind="stable")])


def _search_panel(quality: dict[str, Values]) -> Panel:
    tasks = range(1, quality[FULL].shape[1] + 1)
    curves = tuple(band(name, tasks, each) for name, each in quality.items())
    return Panel("What is found on each task", "task", "test accuracy in percent", curves, joined=False)


DEMONSTRATION = Demonstration("task-similarity", "What one task says about another", SOURCE, run)
