"""ENAS: do shared weights rank children as the truth does, at what cost, and what breaks it?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from databases.architectures.space import shared_space
from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN
from databases.records.benchmark_table import BenchmarkTable
from databases.records.recipe import RECIPES
from metad2a.reports.report import Panel, Report, Table, Verdict, band, judged, not_refuted, paired, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.enas.children import CELLS, SCORED, TOLD, TURNS, WARM, Job, Outcome, Values, Way, search
from metad2a.reproduce.enas.trained_alone import DIGITS, TEXT, alone, shared
from metad2a.supernets.training import SharedRecipe
from predictors.metrics import bootstrap_interval, kendall_tau, percentiles

SOURCE = "Pham, Guan, Zoph, Le, Dean, ICML 2018"
SCRATCH = RECIPES["shallow"]  # what training a child alone would take
FEWER = 100  # times
AFTER, WARMED, RUNNING, UNTRAINED = (
    "at the end of ENAS's search",
    "after random children alone",
    "the same, running statistics",
    "untrained shared weights (control)",
)
ENAS, COLLAPSED, RANDOM = (
    "ENAS",
    "ENAS with running statistics (control)",
    "random children, as many, on weights that learn alike",
)
PLAIN, KEPT, UNIFORM = Way(), Way(running=True), Way("uniform")
WAYS = {ENAS: PLAIN, COLLAPSED: KEPT, RANDOM: UNIFORM}
PANELS = (
    ("What the policy draws", "accuracy by shared weights, %", "rewards"),
    ("How much it still tries", "entropy of the policy (1: uniform)", "entropies"),
)
Interval = dict[str, float]
Found = dict[str, tuple[Values, Values]]  # method -> (seeds,) percentiles and test accuracies


@dataclass(frozen=True)
class Size:
    """How much is run: paired seeds, both stages of the shared weights, judged children, children told after each pass.

    ``alone`` children of each other space are trained alone, for so many ``epochs`` of digits or of text, and share
    weights that are trained for so many ``steps``.
    """

    seeds: int = 5
    warm: SharedRecipe = WARM
    turns: SharedRecipe = TURNS
    judged: int = 200
    told: int = TOLD
    alone: int = 30
    epochs: tuple[float, float] = (3, 1.5)
    steps: tuple[int, int] = (240, 300)


FAST = Size(
    seeds=2,
    warm=replace(WARM, steps=10),
    turns=replace(TURNS, steps=3),
    judged=16,
    told=10,
    alone=3,
    epochs=(0.05, 0.05),
    steps=(4, 4),
)


def run(context: Context) -> Report:
    """The searches on CIFAR-10, then the other spaces."""
    size = FAST if context.fast else Size()
    task = load_task(context.image_source("cifar10"), resolution=WARM.resolution, as_stored=True)
    table = context.table("nasbench201/cifar10")
    rng = np.random.default_rng(7)
    judged = tuple(shared_space(CELLS).sample(rng) for _ in range(size.judged))
    seeds = context.seeds(size.seeds)
    ways, kept = tuple(WAYS.values()), context.trainings
    jobs = [Job(task, seed, size.warm, size.turns, size.told, ways, judged, kept) for seed in seeds]
    done: dict[int, Outcome] = {}
    for each in context.run(search, jobs):
        done[each.job.seed] = each
        context.say(f"search {len(done)} of {len(jobs)}: reward {each.ways[PLAIN].rewards[-1]:.1f}")
    outcomes = [done[seed] for seed in seeds]
    truth = table.test[table.rows(judged)]
    scores = {
        AFTER: [each.ways[PLAIN].scores for each in outcomes],
        WARMED: [each.repaired for each in outcomes],
        RUNNING: [each.running for each in outcomes],
        UNTRAINED: [each.untrained for each in outcomes],
    }
    taus = {label: _taus(each, truth) for label, each in scores.items()}
    levels = {label: np.array([one.mean() for one in each]) for label, each in scores.items()}
    elsewhere = _elsewhere(size, seeds, context)
    asked = min(len(each.ways[PLAIN].told.union(judged)) for each in outcomes)
    images = int((task.parts == TRAIN).sum())
    alone_for = asked * SCRATCH.steps(images) * SCRATCH.batch
    saved = alone_for / (size.warm.steps * size.warm.batch + size.turns.steps * size.turns.batch)
    return _report(size, taus | elsewhere, levels, _found(outcomes, table), (asked, saved), outcomes)


def _taus(scores: list[Values], truth: Values) -> Values:
    return np.array([kendall_tau(each, truth) for each in scores])


def _found(outcomes: list[Outcome], table: BenchmarkTable) -> Found:
    """Method -> (seeds,) percentile in the table by test, and (seeds,) test accuracies."""
    chosen = {label: [each.ways[way].found for each in outcomes] for label, way in WAYS.items()}
    accuracies = {label: table.test[table.rows(cells)] for label, cells in chosen.items()}
    return {label: (percentiles(values, table.test), values) for label, values in accuracies.items()}


def _elsewhere(size: Size, seeds: range, context: Context) -> dict[str, Values]:
    """Space -> (seeds,) tau of shared weights against children trained alone."""
    kinds = {**{name: 0 for name in DIGITS}, TEXT: 1}
    trainings = [(name, child, size.epochs[kind]) for name, kind in kinds.items() for child in range(size.alone)]
    truth = {name: np.zeros(size.alone) for name in kinds}
    for name, child, value in context.run(alone, trainings):
        truth[name][child] = value
    context.say(f"{len(trainings)} children trained alone on the digits and on text")
    jobs = [(name, seed, size.alone, size.steps[kind]) for name, kind in kinds.items() for seed in seeds]
    done = {(name, seed): scores for name, seed, scores in context.run(shared, jobs)}
    return {name: _taus([done[name, seed] for seed in seeds], truth[name]) for name in kinds}


def _report(
    size: Size,
    taus: dict[str, Values],
    levels: dict[str, Values],
    found: Found,
    cost: tuple[int, float],
    outcomes: list[Outcome],
) -> Report:
    rank = {label: bootstrap_interval(values).to_json() for label, values in taus.items()}
    good = {label: bootstrap_interval(percentile).to_json() for label, (percentile, _) in found.items()}
    above = {label: paired(found[ENAS][0], found[label][0]) for label in (COLLAPSED, RANDOM)}
    lost = paired(levels[WARMED], levels[RUNNING])
    return Report(
        "enas",
        SOURCE,
        f"{size.seeds} paired seeds; NAS-Bench-201's cells with 8 channels and one cell a stage share weights, which "
        f"random children warm for {size.warm.steps} steps of {size.warm.batch} images of CIFAR-10 at "
        f"{size.warm.resolution} px; then they and the policy learn in turn for {size.turns.steps}; {size.judged} "
        f"random children scored on {SCORED} validation images against the table's test accuracy after 200 epochs; "
        f"{size.alone} children of each other space trained alone on digits or on text",
        (_tau_table(rank, levels), _found_table(found, good, above)),
        (*_rank_verdicts(rank, lost, cost), *_found_verdicts(good, above)),
        tuple(_panel(*each, outcomes) for each in PANELS),
        {
            "tau": {label: {**each, "of_seeds": taus[label]} for label, each in rank.items()},
            "accuracy": {
                label: {**bootstrap_interval(values).to_json(), "of_seeds": values} for label, values in levels.items()
            },
            "accuracy_lost": lost,
            "tau_lost": paired(taus[WARMED], taus[RUNNING]),
            "percentile": {label: {**each, "of_seeds": found[label][0]} for label, each in good.items()},
            "test_accuracy": {label: bootstrap_interval(values).to_json() for label, (_, values) in found.items()},
            "enas_above": above,
            "cells": {way: [str(one.ways[of].found) for one in outcomes] for way, of in WAYS.items()},
            "judged": cost[0],
            "times_fewer_images": cost[1],
        },
    )


def _panel(title: str, label: str, of: str, outcomes: list[Outcome]) -> Panel:
    curves = []
    for name, way in WAYS.items():
        runs = [getattr(each.ways[way], of) for each in outcomes]
        curves.append(band(name, range(1, len(runs[0]) + 1), runs))
    return Panel(title, "passes over the images", label, tuple(curves))


def _rank_verdicts(rank: dict[str, Interval], lost: Interval, cost: tuple[int, float]) -> tuple[Verdict, ...]:
    asked, saved = cost
    control = rank[UNTRAINED]
    return (
        _above_zero("shared weights rank NAS-Bench-201's cells as the table does", rank[WARMED]),
        _above_zero("and still do when ENAS's policy has learnt beside them", rank[AFTER]),
        not_refuted("untrained ones do not (control)", "interval not above 0", control, above=0, form="+.3f"),
        *(_above_zero(f"{name}'s children on the digits rank as trainings alone do", rank[name]) for name in DIGITS),
        _above_zero(f"{TEXT}'s children on text too", rank[TEXT]),
        Verdict(
            f"{asked} different children are judged for little of what training each alone takes",
            f"at least {FEWER} times fewer images in training steps",
            f"{saved:.0f} times; {FEWER} from {math.ceil(FEWER * asked / saved):,} children on",
            saved >= FEWER,
        ),
        _above_zero(
            "running statistics cost accuracy (known fault), batch statistics of the same weights repair it",
            lost,
            "+.1f",
        ),
    )


def _found_verdicts(good: dict[str, Interval], above: dict[str, Interval]) -> tuple[Verdict, ...]:
    return (
        judged(
            "the found cell is better than a random cell",
            "percentile's interval above 50",
            good[ENAS],
            above=50,
            form=".1f",
            learnt=True,
        ),
        _above_zero("and than that of the search with running statistics (control)", above[COLLAPSED], "+.1f", True),
        _above_zero("and than the best of as many random children", above[RANDOM], "+.1f", True),
        judged(
            "the search with running statistics collapses: its cell is worse than a random cell",
            "percentile's interval below 50",
            good[COLLAPSED],
            below=50,
            form=".1f",
            learnt=True,
        ),
    )


def _told(found: Interval) -> str:
    return with_interval(found, "+.3f")


def _above_zero(claim: str, found: Interval, form: str = "+.3f", learnt: bool = False) -> Verdict:
    return judged(claim, "interval above 0", found, above=0, form=form, learnt=learnt)


def _tau_table(rank: dict[str, Interval], levels: dict[str, Values]) -> Table:
    rows = tuple(
        (label, _told(each), f"{levels[label].mean():.1f}" if label in levels else "") for label, each in rank.items()
    )
    title = "Kendall tau between shared-weight accuracy and the truth, mean over seeds [95%]"
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
