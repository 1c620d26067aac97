"""What the meta-model knows of a pretrained base's subnets, on classes of which it saw no row.

Folds of classes are held out one after another; intervals are by bootstrap over the folds. The order is judged over
pairs of subnets that cost the same within 5%. Then generator, random search and evolution with 500 calls of the
predictor each, below the median cost, their picks measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from databases.architectures.space import Architecture
from databases.errors import Say
from databases.hosting import lent
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
    FLOPS,
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
from metad2a.reports.report import Part, Table, Verdict, not_refuted, with_interval
from metad2a.reports.report import judged as verdict
from metad2a.runtime.home import features_folder
from predictors.meta import MetaPredictor
from predictors.metrics import Interval, bootstrap_interval
from predictors.scale import to_logit, to_percent

CALLS, SEEDS, TASKS = 500, 20, 2  # of a search; tasks of a fold that are searched for
Picks = dict[tuple[str, str, str], list[Architecture]]  # fold, task and way -> by seed
FIRST, RANDOM, EVOLUTION = "generator", "random", "evolution"
DEAREST, USUAL = "the dearest within the bound", "best measured on the other classes"


def parts(file: Path, images: Path, *, name: str, fast: bool, say: Say) -> Iterator[Part]:
    """The order of subnets, the level, and unless ``fast`` searches; learnt and judged fold by fold."""
    rows = read_rows(file, images, name=name, cache=features_folder())
    models, found = dict[str, MetaPredictor](), list[Judged]()
    with lent(threads=1):
        scores = naswot_scores(rows, rows.folds[0], images)
        for fold in rows.folds:
            models[fold] = taught(rows, fold)
            found.append(judged(rows, fold, models[fold], scores))
            say(f"{fold}: learnt without it")
        yield order(found, unseen(rows), rows)
        yield level(found)
        if not fast:
            yield from searches(rows, models, images / f"{IMAGES}.npz", say)


def order(found: list[Judged], hidden: np.ndarray, rows: SubnetRows) -> Part:
    """Kendall's tau of each ranking, and what ours is above it."""
    figures = dict[str, dict[str, Any]]()
    for name in found[0].said:
        seen, never = (by_fold(found, [each.taus(name, among) for each in found]) for among in (~hidden, hidden))
        above = by_fold(found, [each.taus(OURS, hidden) - each.taus(name, hidden) for each in found])
        figures[name] = {"known": seen.to_json(), "never seen": never.to_json(), "ours above it": above.to_json()}
    lines = [
        (
            *(name, with_interval(each["known"], ".3f"), with_interval(each["never seen"], ".3f")),
            "" if name == OURS else told_apart(each["ours above it"], "+.3f"),
        )
        for name, each in figures.items()
    ]
    size = f"{len(rows.episodes)} tasks of {len(rows.folds)} folds, {len(rows.flops)} subnets, {rows.recipe}"
    title = f"Order at matched cost, Kendall's tau: {size}"
    headings = ("ranking", ">subnets it learnt from", ">subnets never seen", ">ours above it")
    rivals = {name: figures[name]["ours above it"] for name in (FLOPS, MEAN)}
    claims = (verdict(f"ours orders better than {name}", "> 0", above, above=0) for name, above in rivals.items())
    return Part(Table(title, headings, tuple(lines)), tuple(claims), figures)


def level(found: list[Judged]) -> Part:
    """How far the predicted accuracies are off, beside a guess that knows no images."""
    ours = [np.abs(to_percent(each.said[OURS]) - each.true).mean(1) for each in found]
    usual = [
        np.abs(
            to_percent(np.mean([to_logit(other.true).mean(0) for other in found if other is not each], 0)) - each.true
        )
        for each in found
    ]
    figures = {
        "ours": by_fold(found, ours).to_json(),
        "mean of the other classes' tasks": by_fold(found, [each.mean(1) for each in usual]).to_json(),
    }
    lines = tuple((name, with_interval(each, ".2f")) for name, each in figures.items())
    return Part(Table("Level of inherited accuracy", ("foretold by", ">mean error, points"), lines), figures=figures)


def by_fold(found: list[Judged], values: list[Values]) -> Interval:
    """The mean over tasks with its interval over folds."""
    return bootstrap_interval(
        np.concatenate(values), [each.fold for each, of in zip(found, values, strict=True) for _ in of]
    )


def told_apart(above: dict[str, float], form: str) -> str:
    """A difference with its interval, and whether that can be told from nothing."""
    return with_interval(above, form) + (" (cannot be told apart)" if above["low"] <= 0 <= above["high"] else "")


def searches(rows: SubnetRows, models: dict[str, MetaPredictor], file: Path, say: Say) -> Iterator[Part]:
    """What each way to search picks, measured on held-out classes; and whether z knows its task."""
    bound, picks, liked = float(np.median(rows.flops)), Picks(), list[Values]()
    for fold, model in models.items():
        generator = taught_generator(rows, fold, model, bound=bound)
        liked.append(preference(rows, fold, generator, bound=bound))
        for each in objectives(model, [task.features for task in rows.of(fold)[0][:TASKS]], rows, bound=bound):
            picks |= {(fold, each.task.fingerprint, name): some for name, some in picked(each, generator).items()}
            picks |= {(fold, each.task.fingerprint, name): [one] for name, one in fixed(rows, fold, each).items()}
        say(f"{fold}: searched")
    wanted = {fold: {each for key, some in picks.items() if key[0] == fold for each in some} for fold in models}
    true = measured_accuracies(rows, file, wanted, say)
    reached = {key: float(np.mean([true[key[0], each][key[1]] for each in some])) for key, some in picks.items()}
    yield reaching(reached, f"at most {bound / 1e6:.1f} million multiply-adds, {CALLS} calls, {SEEDS} seeds")
    both, of = np.concatenate(liked), [fold for fold, each in zip(models, liked, strict=True) for _ in each]
    better = bootstrap_interval(both[:, 0] - both[:, 1], of).to_json()
    title = "Log probability of a held-out task's best subnets by its own z, above another task's"
    claim = verdict("the right z is better than another task's", "> 0", better, above=0)
    yield Part(Table(title, (">difference",), ((told_apart(better, "+.2f"),),)), (claim,), {"difference": better})


def picked(objective: Objective, generator: Generator) -> dict[str, list[Architecture]]:
    """The pick of each way to search, seed by seed."""
    seeds = range(SEEDS)
    return {
        FIRST: [by_generator(objective, generator, calls=CALLS, seed=number) for number in seeds],
        RANDOM: [by_random(objective, calls=CALLS, seed=number) for number in seeds],
        EVOLUTION: [by_evolution(objective, calls=CALLS, seed=number) for number in seeds],
    }


def reaching(reached: dict[tuple[str, str, str], float], setting: str) -> Part:
    """The mean accuracy of each way's picks, and what the generator is above it."""
    tasks = sorted({key[:2] for key in reached})
    figures = dict[str, dict[str, Any]]()
    for name in dict.fromkeys(key[2] for key in reached):
        theirs = np.array([reached[*task, name] for task in tasks])
        ours = np.array([reached[*task, FIRST] for task in tasks])
        above = bootstrap_interval(ours - theirs, [fold for fold, _ in tasks]).to_json()
        figures[name] = {"accuracy": float(theirs.mean()), "generator above it": above}
    lines = tuple(
        (name, f"{each['accuracy']:.2f}", "" if name == FIRST else told_apart(each["generator above it"], "+.2f"))
        for name, each in figures.items()
    )
    random, evolution = (figures[name]["generator above it"] for name in (RANDOM, EVOLUTION))
    claims: tuple[Verdict, ...] = (
        verdict("the generator's pick is better than random search's", "> 0", random, above=0),
        not_refuted("the generator's pick is not below evolution's", "not < 0", evolution, below=0),
    )
    title = f"Picks measured on {len(tasks)} held-out tasks: {setting}"
    return Part(Table(title, ("picks by", ">inherited accuracy", ">generator above it"), lines), claims, figures)


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
