"""MDENAS's second half: the multinomial and REINFORCE learn from the same shared weights, in equal steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture
from databases.datasets.loading import load_task
from databases.datasets.task import Task
from databases.records.benchmark_table import BenchmarkTable
from metad2a.reports.report import Panel, Table, Verdict, band, judged, not_refuted, paired, with_interval
from metad2a.reproduce.cells.found_cells import shown
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.enas.children import TOLD, TURNS, WARM, Job, Outcome, Variant, search
from metad2a.supernets.training import SharedRecipe
from predictors.metrics import bootstrap_interval, percentiles

POLICIES = {
    "multinomial": "multinomial",
    "REINFORCE": "reinforce",
    "uniform, learns nothing (control)": "uniform",
}
OURS, REINFORCE, CONTROL = POLICIES
RANDOM = "random search: the best of as many by the same weights"
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is run: paired seeds, both stages of the shared weights, children told after each pass."""

    seeds: int = 5
    warm: SharedRecipe = WARM
    turns: SharedRecipe = TURNS
    told: int = TOLD


FAST = Size(seeds=2, warm=replace(WARM, steps=15), turns=replace(TURNS, steps=5), told=10)


@dataclass(frozen=True)
class Section:
    """What shared weights add to the report."""

    setting: str
    tables: tuple[Table, ...]
    verdicts: tuple[Verdict, ...]
    panel: Panel
    figures: dict[str, Any]


def photographs(context: Context) -> Task:
    """The images of CIFAR-10; raises `UserError` where they are not at hand."""
    return load_task(context.image_source("cifar10"), resolution=WARM.resolution, as_stored=True)


def on_supernet(context: Context, task: Task, table: BenchmarkTable) -> Section:
    """Searches on a task that are judged by its table."""
    size = FAST if context.fast else Size()
    seeds = context.seeds(size.seeds)
    variants = {label: Variant(policy) for label, policy in POLICIES.items()}
    kept = context.trainings
    jobs = [Job(task, seed, size.warm, size.turns, size.told, tuple(variants.values()), folder=kept) for seed in seeds]
    done: dict[int, Outcome] = {}
    for each in context.run(search, jobs):
        done[each.job.seed] = each
        context.say(f"searches on shared weights {len(done)} of {len(jobs)}")
    found = {label: [done[seed].variants[variant] for seed in seeds] for label, variant in variants.items()}
    cells = {label: [one.likeliest for one in each] for label, each in found.items()}
    ranks = {label: _ranks(each, table) for label, each in cells.items()}
    ranks[RANDOM] = _ranks([one.found for one in found[CONTROL]], table)
    spread = {label: np.stack([one.entropies for one in each]) for label, each in found.items()}
    good = {label: bootstrap_interval(each, list(seeds)).to_json() for label, each in ranks.items()}
    above = {label: paired(ranks[OURS], each) for label, each in ranks.items() if label != OURS}
    shapes = shown(cells, asked=(OURS,), seed=context.seed)
    fallen = paired(np.ones(len(seeds)), spread[OURS][:, -1])
    return Section(
        f"then {size.seeds} paired seeds on shared weights of CIFAR-10, which random children warmed for "
        f"{size.warm.steps} steps and which learn in turn with the policy for {size.turns.steps}",
        (_table(ranks, good, above, spread), shapes.table),
        (*_verdicts(good, above, fallen), *shapes.verdicts),
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
            "cells": {label: [str(each) for each in of] for label, of in cells.items()},
            "shapes": shapes.figures,
        },
    )


def _ranks(cells: list[Architecture], table: BenchmarkTable) -> Values:
    """(seeds,) percentile in the table, by test."""
    return percentiles(table.test[table.rows(cells)], table.test)


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
            f"{spread[label][:, -1].mean():.2f}" if label in spread else "",
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
            learnt=True,
        ),
        not_refuted(
            "and not worse than REINFORCE's in equal steps",
            "interval not below 0",
            above[REINFORCE],
            below=0,
            form="+.1f",
        ),
        judged(
            "and better than random search on the same weights",
            "interval above 0",
            above[RANDOM],
            above=0,
            form="+.1f",
            learnt=True,
        ),
    )
