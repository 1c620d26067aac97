"""LPT: does a creator of tests raise what is hard but clean, and does an architecture that passes them rank higher?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, shared_space
from databases.architectures.spaces.nasbench201 import EDGES, OPERATIONS
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION
from databases.hosting import lent
from databases.records.importers.nasbench201 import CIFAR10
from metad2a.reports.report import Panel, Report, Table, Verdict, band, judged, not_refuted, paired, with_interval
from metad2a.reproduce.cells.found_cells import shown
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.supernets.passing_tests import Batches, Creator, Examiner, PassingTests, Rule
from metad2a.supernets.training import Labelled, labelled, new_supernet
from metad2a.train.torch_place import pick_place
from predictors.metrics import bootstrap_interval, percentiles

SOURCE = "Du, Zhang, Xie, 2020"
HARD, OUTLIERS = 0.25, 0.15  # shares of the images: turned by a quarter, and inverted with a random label
EASY_KIND, HARD_KIND, OUTLIER_KIND = 0, 1, 2
OURS, CAREFREE, DARTS = "LPT", "LPT, lambda = 0 (control)", "first-order DARTS"
RULES = {
    OURS: Rule(),
    CAREFREE: Rule(caution=0.0),
    DARTS: Rule(unrolled=0.0, creates=False),
}
RANDOM, GUESSED = "random cell of the same operations", "a creator of random weights (control)"
NONE = OPERATIONS.index("none")  # in the mixture, but in no cell that is found, as in DARTS
SHAPES = "Width and depth of the cells: without `none` all have the same, so that these say nothing of the search"
BATCH, FEATURES = 32, 32
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is run: paired seeds, steps, steps between two looks."""

    seeds: int = 12
    steps: int = 200
    every: int = 40


FAST = Size(seeds=2, steps=6, every=3)


@dataclass(frozen=True)
class Job:
    """One search."""

    label: str
    seed: int
    size: Size


@dataclass(frozen=True)
class Followed:
    """Looks at the scores as the search goes on, and its cell.

    hard, outliers: (looks,) chance that such an image has a higher score than an easy one; empty without a creator.
    guessed: both at the end by the scores of random weights in the creator's place.
    """

    label: str
    seed: int
    hard: Values
    outliers: Values
    guessed: tuple[float, float]
    cell: tuple[int, ...]

    @property
    def architecture(self) -> Architecture:
        """The cell in its space."""
        return Architecture("nasbench201", self.cell)


def mixed(part: Labelled, seed: int, *, outliers: bool = True) -> tuple[Labelled, Tensor]:
    """A part with hard but clean images and mislabelled outliers among the easy ones, and the kind of each."""
    random = torch.Generator().manual_seed(seed)
    drawn = torch.rand(len(part.labels), generator=random)
    kinds = torch.where(drawn < HARD, HARD_KIND, EASY_KIND)
    if outliers:
        kinds = torch.where(drawn > 1 - OUTLIERS, OUTLIER_KIND, kinds)
    of = kinds.view(-1, 1, 1, 1)
    turned = part.images.rot90(1, dims=(2, 3))
    images = torch.where(of == HARD_KIND, turned, torch.where(of == OUTLIER_KIND, -part.images, part.images))
    wrong = torch.randint(int(part.labels.max()) + 1, part.labels.shape, generator=random)
    return Labelled(images, torch.where(kinds == OUTLIER_KIND, wrong, part.labels)), kinds


def _drawn(part: Labelled, random: torch.Generator) -> Iterator[Labelled]:
    """Batches without end."""
    while True:
        batches = torch.randperm(len(part.labels), generator=random).split(BATCH)
        for rows in batches[:-1] or batches:
            yield Labelled(part.images[rows], part.labels[rows])


@lent(threads=1)
def follow(job: Job) -> Followed:
    """One search on the digits: half of the training images for the learner, half for the tester."""
    task = load_task("sklearn:digits", as_stored=True)
    train, valid, test = (labelled(task, part, 8) for part in (TRAIN, VALIDATION, TEST))
    half = len(train.labels) // 2
    halves = [Labelled(train.images[each], train.labels[each]) for each in (slice(half), slice(half, None))]
    bank, _ = mixed(valid, job.seed)
    kept, kinds = mixed(test, job.seed + 1)
    rest = slice(half // 2, None)
    parts = [mixed(halves[0], job.seed + 2, outliers=False)[0], mixed(halves[1], job.seed + 3, outliers=False)[0]]
    own, spoilt = (Labelled(parts[1].images[each], parts[1].labels[each]) for each in (slice(half // 2), rest))
    random, place = torch.Generator().manual_seed(job.seed), pick_place()
    streams = [_drawn(each.to(place), random) for each in (parts[0], own, bank, spoilt)]
    system = _system(job, place)
    looks: list[tuple[float, float]] = []
    for step in range(1, job.size.steps + 1):
        system.step(Batches(*(next(each) for each in streams)))
        if step % job.size.every == 0 and system.rule.creates:
            looks.append(_aucs(system.scores(kept.images.to(place)).cpu(), kinds))
    hard, outliers = np.array(looks).reshape(-1, 2).T
    weights = torch.randn(FEATURES, generator=random).to(place)
    with torch.no_grad():
        guessed = _aucs((system.tester(kept.images.to(place))[0] @ weights).cpu(), kinds)
    return Followed(job.label, job.seed, hard, outliers, guessed, system.likeliest((NONE,)))


def _system(job: Job, place: torch.device) -> PassingTests:
    space = shared_space("nasbench201")
    learner = new_supernet(space, Skeleton(4, 1, 1, 10), seed=job.seed)
    with lent(seed=job.seed):
        encoder = nn.Sequential(
            *(nn.Conv2d(1, FEATURES, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)),
            *(nn.Conv2d(FEATURES, FEATURES, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        tester, creator = Examiner(encoder, FEATURES, 10).to(place), Creator(FEATURES).to(place)
    return PassingTests(learner.to(place), (len(EDGES), len(OPERATIONS)), tester, creator, RULES[job.label])


def _random_cell(seed: int) -> Architecture:
    """A cell without `NONE`, as the found ones are."""
    kept = [each for each in range(len(OPERATIONS)) if each != NONE]
    return Architecture("nasbench201", tuple(np.random.default_rng([seed, 5]).choice(kept, len(EDGES)).tolist()))


def _aucs(scores: Tensor, kinds: Tensor) -> tuple[float, float]:
    """Chance that a hard image and that an outlier has a higher score than an easy one; equals count half."""
    easy, hard, outliers = (scores[kinds == kind].double().numpy() for kind in (EASY_KIND, HARD_KIND, OUTLIER_KIND))
    return float(percentiles(hard, easy).mean() / 100), float(percentiles(outliers, easy).mean() / 100)


def run(context: Context) -> Report:
    """The searches, judged by the table and by what their creators score."""
    size = FAST if context.fast else Size()
    table = context.table(CIFAR10)
    seeds = context.seeds(size.seeds)
    jobs = [Job(label, seed, size) for seed in seeds for label in RULES]
    done: dict[tuple[str, int], Followed] = {}
    for each in context.run(follow, jobs):
        done[each.label, each.seed] = each
        context.say(f"search {len(done)} of {len(jobs)}")
    found = {label: [done[label, seed] for seed in seeds] for label in RULES}
    cells = {label: [each.architecture for each in of] for label, of in found.items()}
    cells |= {RANDOM: [_random_cell(seed) for seed in seeds]}
    ranks = {label: percentiles(table.test[table.rows(each)], table.test) for label, each in cells.items()}
    scores = {
        label: {kind: np.stack([getattr(one, kind) for one in found[label]]) for kind in ("hard", "outliers")}
        for label in (OURS, CAREFREE)
    }
    guessed = np.array([each.guessed for each in found[OURS]])[..., None]  # (seeds, kinds, one look)
    last = {label: _last(kinds) for label, kinds in scores.items()}
    last |= {GUESSED: _last({"hard": guessed[:, 0], "outliers": guessed[:, 1]})}
    spared = paired(scores[CAREFREE]["outliers"][:, -1], scores[OURS]["outliers"][:, -1])
    good = {label: bootstrap_interval(each).to_json() for label, each in ranks.items()}
    above = {label: paired(ranks[OURS], each) for label, each in ranks.items() if label != OURS}
    shapes = shown(cells, seed=context.seed, title=SHAPES)
    return Report(
        "lpt",
        SOURCE,
        _setting(size),
        (_score_table(last), _cell_table(good, above), shapes.table),
        _verdicts(last, above, spared),
        (_panel(scores, size),),
        {
            "auc": last,
            "outliers_spared": spared,
            "percentile": {label: {**good[label], "of_seeds": each} for label, each in ranks.items()},
            "lpt_above": above,
            "cells": {label: [str(each) for each in of] for label, of in cells.items()},
            "shapes": shapes.figures,
        },
    )


def _last(kinds: dict[str, Values]) -> dict[str, dict[str, float]]:
    """The mean of the last look at (seeds, looks) of each kind, with its interval."""
    return {kind: bootstrap_interval(each[:, -1]).to_json() for kind, each in kinds.items()}


def _setting(size: Size) -> str:
    return (
        f"{size.seeds} paired seeds, {size.steps} steps on scikit-learn's digits, of which {HARD:.0%} are turned by a "
        f"quarter (hard but clean) and {OUTLIERS:.0%} of the tests inverted with a random label (outliers); scores "
        f"judged on images that nothing was trained on; lambda {RULES[OURS].caution:g}, published as 1: below some "
        "hundreds it changes nothing through one small step; every search takes the likeliest operation of each edge "
        "but `none`, as in DARTS; cells by NAS-Bench-201's test accuracy on CIFAR-10"
    )


def _panel(scores: dict[str, dict[str, Values]], size: Size) -> Panel:
    curves = tuple(
        band(f"{label}: {kind}", np.arange(1, each.shape[1] + 1) * size.every, each)
        for label, kinds in scores.items()
        for kind, each in kinds.items()
    )
    return Panel("What the creator raises", "steps", "chance of a higher score than an easy image", curves)


def _score_table(last: dict[str, dict[str, dict[str, float]]]) -> Table:
    rows = tuple(
        (label, with_interval(kinds["hard"], ".2f"), with_interval(kinds["outliers"], ".2f"))
        for label, kinds in last.items()
    )
    title = "Chance that the creator scores an image above an easy one, mean over seeds [95%]"
    return Table(title, ("", ">Hard but clean", ">Mislabelled outlier"), rows)


def _cell_table(good: dict[str, dict[str, float]], above: dict[str, dict[str, float]]) -> Table:
    rows = tuple(
        (label, with_interval(each, ".1f"), "" if label == OURS else with_interval(above[label], "+.1f"))
        for label, each in good.items()
    )
    return Table("Test percentile of the found cell [95%]", ("Search", ">Percentile", ">LPT above it"), rows)


def _verdicts(
    last: dict[str, dict[str, dict[str, float]]], above: dict[str, dict[str, float]], spared: dict[str, float]
) -> tuple[Verdict, ...]:
    hard, outliers, carefree = last[OURS]["hard"], last[OURS]["outliers"], last[CAREFREE]["outliers"]
    return (
        judged("the creator raises hard but clean images", "interval above 0.5", hard, above=0.5, form=".2f"),
        not_refuted("and not mislabelled outliers", "interval not above 0.5", outliers, above=0.5, form=".2f"),
        judged("with lambda = 0 it does raise them (control)", "interval above 0.5", carefree, above=0.5, form=".2f"),
        judged("lambda spares them: less than with 0", "interval above 0", spared, above=0),
        judged(
            "the found cell ranks above first-order DARTS's",
            "interval above 0",
            above[DARTS],
            above=0,
            form="+.1f",
            learnt=True,
        ),
    )


DEMONSTRATION = Demonstration("lpt", "LPT: learning by passing tests", SOURCE, run)
