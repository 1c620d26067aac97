"""MDENAS's second half: the multinomial and REINFORCE learn from the same shared weights, in equal steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.datasets.loading import load_task
from databases.records.benchmark_table import BenchmarkTable
from metad2a.reports.report import Panel, Table, Verdict, band, judged, paired, with_interval
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.enas.children import Job, Searched, search
from metad2a.runtime.executors import processes as executor
from metad2a.supernets.training import SharedRecipe
from predictors.metrics import bootstrap_interval, percentiles

POLICIES = {
    "multinomial": "multinomial",
    "REINFORCE": "reinforce",
    "uniform, learns nothing (control)": "uniform",
}
OURS, REINFORCE, CONTROL = POLICIES
BATCH_SIZE = 32
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is run: paired seeds, training steps, children told after each pass."""

    seeds: int = 5
    steps: int = 1500
    told: int = 20


FAST = Size(seeds=2, steps=20, told=10)


@dataclass(frozen=True)
class Part:
    """What this half adds to the report."""

    setting: str
    table: Table
    verdicts: tuple[Verdict, ...]
    panel: Panel
    figures: dict[str, Any]


def on_supernet(context: Context, table: BenchmarkTable) -> Part:
    """Searches on CIFAR-10 that are judged by the table."""
    size = FAST if context.fast else Size()
    task = load_task(context.image_source("cifar10"), resolution=16, max_images=1500 if context.fast else 20_000)
    seeds = range(context.seed, context.seed + size.seeds)
    recipe = SharedRecipe(steps=size.steps, batch=BATCH_SIZE)
    jobs = [Job(task, seed, recipe, (), size.told, policy) for seed in seeds for policy in POLICIES.values()]
    done: dict[tuple[str, int], Searched] = {}
    for each in executor.run(search, jobs, workers=context.workers):
        done[each.job.policy, each.job.seed] = each
        context.say(f"search on shared weights {len(done)} of {len(jobs)}")
    found = {label: [done[policy, seed] for seed in seeds] for label, policy in POLICIES.items()}
    ranks = {label: _ranks(each, table) for label, each in found.items()}
    spread = {label: np.stack([one.entropies for one in each]) for label, each in found.items()}
    good = {label: bootstrap_interval(each, list(seeds)).to_json() for label, each in ranks.items()}
    above = {label: paired(ranks[OURS], each) for label, each in ranks.items() if label != OURS}
    fallen = paired(np.ones(len(seeds)), spread[OURS][:, -1])
    return Part(
        f"then {size.seeds} paired seeds on weights shared for {size.steps} steps of {BATCH_SIZE} images of CIFAR-10",
        _table(ranks, good, above, spread),
        _verdicts(good, above, fallen),
        Panel(
            "On shared weights",
            "passes over the images",
            "entropy of the policy (1: uniform)",
            tuple(band(label, range(1, each.shape[1] + 1), each) for label, each in spread.items()),
        ),
        {
            "percentile": {label: {**good[label], "of_seeds": each} for label, each in ranks.items()},
            "multinomial_above": above,
            "entropy": {label: each[:, -1] for label, each in spread.items()},
            "cells": {label: [str(one.likeliest) for one in each] for label, each in found.items()},
        },
    )


def _ranks(found: list[Searched], table: BenchmarkTable) -> Values:
    """(seeds,) percentile in the table, by test, of the likeliest cell."""
    return percentiles(table.test[table.rows([each.likeliest for each in found])], table.test)


def _table(
    ranks: dict[str, Values],
    good: dict[str, dict[str, float]],
    above: dict[str, dict[str, float]],
    spread: dict[str, Values],
) -> Table:
    rows = tuple(
        (
            label,
            " ".join(f"{each:.0f}" for each in values),
            with_interval(good[label], ".1f"),
            "" if label == OURS else with_interval(above[label], "+.1f"),
            f"{spread[label][:, -1].mean():.2f}",
        )
        for label, values in ranks.items()
    )
    headings = ("Policy", ">Of each seed", ">Mean [95%]", ">Multinomial above it [95%]", ">Entropy at the end")
    return Table("On shared weights: true test percentile of the likeliest cell", headings, rows)


def _verdicts(
    good: dict[str, dict[str, float]], above: dict[str, dict[str, float]], fallen: dict[str, float]
) -> tuple[Verdict, ...]:
    return (
        judged(
            "on shared weights the multinomial's entropy falls", "fall's interval above 0", fallen, above=0, form="+.3f"
        ),
        judged(
            "and its likeliest cell is better than a random one",
            "percentile's interval above 50",
            good[OURS],
            above=50,
            form=".1f",
        ),
        Verdict(
            "and not worse than REINFORCE's in equal steps",
            "interval not below 0",
            with_interval(above[REINFORCE], "+.1f"),
            above[REINFORCE]["high"] >= 0,
        ),
    )
