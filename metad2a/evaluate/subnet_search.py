"""Searches among a base's subnets of at most some cost for classes never seen, by so many calls of a predictor.

MetaD2A's generator (Lee, Hyung, Hwang, 2021), taught by what the predictor thinks best for the other folds' tasks,
against random subnets and against evolution; what each picks is then measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from databases.architectures.space import Architecture
from databases.datasets.features import TaskFeatures
from databases.errors import Say
from databases.records.episodes import Episode
from metad2a.build.subnets import base_images, cut_accuracy, inherited, side_of
from metad2a.evaluate.subnets import SubnetRows, Values
from metad2a.generate.generator import Generator, Lesson, train_generator
from metad2a.generate.lessons import GOOD, lesson, taught
from metad2a.search.controllers.evolution import Evolution
from predictors.meta import MetaPredictor

POOL, STEPS = 4_000, 200  # random subnets that a generator learns the best of, and for how long
ROUNDS, DRAWN, AGAIN = 4, 100, 80  # further rounds, draws for each task, and steps of each
DRAWS_A_CALL = 20  # of a searcher, beyond which it is exhausted
TOP = 0.1  # share of the measured subnets within the bound that count as truly good
TOO_DEAR = -1e3  # what evolution is told of a subnet beyond the bound, which costs no call


@dataclass(frozen=True, eq=False)
class Objective:
    """What a search looks for: the best by a predictor on one task, of subnets of at most ``bound`` multiply-adds.

    Attributes:
        told: what the predictor said so far.
    """

    model: MetaPredictor
    task: TaskFeatures
    rows: SubnetRows
    bound: float
    told: dict[Architecture, float]

    def allowed(self, subnet: Architecture) -> bool:
        """Whether it is within the bound."""
        return _flops(self.rows, subnet) <= self.bound

    def values(self, subnets: Sequence[Architecture]) -> Values:
        """(n,) predicted logit accuracies."""
        new = [each for each in subnets if each not in self.told]
        if new:
            said = self.model.predict(self.task, new, recipe=self.rows.recipe).mean
            self.told.update(zip(new, said.tolist(), strict=True))
        return np.array([self.told[each] for each in subnets])

    def best(self, subnets: Sequence[Architecture]) -> Architecture:
        """The one that the predictor thinks best."""
        return subnets[int(np.argmax(self.values(subnets)))]


def objectives(
    model: MetaPredictor, tasks: Sequence[TaskFeatures], rows: SubnetRows, *, bound: float
) -> list[Objective]:
    """Those of the tasks; the predictor tells of all numbered subnets at once, which is quicker than one by one."""
    known = [each for each in rows.catalogue.architectures if _flops(rows, each) <= bound]
    vectors, found = model.encode_many(known), []
    for task in tasks:
        said = model.predict_encoded(task, vectors, recipe=rows.recipe).mean
        found.append(Objective(model, task, rows, bound, dict(zip(known, said.tolist(), strict=True))))
    return found


def taught_generator(rows: SubnetRows, fold: str, model: MetaPredictor, *, bound: float, seed: int = 0) -> Generator:
    """A generator that learns, of the other folds' tasks, the subnets that the predictor thinks best.

    First of random ones; then again and again of those that it draws itself beside the best so far, as the
    cross-entropy method does (Rubinstein, 1999): of few random ones even the best are far from the best there are.
    """
    rest, rng = rows.of(fold)[1], np.random.default_rng(seed)
    pool = [each for each in rows.catalogue.some(POOL, rng) if _flops(rows, each) <= bound]
    lessons, best = _lessons(rows, rest, model, pool)
    generator = taught(lessons, space=rows.space.name, steps=STEPS, seed=seed)
    for again in range(1, ROUNDS + 1):
        zs = [generator.latent(each.features, recipe=rows.recipe) for each in rest]
        drawn = (generator.generate(z, DRAWN, seed=again * len(zs) + i) for i, z in enumerate(zs))
        new = dict.fromkeys(each for some in drawn for each in some if _flops(rows, each) <= bound)
        lessons, best = _lessons(rows, rest, model, [*dict.fromkeys((*best, *new))])
        generator = train_generator(generator, lessons, steps=AGAIN, seed=seed + again)
    return generator


def _lessons(
    rows: SubnetRows, tasks: Sequence[Episode], model: MetaPredictor, pool: Sequence[Architecture]
) -> tuple[list[Lesson], list[Architecture]]:
    """What the predictor thinks best of a pool for each task, and for any of them."""
    vectors = model.encode_many(pool)
    said = [model.predict_encoded(each.features, vectors, recipe=rows.recipe).mean for each in tasks]
    lessons = [lesson(each.features, pool, of, recipe=rows.recipe) for each, of in zip(tasks, said, strict=True)]
    best = dict.fromkeys(int(i) for of in said for i in np.argsort(-of)[:GOOD])
    return lessons, [pool[i] for i in best]


def by_generator(objective: Objective, generator: Generator, *, calls: int, seed: int) -> Architecture:
    """The best of ``calls`` different draws for the task."""
    z = generator.latent(objective.task, recipe=objective.rows.recipe)

    def draws() -> Iterable[Architecture]:
        for part in range(DRAWS_A_CALL):
            yield from generator.generate(z, calls, seed=DRAWS_A_CALL * seed + part)

    return objective.best(_different(draws(), objective, calls))


def by_random(objective: Objective, *, calls: int, seed: int) -> Architecture:
    """The best of ``calls`` different random subnets."""
    rng = np.random.default_rng(seed)
    draws = (objective.rows.space.sample(rng) for _ in range(DRAWS_A_CALL * calls))
    return objective.best(_different(draws, objective, calls))


def by_evolution(objective: Objective, *, calls: int, seed: int) -> Architecture:
    """The best that regularised evolution meets in ``calls`` calls."""
    searcher, found = Evolution(objective.rows.space, seed=seed, population=50), dict[Architecture, float]()
    for _ in range(DRAWS_A_CALL * calls):
        (each,) = searcher.ask(1)
        allowed = objective.allowed(each)
        value = float(objective.values([each])[0]) if allowed else TOO_DEAR
        searcher.tell([each], [value])
        if allowed:
            found[each] = value
        if len(found) == calls:
            break
    return max(found, key=lambda each: found[each])


def measured_accuracies(
    rows: SubnetRows, file: Path, picks: Mapping[str, set[Architecture]], say: Say
) -> dict[tuple[str, Architecture], dict[str, float]]:
    """(fold, subnet) -> inherited accuracy on each of the fold's tasks, by fingerprint; what has no row is measured."""
    found, images, chosen = {}, base_images(file, side_of(rows.space)), rows.space
    specs = {each.features.fingerprint: spec for each, spec in zip(rows.episodes, rows.specs, strict=True)}
    place = {each: row for row, each in enumerate(rows.subnets)}
    for fold, subnets in picks.items():
        mine = rows.of(fold)[0]
        classes = sorted({label for each in mine for label in specs[each.features.fingerprint].classes})
        asked = np.isin(images.labels, classes)
        for each in sorted(subnets, key=str):
            if each in place:
                found[fold, each] = {task.features.fingerprint: float(task.accuracy[place[each]]) for task in mine}
                continue
            logits = inherited(chosen, each, images.shown)(images.held[asked])
            found[fold, each] = {
                key: cut_accuracy(logits, images.labels[asked], specs[key].classes)
                for key in (task.features.fingerprint for task in mine)
            }
        say(f"{fold}: {len(subnets)} picks measured")
    return found


def preference(rows: SubnetRows, fold: str, generator: Generator, *, bound: float) -> Values:
    """(tasks, 2) mean log probability of each held-out task's truly best subnets by its own z, and by another's."""
    mine, rest = rows.of(fold)
    within = np.flatnonzero(rows.flops <= bound)
    found = []
    for number, each in enumerate(mine):
        good = within[np.argsort(-each.accuracy[within])[: max(1, round(TOP * len(within)))]]
        walks = [rows.subnets[i].walk for i in good]
        both = (each.features, rest[(5 * number) % len(rest)].features)
        zs = [generator.latent(task, recipe=rows.recipe) for task in both]
        found.append([float(generator.log_probability(z, walks).mean()) for z in zs])
    return np.array(found)


def _different(draws: Iterable[Architecture], objective: Objective, calls: int) -> list[Architecture]:
    """The first ``calls`` different ones within the bound; fewer where the draws end."""
    found: dict[Architecture, None] = {}
    for each in draws:
        if objective.allowed(each):
            found[each] = None
        if len(found) == calls:
            break
    return list(found)


def _flops(rows: SubnetRows, subnet: Architecture) -> int:
    return rows.space.flops(subnet, resolution=side_of(rows.space))
