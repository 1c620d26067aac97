"""NASWOT and AREA on CIFAR-10's table of NAS-Bench-201: how much an untrained network tells, and what it saves.

Our own scores are of small networks (16 channels, one cell a stage, 16 px): some hundredths of a second each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, space
from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN, Task
from databases.records.benchmark_table import BenchmarkTable
from databases.records.importers.nasbench201 import CIFAR10, SPACE
from metad2a.compare.comparison import Entry, Searched, incumbents, search_table
from metad2a.reports.report import Curve, Panel, Report, Table, Verdict, band, judged, paired, undecided, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.search.controllers.controller import Setting
from metad2a.search.controllers.training_free import (
    SIZE,
    OwnNaswot,
    Published,
    area_options,
    noise_images,
    published_naswot,
)
from predictors.metrics import tau_difference, tau_interval
from predictors.zero_cost import parameters, worst_for_singular

SOURCE = "Mellor, Turner, Storkey, Crowley, ICML 2021"
LOOKED_AT = (1, 10, 20, 30, 50)
RANKS, ALIKE, ABOVE = 0.5, 0.05, "interval above 0"
IMAGES = 256  # of CIFAR-10, from which a batch is drawn
OWN, NOISE = "own, CIFAR-10 images", "own, noise images (control)"
EVOLUTION, AREA, CONTROL = "evolution", "area", "area, random scores"
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        cells: random cells that are scored. few: of them, for the other seed and batch. draws: pools for the best of
            n, up to ``most``. seeds, trials: of the searches. batch: images a score.
    """

    cells: int = 1000
    few: int = 200
    draws: int = 100
    most: int = 100
    seeds: int = 40
    trials: int = 50
    batch: int = 64


FAST = Size(cells=80, few=0, draws=40, most=40, seeds=20, batch=32)


def run(context: Context) -> Report:
    """Ranks cells, picks the best of n by score alone, and starts evolution from the best of a pool."""
    size = FAST if context.fast else Size()
    table, images = context.table(CIFAR10), _images(context)
    rows = np.random.default_rng(context.seed).choice(len(table.architectures), size.cells, replace=False)
    cells = [table.architectures[row] for row in rows]
    scores = _scores(cells, images, size, context)
    taus = {name: tau_interval(values, table.test[rows][: len(values)]) for name, values in scores.items()}
    apart = tau_difference(scores[OWN], scores[NOISE], table.test[rows]).to_json()
    best = _best_of_n(scores, table.test[rows], size, context.seed)
    medians = {**best, "random": np.full_like(best["random"], np.median(table.test[rows]))}  # as curves are drawn
    searched = _search(table, size, context)
    regret = {label: table.test.max() - table.test[incumbents(table, each.rows)] for label, each in searched.items()}
    gains = {label: _gains(regret[EVOLUTION], each) for label, each in regret.items()}
    picked = {rival: _above(best, rival, _steps(size.most)) for rival in ("random", "parameters")}
    tau_figures = {name: {"tau": each.mean, "low": each.low, "high": each.high} for name, each in taus.items()}
    return Report(
        "naswot",
        SOURCE,
        f"NAS-Bench-201, CIFAR-10: {size.cells:,} random cells scored untrained at {SIZE.channels} channels, "
        f"{SIZE.cells} cell a stage, 16 px, {size.batch} images; {size.draws} pools for the best of n; {size.seeds} "
        f"paired seeds for AREA, whose pool has the scores {_whose(context)}; accuracies are test means",
        (_tau_table(scores, taus), _best_table(best, picked), _search_table(regret, gains)),
        _verdicts(taus, apart, picked["random"], gains, size),
        (
            Panel("Best of n by score", "cells in the pool", "test accuracy", _curves(medians), most=100),
            Panel(
                "Regret in the first look-ups", "look-ups", "test regret", _curves(regret, first=3), log_x=True, least=0
            ),
        ),
        {
            "tau": tau_figures,
            "tau_above_noise_images": apart,
            "best_of_n_above": picked,
            "first_lookups_above_evolution": gains,
        },
    )


def _images(context: Context) -> Task:
    """A few of CIFAR-10's training images, enough for a batch."""
    task = load_task(context.image_source("cifar10"), as_stored=True)
    chosen = np.random.default_rng(context.seed).permutation(np.flatnonzero(task.parts == TRAIN))[:IMAGES]
    return replace(task, images=task.images[chosen], labels=task.labels[chosen], parts=task.parts[chosen])


def _published(context: Context) -> dict[str, float]:
    return published_naswot(None if context.images is None else context.images.parent, CIFAR10)


def _whose(context: Context) -> str:
    return "published with FreeREA (Cavagnero et al., 2023)" if _published(context) else "of our own on noise images"


def _score(job: tuple[str, OwnNaswot, Sequence[Architecture]]) -> tuple[str, Values]:
    name, score, cells = job
    return name, np.array(score(cells))


def _scores(cells: Sequence[Architecture], images: Task, size: Size, context: Context) -> dict[str, Values]:
    """Every ranking of the cells; those of another seed and batch are of the first few only."""
    own = OwnNaswot(images, batch=size.batch, seed=context.seed)
    jobs: list[tuple[str, OwnNaswot, Sequence[Architecture]]] = [
        (OWN, own, cells),
        (NOISE, replace(own, task=noise_images(seed=context.seed)), cells),
    ]
    if size.few:
        jobs.append(("own, another seed", replace(own, seed=context.seed + 1), cells[: size.few]))
        jobs.append((f"own, {size.batch // 2} images", replace(own, batch=size.batch // 2), cells[: size.few]))
    done: dict[str, Values] = {}
    for name, values in context.run(_score, jobs):
        done[name] = values
        context.say(f"{name}: {len(values):,} cells scored")
    found = {name: done[name] for name, _, _ in jobs}
    published = _published(context)
    if published:
        found["published"] = worst_for_singular(np.array(Published(published)(cells)))
    found["parameters"] = parameters(cells, SIZE)
    found["shuffled (control)"] = np.random.default_rng(context.seed).permutation(found[OWN])
    return found


def _best_of_n(scores: dict[str, Values], test: Values, size: Size, seed: int) -> dict[str, Values]:
    """Test accuracy of what is picked from the first n of a random order of the cells, (draws, most) each."""
    rng = np.random.default_rng([seed, 2])
    pools = np.stack([rng.permutation(len(test))[: size.most] for _ in range(size.draws)])  # (draws, most)
    value = test[pools]
    return {
        "random": np.full(pools.shape, test.mean()),  # known, not drawn: any cell is as likely as another
        "parameters": _running_pick(scores["parameters"][pools], value),
        "NASWOT": _running_pick(scores[OWN][pools], value),
        "best of n": np.maximum.accumulate(value, axis=1),
    }


def _above(best: dict[str, Values], rival: str, steps: Sequence[int]) -> dict[int, dict[str, float]]:
    """How much better NASWOT's pick of n is than a rival's, paired over the pools."""
    return {n: paired(best["NASWOT"][:, n - 1], best[rival][:, n - 1]) for n in steps}


def _running_pick(scores: Values, value: Values) -> Values:
    """Value of the highest score among the first n, for each n: (draws, most) each."""
    place = np.array([[int(np.argmax(row[: n + 1])) for n in range(len(row))] for row in scores])
    return np.take_along_axis(value, place, axis=1)


def _search(table: BenchmarkTable, size: Size, context: Context) -> dict[str, Searched]:
    """The first look-ups of random search, plain evolution, AREA, and AREA with random scores."""
    data = None if context.images is None else context.images.parent
    options = area_options(space(SPACE), Setting(CIFAR10, database=context.database, data=data))
    searchers = [
        Entry("random", "random"),
        Entry(EVOLUTION, "evolution"),
        Entry(AREA, "area", options),
        Entry(CONTROL, "area", {**options, "score": RandomScores(context.seed)}),
    ]
    seeds = context.seeds(size.seeds)
    return search_table(table, searchers, seeds=seeds, trials=size.trials, workers=context.workers, say=context.say)


@dataclass(frozen=True)
class RandomScores:
    """Scores that tell nothing."""

    seed: int

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """Random numbers."""
        rng = np.random.default_rng([self.seed, *architectures[0].walk])
        return [float(each) for each in rng.random(len(architectures))]


def _gains(theirs: Values, ours: Values) -> dict[str, Any]:
    """How much less regret, paired: the mean over all look-ups, and after some of them; (seeds, trials) each."""
    after = {str(n): paired(theirs[:, n - 1], ours[:, n - 1]) for n in LOOKED_AT}
    return {"mean": paired(theirs.mean(axis=1), ours.mean(axis=1)), "after": after}


def _steps(most: int) -> list[int]:
    return [n for n in (1, 3, 10, 30, 100) if n <= most]


def _tau_table(scores: dict[str, Values], taus: dict[str, Any]) -> Table:
    rows = tuple((name, f"{len(values):,}", str(taus[name])) for name, values in scores.items())
    return Table("Kendall tau with test accuracy", ("Ranking", ">Cells", ">tau [95%]"), rows)


def _best_table(best: dict[str, Values], picked: dict[str, dict[int, dict[str, float]]]) -> Table:
    means = {name: values.mean(axis=0) for name, values in best.items()}
    rows = tuple(
        (
            str(n),
            *(f"{values[n - 1]:.2f}" for values in means.values()),
            *(with_interval(of[n]) for of in picked.values()),
        )
        for n in _steps(best["NASWOT"].shape[1])
    )
    headings = (">n", *(f">{name}" for name in means), *(f">above {rival}" for rival in picked))
    return Table("Test accuracy of the pick from n cells, mean; NASWOT's paired differences [95%]", headings, rows)


def _search_table(regret: dict[str, Values], gains: dict[str, dict[str, Any]]) -> Table:
    rows = tuple(
        (
            name,
            *(f"{values[:, n - 1].mean():.2f}" for n in LOOKED_AT),
            with_interval(gains[name]["mean"]),
            with_interval(gains[name]["after"]["50"]),
        )
        for name, values in regret.items()
    )
    headings = ("Searcher", *(f">{n}" for n in LOOKED_AT), ">Less than evolution, mean", ">after 50")
    return Table("Mean test regret after so many look-ups; paired differences [95%]", headings, rows)


def _curves(runs: dict[str, Values], *, first: int = 1) -> tuple[Curve, ...]:
    return tuple(
        band(name, np.arange(first, values.shape[1] + 1), values[:, first - 1 :]) for name, values in runs.items()
    )


def _verdicts(
    taus: dict[str, Any],
    apart: dict[str, float],
    picked: dict[int, dict[str, float]],
    gains: dict[str, dict[str, Any]],
    size: Size,
) -> tuple[Verdict, ...]:
    own, last = taus[OWN], max(picked)
    return (
        Verdict(
            "untrained scores rank the cells",
            f"tau at least {RANKS}",
            str(own),
            own.mean >= RANKS,
            undecided(own.to_json(), RANKS),
        ),
        Verdict(
            "the images hardly matter: noise does as well",
            f"tau within {ALIKE}",
            with_interval(apart, ".3f"),
            abs(apart["mean"]) <= ALIKE,
            undecided(apart, math.copysign(ALIKE, apart["mean"])),
        ),
        judged(f"the best of {last} by score is better than a random cell", ABOVE, picked[last], above=0),
        judged(
            f"AREA is better than plain evolution over the first {size.trials} look-ups",
            ABOVE,
            gains[AREA]["mean"],
            above=0,
        ),
        Verdict(
            "with random scores it is not (control)",
            "interval not above 0",
            with_interval(gains[CONTROL]["mean"]),
            gains[CONTROL]["mean"]["low"] <= 0,
        ),
    )


DEMONSTRATION = Demonstration("naswot", "NASWOT and AREA: scores of untrained networks", SOURCE, run)
