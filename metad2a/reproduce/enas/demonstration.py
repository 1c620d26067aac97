"""ENAS: do shared weights rank children as the truth does, at what cost, and what breaks it?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from databases.architectures.space import shared_space
from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN
from databases.records.benchmark_table import BenchmarkTable
from databases.records.importers.nasbench201 import CIFAR10
from databases.records.recipe import RECIPES
from metad2a.reports.report import Panel, Report, Table, Verdict, band, judged, not_refuted, paired, with_interval
from metad2a.reproduce.cells.found_cells import shown
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.enas.children import (
    CELLS,
    COLD,
    ENAS,
    RANDOM,
    RANKED,
    SCORED,
    TOLD,
    TURNS,
    WARM,
    Cost,
    Job,
    Outcome,
    Ranking,
    Values,
    Variant,
    search,
)
from metad2a.reproduce.enas.other_spaces import (
    DIGITS,
    OTHER_SPACES,
    TEXT,
    OtherSpaces,
    judged_in_other_spaces,
    search_table,
    search_verdicts,
)
from metad2a.supernets.training import SharedRecipe
from predictors.metrics import bootstrap_interval, percentiles

SOURCE = "Pham, Guan, Zoph, Le, Dean, ICML 2018"
SCRATCH = RECIPES["shallow"]  # what training a child alone would take
FEWER = 100  # times
AFTER, WARMED, RUNNING, UNTRAINED = (
    "at the end of ENAS's search",
    "after random children alone",
    "the same, running statistics",
    "untrained shared weights (control)",
)
NAIVE = "neither: no warming, running statistics (control)"
PLAIN, UNIFORM = Variant(), Variant("uniform")
VARIANTS = {
    ENAS: PLAIN,
    NAIVE: Variant(running=True, warmed=False),
    "batch statistics alone": Variant(warmed=False),
    "warming alone": Variant(running=True),
    RANDOM: UNIFORM,
}
PANELS = (
    ("What the policy draws", "accuracy by shared weights, %", "rewards"),
    ("How much it still tries", "entropy of the policy (1: uniform)", "entropies"),
)
Interval = dict[str, float]


Found = dict[str, tuple[Values, Values]]  # method -> (seeds,) percentiles and test accuracies


@dataclass(frozen=True)
class Size:
    """How much is run: paired seeds, stages of the shared weights, judged children, children told after each pass."""

    seeds: int = 5
    warm: SharedRecipe = WARM
    turns: SharedRecipe = TURNS
    cold: SharedRecipe = COLD
    judged: int = 2_300
    told: int = TOLD
    other_spaces: OtherSpaces = OTHER_SPACES


FAST = Size(
    seeds=2,
    warm=replace(WARM, steps=10),
    turns=replace(TURNS, steps=3),
    cold=replace(COLD, steps=3),
    judged=16,
    told=10,
    other_spaces=OtherSpaces(3, 1, (0.05, 0.05), (4, 4), turns=(1, 1), told=4),
)


def run(context: Context) -> Report:
    """The searches on CIFAR-10, then the other spaces."""
    size = FAST if context.fast else Size()
    task = load_task(context.image_source("cifar10"), resolution=WARM.resolution, as_stored=True)
    table = context.table(CIFAR10)
    rng = np.random.default_rng(7)
    judged = tuple(shared_space(CELLS).sample(rng) for _ in range(size.judged))
    seeds = context.seeds(size.seeds)
    variants, kept = tuple(VARIANTS.values()), context.trainings
    jobs = [Job(task, seed, size.warm, size.turns, size.told, variants, judged, kept, size.cold) for seed in seeds]
    done: dict[int, Outcome] = {}
    for each in context.run(search, jobs):
        done[each.job.seed] = each
        context.say(f"search {len(done)} of {len(jobs)}: reward {each.variants[PLAIN].rewards[-1]:.1f}")
    outcomes = [done[seed] for seed in seeds]
    truth = table.test[table.rows(judged[:RANKED])]
    scores = {
        AFTER: [each.variants[PLAIN].scores[:RANKED] for each in outcomes],
        WARMED: [each.repaired for each in outcomes],
        RUNNING: [each.running for each in outcomes],
        UNTRAINED: [each.untrained for each in outcomes],
    }
    ranked = {label: Ranking(np.stack(each), truth) for label, each in scores.items()}
    levels = {label: np.array([one.mean() for one in each]) for label, each in scores.items()}
    others = judged_in_other_spaces(size.other_spaces, seeds, context)
    searched = {name: each.figures() for name, each in others.items()}
    ranked |= {name: Ranking(each.scores, each.truth) for name, each in others.items()}
    alone = SCRATCH.steps(int((task.parts == TRAIN).sum())) * SCRATCH.batch
    each_saves = alone / (size.warm.steps * size.warm.batch + size.turns.steps * size.turns.batch)
    told = [each.variants[PLAIN].told for each in outcomes]
    cost = Cost(min(map(len, told)), min(len(each.union(judged)) for each in told), each_saves)
    return _report(size, ranked, levels, _found(outcomes, table), cost, outcomes, searched)


def _found(outcomes: list[Outcome], table: BenchmarkTable) -> Found:
    """Method -> (seeds,) percentile in the table by test, and (seeds,) test accuracies."""
    chosen = {label: [each.variants[variant].found for each in outcomes] for label, variant in VARIANTS.items()}
    accuracies = {label: table.test[table.rows(cells)] for label, cells in chosen.items()}
    return {label: (percentiles(values, table.test), values) for label, values in accuracies.items()}


def _report(
    size: Size,
    ranked: dict[str, Ranking],
    levels: dict[str, Values],
    found: Found,
    cost: Cost,
    outcomes: list[Outcome],
    searched: dict[str, dict[str, Any]],
) -> Report:
    rank = {label: each.figures() for label, each in ranked.items()}
    good = {label: bootstrap_interval(percentile).to_json() for label, (percentile, _) in found.items()}
    above = {label: paired(found[ENAS][0], found[label][0]) for label in VARIANTS if label != ENAS}
    cells = {label: [one.variants[of].found for one in outcomes] for label, of in VARIANTS.items()}
    shapes = shown(cells, asked=(ENAS,), seed=outcomes[0].job.seed)
    lost = paired(levels[WARMED], levels[RUNNING])
    return Report(
        "enas",
        SOURCE,
        _setting(size),
        (_tau_table(rank, levels), _found_table(found, good, above), search_table(searched), shapes.table),
        (*_rank_verdicts(rank, lost, cost), *_found_verdicts(good, above, searched), *shapes.verdicts),
        tuple(_panel(*each, outcomes) for each in PANELS),
        {
            "tau": rank,
            "accuracy": _of_seeds(levels),
            "accuracy_lost": lost,
            "tau_lost": paired(ranked[WARMED].taus, ranked[RUNNING].taus),
            **_found_figures(found),
            "enas_above": above,
            "other_spaces": searched,
            "cells": {label: [str(each) for each in of] for label, of in cells.items()},
            "shapes": shapes.figures,
            "judged": cost.judged,
            "told": cost.told,
            "times_fewer_images": cost.judged * cost.each_saves,
            "times_fewer_images_of_told": cost.told * cost.each_saves,
        },
    )


def _setting(size: Size) -> str:
    judge = size.other_spaces
    return (
        f"{size.seeds} paired seeds; NAS-Bench-201's cells with 8 channels and one cell a stage share weights, which "
        f"random children warm for {size.warm.steps} steps of {size.warm.batch} images of CIFAR-10 at "
        f"{size.warm.resolution} px; then they and the policy learn in turn for {size.turns.steps} ({size.cold.steps} "
        f"where nothing is warmed); {RANKED} random children ranked by {SCORED} validation images against the table's "
        "test accuracy after 200 epochs; "
        f"{judge.children} children of each other space trained alone: {judge.trainings} times each "
        "on digits, of which the mean is the truth, or once on text; then these weights and a policy learn in turn, "
        f"{judge.turns[0]} turns on digits and {judge.turns[1]} on text of {judge.told} children each"
    )


def _of_seeds(found: dict[str, Values]) -> dict[str, dict[str, Any]]:
    """The mean of (seeds,) values with its interval, and the values."""
    return {label: {**bootstrap_interval(each).to_json(), "of_seeds": each} for label, each in found.items()}


def _panel(title: str, label: str, of: str, outcomes: list[Outcome]) -> Panel:
    curves = []
    for name, variant in VARIANTS.items():
        runs = [getattr(each.variants[variant], of) for each in outcomes]
        curves.append(band(name, range(1, len(runs[0]) + 1), runs))
    return Panel(title, "passes over the images", label, tuple(curves))


def _rank_verdicts(rank: dict[str, Interval], lost: Interval, cost: Cost) -> tuple[Verdict, ...]:
    saved = cost.judged * cost.each_saves
    control = rank[UNTRAINED]
    return (
        _above_zero("shared weights rank NAS-Bench-201's cells as the table does", rank[WARMED]),
        _above_zero("and still do when ENAS's policy has learnt beside them", rank[AFTER]),
        not_refuted("untrained ones do not (control)", "interval not above 0", control, above=0, form="+.3f"),
        *(_above_zero(f"{name}'s children on the digits rank as trainings alone do", rank[name]) for name in DIGITS),
        _above_zero(f"{TEXT}'s children on text too", rank[TEXT]),
        Verdict(
            f"{cost.judged:,} different children, as many as we chose to judge, are judged for little of what training "
            "each alone takes",
            f"at least {FEWER} times fewer images in training steps",
            f"{saved:.0f} times; {FEWER} from {math.ceil(FEWER / cost.each_saves):,} children on; "
            f"{cost.told * cost.each_saves:.0f} times for the {cost.told} that the policy was told of",
            saved >= FEWER,
        ),
        _above_zero(
            "running statistics cost accuracy (known fault), batch statistics of the same weights repair it",
            lost,
            "+.1f",
        ),
    )


def _found_figures(found: Found) -> dict[str, Any]:
    return {
        "percentile": _of_seeds({label: percentile for label, (percentile, _) in found.items()}),
        "test_accuracy": {label: bootstrap_interval(values).to_json() for label, (_, values) in found.items()},
    }


def _found_verdicts(
    good: dict[str, Interval], above: dict[str, Interval], searched: dict[str, dict[str, Any]]
) -> tuple[Verdict, ...]:
    return (
        judged(
            "the found cell is better than a random cell",
            "percentile's interval above 50",
            good[ENAS],
            above=50,
            form=".1f",
            learnt=True,
        ),
        _above_zero("and than the best of as many random children", above[RANDOM], "+.1f", True),
        judged(
            "without warming and by running statistics the search collapses: its cell is worse than a random cell",
            "percentile's interval below 50",
            good[NAIVE],
            below=50,
            form=".1f",
            learnt=True,
        ),
        _above_zero("warming and batch statistics repair it: ENAS's cell is better", above[NAIVE], "+.1f", True),
        *search_verdicts(searched),
    )


def _told(found: Interval) -> str:
    return with_interval(found, "+.3f")


def _above_zero(claim: str, found: Interval, form: str = "+.3f", learnt: bool = False) -> Verdict:
    return judged(claim, "interval above 0", found, above=0, form=form, learnt=learnt)


def _tau_table(rank: dict[str, Interval], levels: dict[str, Values]) -> Table:
    rows = tuple(
        (label, _told(each), f"{levels[label].mean():.1f}" if label in levels else "") for label, each in rank.items()
    )
    title = "Kendall tau between shared-weight accuracy and the truth, mean over seeds [95%, over seeds and children]"
    return Table(title, ("", ">Tau", ">Mean accuracy of the children"), rows)


def _found_table(found: Found, good: dict[str, Interval], above: dict[str, Interval]) -> Table:
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
