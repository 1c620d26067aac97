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
from metad2a.build.subnets import base_images, cut_accuracy, inherited, side_of
from metad2a.evaluate.subnets import SubnetRows, Values
from metad2a.generate.generator import Generator
from metad2a.generate.lessons import lesson, taught
from metad2a.search.controllers.evolution import Evolution
from predictors.meta import MetaPredictor

POOL, STEPS = 4_000, 300
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
    """A generator that learns, of the other folds' tasks, the subnets that the predictor thinks best."""
    rest, rng = rows.of(fold)[1], np.random.default_rng(seed)
    pool = [each for each in rows.catalogue.some(POOL, rng) if _flops(rows, each) <= bound]
    vectors, lessons = model.encode_many(pool), []
    for each in rest:
        value = model.predict_encoded(each.features, vectors, recipe=rows.recipe).mean
        lessons.append(lesson(each.features, pool, value, recipe=rows.recipe))
    return taught(lessons, space=rows.space.name, steps=STEPS, seed=seed)


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
