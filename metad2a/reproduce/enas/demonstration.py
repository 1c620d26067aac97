"""ENAS: do shared weights rank children as the truth does, at what cost, and what breaks it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN
from databases.records.benchmark_table import BenchmarkTable
from databases.records.recipe import RECIPES
from metad2a.reports.report import Panel, Report, Table, Verdict, band, judged, paired, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.enas.children import (
    CELLS,
    DIGITS,
    SCORED,
    Job,
    Searched,
    Values,
    alone,
    search,
    shared,
    space_of,
)
from metad2a.runtime.executors import processes as executor
from metad2a.supernets.training import SharedRecipe
from predictors.metrics import bootstrap_interval, kendall_tau, percentiles

SOURCE = "Pham, Guan, Zoph, Le, Dean, ICML 2018"
SCRATCH = RECIPES["shallow"]  # what training a child alone would take
BATCH, RUNNING, REPAIRED = "batch statistics", "running statistics (known fault)", "the same weights, repaired"
UNTRAINED = "untrained shared weights (control)"
BATCH_SIZE = 32
ENAS, COLLAPSED, RANDOM = "ENAS", "ENAS with running statistics", "random from the supernet"
Interval = dict[str, float]


@dataclass(frozen=True)
class Size:
    """How much is run: paired seeds, training steps, judged children, children told after each pass.

    ``alone`` children of each space are trained alone on the digits, for so many ``epochs``.
    """

    seeds: int = 5
    steps: int = 1500
    judged: int = 150
    told: int = 20
    alone: int = 30
    epochs: int = 3
    digit_steps: int = 240


FAST = Size(seeds=2, steps=20, judged=16, told=10, alone=3, epochs=1, digit_steps=16)


def run(context: Context) -> Report:
    """The searches on CIFAR-10, then the digits."""
    size = FAST if context.fast else Size()
    task = load_task(context.image_source("cifar10"), resolution=16, max_images=1500 if context.fast else 20_000)
    table = context.table("nasbench201/cifar10")
    recipe = SharedRecipe(steps=size.steps, batch=BATCH_SIZE)
    rng = np.random.default_rng(7)
    judged = tuple(space_of(CELLS).sample(rng) for _ in range(size.judged))
    seeds = range(context.seed, context.seed + size.seeds)
    jobs = [Job(task, seed, recipe, judged, size.told, running=running) for seed in seeds for running in (False, True)]
    done: dict[bool, dict[int, Searched]] = {False: {}, True: {}}
    for each in executor.run(search, jobs, workers=context.workers):
        done[each.job.running][each.job.seed] = each
        context.say(f"search {sum(map(len, done.values()))} of {len(jobs)}: reward {each.rewards[-1]:.1f}")
    plain, running = ([done[kind][seed] for seed in seeds] for kind in (False, True))
    truth = table.test[table.rows(judged)]
    taus = {
        BATCH: _taus([each.scores for each in plain], truth),
        RUNNING: _taus([each.scores for each in running], truth),
        REPAIRED: _taus([each.repaired for each in running], truth),
        UNTRAINED: _taus([each.untrained for each in plain], truth),
    }
    found = _found(plain, running, table, judged)
    on_digits = _digits(size, seeds, context)
    images = int((task.parts == TRAIN).sum())
    saved = size.judged * SCRATCH.steps(images) * SCRATCH.batch / (size.steps * recipe.batch)
    return _report(size, taus, found, on_digits, saved, plain, running)


def _taus(scores: list[Values], truth: Values) -> Values:
    return np.array([kendall_tau(each, truth) for each in scores])


def _found(
    plain: list[Searched], running: list[Searched], table: BenchmarkTable, judged: Any
) -> dict[str, tuple[Values, Values]]:
    """Method -> (seeds,) percentile in the table by test, and (seeds,) test accuracies."""
    chosen = {
        ENAS: [each.found for each in plain],
        COLLAPSED: [each.found for each in running],
        RANDOM: [judged[int(each.scores.argmax())] for each in plain],
    }
    accuracies = {label: table.test[table.rows(cells)] for label, cells in chosen.items()}
    return {label: (percentiles(values, table.test), values) for label, values in accuracies.items()}


def _digits(size: Size, seeds: range, context: Context) -> dict[str, Values]:
    """Space -> (seeds,) tau of shared weights against children trained alone."""
    trainings = [(name, child, size.epochs) for name in DIGITS for child in range(size.alone)]
    truth = {name: np.zeros(size.alone) for name in DIGITS}
    for name, child, value in executor.run(alone, trainings, workers=context.workers):
        truth[name][child] = value
    context.say(f"{len(trainings)} children trained alone on the digits")
    jobs = [(name, seed, size.alone, size.digit_steps) for name in DIGITS for seed in seeds]
    done = {(name, seed): scores for name, seed, scores in executor.run(shared, jobs, workers=context.workers)}
    return {name: _taus([done[name, seed] for seed in seeds], truth[name]) for name in DIGITS}


def _mean(values: Values) -> Interval:
    return bootstrap_interval(values, list(range(len(values)))).to_json()


def _report(
    size: Size,
    taus: dict[str, Values],
    found: dict[str, tuple[Values, Values]],
    on_digits: dict[str, Values],
    saved: float,
    plain: list[Searched],
    running: list[Searched],
) -> Report:
    rank = {label: _mean(values) for label, values in (taus | on_digits).items()}
    good = {label: _mean(percentile) for label, (percentile, _) in found.items()}
    above = {label: paired(found[ENAS][0], found[label][0]) for label in (COLLAPSED, RANDOM)}
    lost = paired(taus[BATCH], taus[RUNNING])
    repaired = paired(taus[REPAIRED], taus[RUNNING])
    return Report(
        "enas",
        SOURCE,
        f"{size.seeds} paired seeds; NAS-Bench-201's cells with 8 channels and one cell a stage share weights trained "
        f"for {size.steps} steps of {BATCH_SIZE} images of CIFAR-10 at 16 px; {size.judged} random children scored on "
        f"{SCORED} validation images against the table's test accuracy after 200 epochs; on the digits "
        f"{size.alone} children of each space trained alone for {size.epochs} epochs",
        (_tau_table(rank), _found_table(found, good, above)),
        (
            _above_zero("shared weights rank NAS-Bench-201's cells as the table does", rank[BATCH]),
            *(_above_zero(f"and {name}'s children on the digits as trainings alone do", rank[name]) for name in DIGITS),
            Verdict(
                f"{size.judged} children are judged for little of what training each alone takes",
                "at least 100 times fewer images in training steps",
                f"{saved:.0f} times",
                saved >= 100,
            ),
            _above_zero("running statistics lose it (known fault): tau less than with batch statistics", lost),
            _above_zero("batch statistics repair it: tau of the same weights, less that before", repaired),
            judged(
                "the found cell is better than a random cell",
                "percentile's interval above 50",
                good[ENAS],
                above=50,
                form=".1f",
            ),
            _above_zero("and than that of the search with running statistics (control)", above[COLLAPSED], "+.1f"),
            _above_zero("and than the best of random children by the same weights", above[RANDOM], "+.1f"),
        ),
        (
            Panel(
                "What the policy draws",
                "passes over the images",
                "accuracy by shared weights, %",
                tuple(
                    band(label, range(1, len(each[0].rewards) + 1), [one.rewards for one in each])
                    for label, each in ((BATCH, plain), (RUNNING, running))
                ),
            ),
        ),
        {
            "tau": {label: {**each, "of_seeds": (taus | on_digits)[label]} for label, each in rank.items()},
            "tau_lost": lost,
            "tau_repaired": repaired,
            "percentile": {label: {**each, "of_seeds": found[label][0]} for label, each in good.items()},
            "test_accuracy": {label: _mean(values) for label, (_, values) in found.items()},
            "enas_above": above,
            "cells": {ENAS: [str(each.found) for each in plain], COLLAPSED: [str(each.found) for each in running]},
            "times_fewer_images": saved,
        },
    )


def _above_zero(claim: str, found: Interval, form: str = "+.3f") -> Verdict:
    return judged(claim, "interval above 0", found, above=0, form=form)


def _tau_table(rank: dict[str, Interval]) -> Table:
    rows = tuple((label, with_interval(each, "+.3f")) for label, each in rank.items())
    return Table("Kendall tau between shared-weight accuracy and the truth, mean over seeds [95%]", ("", ">Tau"), rows)


def _found_table(
    found: dict[str, tuple[Values, Values]], good: dict[str, Interval], above: dict[str, Interval]
) -> Table:
    rows = tuple(
        (
            label,
            with_interval(good[label], ".1f"),
            f"{values.mean():.2f}",
            "" if label == ENAS else with_interval(above[label], "+.1f"),
        )
        for label, (_, values) in found.items()
    )
    headings = ("Search", ">Percentile in the table [95%]", ">Test accuracy", ">ENAS above it [95%]")
    return Table("The cells that searches on shared weights end with (random: 50 by percentile)", headings, rows)


DEMONSTRATION = Demonstration("enas", "ENAS: children share weights", SOURCE, run)
