"""MDENAS: do short trainings rank cells as long ones do, and does the multinomial's likeliest cell become good?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.space import space
from databases.records.benchmark_table import BenchmarkTable
from databases.records.importers.nasbench201 import SHORT_RECIPE
from metad2a.compare.comparison import shuffled
from metad2a.reports.report import Panel, Report, Table, Verdict, band, judged, paired, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.mdenas.shared_weights import on_supernet, photographs
from metad2a.search.controllers import controller
from metad2a.search.loop import Trace
from metad2a.search.loop import run as search
from predictors.metrics import Interval, bootstrap_interval, percentiles, tau_interval

SOURCE = "Zheng, Ji, Tang, Zhang, Liu, Tian, ICCV 2019"
DATASETS = ("cifar10", "cifar100", "imagenet16-120")
BEST = 10  # percent of the cells by 200 epochs that are ranked on their own
RANKED = 0.5  # tau that is called kept
ORDER, SHUFFLED = "random order", "shuffled (control)"  # of a tau
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """A searcher, what it is made with, and what it is told: short trainings, or other cells' accuracies."""

    searcher: str
    options: Mapping[str, Any] = field(default_factory=dict)
    short: bool = False
    shuffled: bool = False


OURS, SHORT = "multinomial", "multinomial, told 12 epochs"
LAST, OFF = "multinomial, last accuracy", "multinomial, any epochs"
REINFORCE, RANDOM, CONTROL = "REINFORCE", "random", "multinomial, shuffled (control)"
METHODS = {
    OURS: Method("multinomial"),
    SHORT: Method("multinomial", short=True),
    LAST: Method("multinomial", {"statistic": "last"}),
    OFF: Method("multinomial", {"epochs": "off"}),
    REINFORCE: Method("reinforce"),
    RANDOM: Method("random"),
    CONTROL: Method("multinomial", shuffled=True),
}


@dataclass(frozen=True)
class Size:
    """How much is run: look-ups, paired seeds, look-ups between two looks, and resamples of a tau's interval."""

    trials: int = 300
    seeds: int = 20
    every: int = 20
    draws: int = 300


FAST = Size(trials=120, seeds=6, every=40, draws=10)


@dataclass(frozen=True, eq=False)
class Job:
    """One search. told: (n,) what each cell of the table says, of short or long trainings."""

    label: str
    seed: int
    table: BenchmarkTable
    told: Values
    size: Size


def follow(job: Job) -> tuple[str, int, Values]:
    """(looks,) test percentile of the likeliest cell as the search goes on; of random search the best told so far."""
    method, chosen = METHODS[job.label], space(job.table.architectures[0].space)
    searcher = controller(method.searcher, chosen, seed=job.seed, **method.options)
    table = replace(job.table, valid=job.told)
    measure = shuffled(table, job.seed) if method.shuffled else table
    trace, looks = Trace(), []
    for trials in range(job.size.every, job.size.trials + 1, job.size.every):
        search(searcher, measure, trials=trials, batch=10, trace=trace)
        likeliest = getattr(searcher, "likeliest", lambda: trace.best)()
        looks.append(percentiles(table.test[table.rows([likeliest])], table.test)[0])
    return job.label, job.seed, np.array(looks)


def run(context: Context) -> Report:
    """The ranking of all cells at 12 and 200 epochs, the searches in the table, then those on shared weights."""
    size = FAST if context.fast else Size()
    task = photographs(context)  # before the work: they may not be at hand
    tables = {name: context.table(f"nasbench201/{name}") for name in DATASETS}
    shorts = {name: context.table(f"nasbench201/{name}", recipe=SHORT_RECIPE) for name in DATASETS}
    taus = {name: _taus(shorts[name], tables[name], size, context.seed) for name in DATASETS}
    context.say(f"ranked {len(tables['cifar10'].architectures):,} cells of {len(taus)} datasets")
    long, short = tables["cifar10"], shorts["cifar10"]
    seeds = context.seeds(size.seeds)
    jobs = [
        Job(label, seed, long, short.valid if method.short else long.valid, size)
        for label, method in METHODS.items()
        for seed in seeds
    ]
    done = {(label, seed): looks for label, seed, looks in context.run(follow, jobs)}
    context.say(f"{len(done)} searches of {size.trials} look-ups")
    looks = {label: np.stack([done[label, seed] for seed in seeds]) for label in METHODS}  # (seeds, looks)
    last = {label: bootstrap_interval(values[:, -1], list(seeds)).to_json() for label, values in looks.items()}
    gains = {label: paired(looks[OURS][:, -1], values[:, -1]) for label, values in looks.items()}
    shared = on_supernet(context, task, long)
    return Report(
        "mdenas",
        SOURCE,
        f"NAS-Bench-201: all cells of three datasets after 12 and 200 epochs; {size.trials} look-ups of CIFAR-10's "
        f"validation accuracies, {size.seeds} paired seeds, the likeliest cell judged by test after 200 epochs; "
        f"{shared.setting}",
        (_tau_table(taus), _search_table(looks, last, gains, size), *shared.tables),
        (*_verdicts(taus, last, gains), *shared.verdicts),
        (*_panels(looks, size), shared.panel),
        {
            "tau": {name: {of: _of_cells(each) for of, each in found.items()} for name, found in taus.items()},
            "percentile": {
                label: {**last[label], "multinomial_above": gains[label], "of_seeds": looks[label][:, -1]}
                for label in METHODS
            },
            "supernet": shared.figures,
        },
    )


def _panels(looks: dict[str, Values], size: Size) -> tuple[Panel, Panel]:
    """From the second look on: at the first no choice is likelier than another."""
    at = np.arange(2, looks[OURS].shape[1] + 1) * size.every

    def panel(title: str, *labels: str) -> Panel:
        curves = tuple(band(label, at, looks[label][:, 1:]) for label in labels)
        return Panel(title, "look-ups", "test percentile", curves)

    return (
        panel("The likeliest cell", OURS, OFF, REINFORCE, RANDOM, CONTROL),
        panel("The rule's options", OURS, OFF, SHORT, LAST),
    )


def _taus(short: BenchmarkTable, long: BenchmarkTable, size: Size, seed: int) -> dict[str, Interval]:
    """Of all cells, of the best by long training, of a random order, and of short values that went to other cells.

    Each short value against the long one.
    """
    best = long.valid >= np.quantile(long.valid, 1 - BEST / 100)
    rng = np.random.default_rng(seed)
    wrong, drawn = rng.permutation(short.valid), rng.permutation(len(long.valid))
    return {
        "validation": tau_interval(short.valid, long.valid, draws=size.draws),
        "test": tau_interval(short.test, long.test, draws=size.draws),
        f"best {BEST}%": tau_interval(short.valid[best], long.valid[best], draws=size.draws),
        ORDER: tau_interval(drawn, long.valid, draws=size.draws),
        SHUFFLED: tau_interval(wrong, long.valid, draws=size.draws),
    }


def _of_cells(found: Interval) -> dict[str, float]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "cells": found.groups}


def _tau_table(taus: dict[str, dict[str, Interval]]) -> Table:
    rows = tuple((of, *(str(found[of]) for found in taus.values())) for of in next(iter(taus.values())))
    headings = ("Ranking", *(f">{name}" for name in taus))
    return Table("Kendall tau between 12 and 200 epochs [95%], all cells; validation where not said", headings, rows)


def _search_table(
    looks: dict[str, Values], last: dict[str, dict[str, float]], gains: dict[str, dict[str, float]], size: Size
) -> Table:
    rows = tuple(
        (
            label,
            f"{np.median(values[:, -1]):.1f}",
            with_interval(last[label], ".1f"),
            "" if label == OURS else with_interval(gains[label], "+.1f"),
        )
        for label, values in looks.items()
    )
    title = f"Test percentile of the likeliest cell after {size.trials} look-ups (random: the best looked up)"
    return Table(title, ("Searcher", ">Median", ">Mean [95%]", ">Multinomial above it, mean [95%]"), rows)


def _verdicts(
    taus: dict[str, dict[str, Interval]], last: dict[str, dict[str, float]], gains: dict[str, dict[str, float]]
) -> tuple[Verdict, ...]:
    kept = tuple(
        judged(
            f"{name}: 12 epochs rank all cells as 200 do",
            f"tau's interval above {RANKED}",
            _of_cells(found["validation"]),
            above=RANKED,
            reached=str(found["validation"]),
        )
        for name, found in taus.items()
    )
    nothing = [found[of] for found in taus.values() for of in (ORDER, SHUFFLED)]
    wrong = max(nothing, key=lambda each: abs(each.mean))
    return (
        *kept,
        Verdict(
            "a random order and shuffled accuracies rank nothing (control)",
            "tau within 0.02",
            str(wrong),
            abs(wrong.mean) < 0.02,
        ),
        judged(
            "the multinomial's likeliest cell is better than a random cell",
            "percentile's interval above 50",
            last[OURS],
            above=50,
            form=".1f",
            learnt=True,
        ),
        judged(
            "and than that of one told shuffled accuracies (control)",
            "interval above 0",
            gains[CONTROL],
            above=0,
            form="+.1f",
        ),
    )


DEMONSTRATION = Demonstration("mdenas", "MDENAS: multinomial distribution learning", SOURCE, run)
