"""Prints what the meta-model knows of a pretrained base's subnets, on classes of which it saw no row.

    metad2a database build --space residual-subnets --tasks 80 --per-task 200
    python scripts/elastic.py [--rows FILE] [--search]

FILE is what `metad2a database export` wrote; by default the rows that come with metad2a. Folds of classes are held out
one after another; intervals are by bootstrap over the folds. The order is judged over pairs of subnets that cost the
same within 5%. With --search: generator, random search and evolution with 500 calls of the predictor each, below the
median cost, their picks measured (some minutes).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from databases.architectures.space import Architecture
from metad2a.build.shipped import SUBNETS
from metad2a.build.subnets import IMAGES
from metad2a.evaluate.subnet_search import (
    Objective,
    by_evolution,
    by_generator,
    by_random,
    measured_accuracies,
    objectives,
    preference,
    taught_generator,
)
from metad2a.evaluate.subnets import (
    MEAN,
    OURS,
    Judged,
    SubnetRows,
    Values,
    judged,
    naswot_scores,
    read_rows,
    taught,
    unseen,
)
from metad2a.generate.generator import Generator
from metad2a.reports.publish import markdown_table
from metad2a.runtime.home import features_folder, images_folder
from predictors.meta import MetaPredictor
from predictors.metrics import Interval, bootstrap_interval
from predictors.scale import to_logit, to_percent

CALLS, SEEDS, TASKS = 500, 20, 2  # of a search; tasks of a fold that are searched for
Picks = dict[tuple[str, str, str], list[Architecture]]  # fold, task and way -> by seed
FIRST, DEAREST, USUAL = "generator", "the dearest within the bound", "best measured on the other classes"


def main() -> None:
    """Learns and judges fold by fold, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="residual-subnets")
    parser.add_argument("--rows", type=Path, default=SUBNETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    images = images_folder()
    rows = read_rows(asked.rows, images, name=asked.space, cache=features_folder())
    subnets, spread = len(rows.flops), np.array([each.accuracy for each in rows.episodes])
    print(f"{spread.size:,} rows: {len(rows.episodes)} tasks of {len(rows.folds)} folds, {subnets} subnets,")
    print(f"inherited accuracy {spread.min():.1f} to {spread.max():.1f}%, {rows.recipe}", flush=True)
    scores = naswot_scores(rows, rows.folds[0], images)
    models, found = dict[str, MetaPredictor](), list[Judged]()
    for fold in rows.folds:
        models[fold] = taught(rows, fold, seed=asked.seed)
        found.append(judged(rows, fold, models[fold], scores))
        ours, mean = (np.nanmean(found[-1].taus(name, np.full(subnets, True))) for name in (OURS, MEAN))
        print(f"{fold}: learnt without it, tau {ours:.3f}; {MEAN}: {mean:.3f}", flush=True)
    order(found, unseen(rows))
    levels(found)
    if asked.search:
        searches(rows, models, images / f"{IMAGES}.npz", seed=asked.seed)


def order(found: list[Judged], hidden: np.ndarray) -> None:
    """Kendall's tau of each ranking, and what ours is above it."""

    def row(name: str) -> tuple[object, ...]:
        seen, never = (by_fold(found, [each.taus(name, among) for each in found]) for among in (~hidden, hidden))
        above = by_fold(found, [each.taus(OURS, hidden) - each.taus(name, hidden) for each in found])
        return name, seen, never, "" if name == OURS else f"{above} {verdict(above)}"

    print()
    headings = ("order at matched cost, Kendall's tau", "subnets it learnt from", "subnets never seen", "ours above it")
    for line in markdown_table(headings, map(row, found[0].said)):
        print(line, flush=True)


def levels(found: list[Judged]) -> None:
    """How far the predicted accuracies are off, beside a guess that knows no images."""
    ours = [np.abs(to_percent(each.said[OURS]) - each.true).mean(1) for each in found]
    usual = [
        np.abs(
            to_percent(np.mean([to_logit(other.true).mean(0) for other in found if other is not each], 0)) - each.true
        )
        for each in found
    ]
    print(f"\nlevel: off by {by_fold(found, ours)} points; the mean of the other classes' tasks by", end=" ")
    print(by_fold(found, [each.mean(1) for each in usual]))


def by_fold(found: list[Judged], values: list[Values]) -> Interval:
    """The mean over tasks with its interval over folds."""
    return bootstrap_interval(
        np.concatenate(values), [each.fold for each, of in zip(found, values, strict=True) for _ in of]
    )


def verdict(above: Interval) -> str:
    """Whether that can be told from nothing."""
    return "(cannot be told apart)" if above.low <= 0 <= above.high else ""


def searches(rows: SubnetRows, models: dict[str, MetaPredictor], file: Path, *, seed: int) -> None:
    """What each way to search picks, measured on held-out classes; and whether z knows its task."""
    bound, picks, liked = float(np.median(rows.flops)), Picks(), list[Values]()
    for fold, model in models.items():
        generator = taught_generator(rows, fold, model, bound=bound, seed=seed)
        liked.append(preference(rows, fold, generator, bound=bound))
        for each in objectives(model, [task.features for task in rows.of(fold)[0][:TASKS]], rows, bound=bound):
            picks |= {(fold, each.task.fingerprint, name): some for name, some in picked(each, generator).items()}
            picks |= {(fold, each.task.fingerprint, name): [one] for name, one in fixed(rows, fold, each).items()}
        print(f"{fold}: searched", flush=True)
    wanted = {fold: {each for key, some in picks.items() if key[0] == fold for each in some} for fold in models}
    true = measured_accuracies(rows, file, wanted, lambda line: print(line, flush=True))
    reached = {key: float(np.mean([true[key[0], each][key[1]] for each in some])) for key, some in picks.items()}
    told(reached, f"at most {bound / 1e6:.1f} million multiply-adds, {CALLS} calls, {SEEDS} seeds")
    both, of = np.concatenate(liked), [fold for fold, each in zip(models, liked, strict=True) for _ in each]
    better = bootstrap_interval(both[:, 0] - both[:, 1], of)
    print("\nlog probability of a held-out task's best subnets by its own z, above another task's:", end=" ")
    print(better, verdict(better))


def picked(objective: Objective, generator: Generator) -> dict[str, list[Architecture]]:
    """The pick of each way to search, seed by seed."""
    seeds = range(SEEDS)
    return {
        FIRST: [by_generator(objective, generator, calls=CALLS, seed=number) for number in seeds],
        "random": [by_random(objective, calls=CALLS, seed=number) for number in seeds],
        "evolution": [by_evolution(objective, calls=CALLS, seed=number) for number in seeds],
    }


def told(reached: dict[tuple[str, str, str], float], setting: str) -> None:
    """The mean accuracy of each way's picks, and what the generator is above it."""
    tasks = sorted({key[:2] for key in reached})
    print(f"\n{setting}, {len(tasks)} held-out tasks")
    rows = []
    for name in dict.fromkeys(key[2] for key in reached):
        theirs = np.array([reached[*task, name] for task in tasks])
        ours = np.array([reached[*task, FIRST] for task in tasks])
        above = bootstrap_interval(ours - theirs, [fold for fold, _ in tasks])
        rows.append((name, f"{theirs.mean():.2f}", "" if name == FIRST else f"{above} {verdict(above)}"))
    print(*markdown_table(("picks by", "inherited accuracy", "generator above it"), rows), sep="\n")


def fixed(rows: SubnetRows, fold: str, objective: Objective) -> dict[str, Architecture]:
    """Picks that need no search."""
    within = np.flatnonzero(rows.flops <= objective.bound)
    usual = np.mean([to_logit(each.accuracy) for each in rows.of(fold)[1]], axis=0)
    known = [each for each in objective.told if objective.allowed(each)]
    return {
        "predictor, all that it knows": objective.best(known),
        USUAL: rows.subnets[within[np.argmax(usual[within])]],
        DEAREST: rows.subnets[within[np.argmax(rows.flops[within])]],
        "a random one": rows.subnets[np.random.default_rng(list(fold.encode())).choice(within)],
    }


if __name__ == "__main__":
    main()
