"""Measured pipelines of a task as a table, and the order in which each way to search asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture
from databases.architectures.spaces.among import Among
from databases.architectures.spaces.pipeline import PIPELINE
from databases.datasets.features import TaskFeatures
from metad2a.evaluate.regret import Measured, Tried, expected, offered
from metad2a.generate.generator import Generator
from metad2a.generate.lessons import lesson, taught
from metad2a.search.controllers import controller
from metad2a.search.loop import run
from predictors.outcome import OutcomeModel
from predictors.scale import to_logit

AFTER = (1, 3, 5, 10)  # fine-tunings
STEPS = 400  # of the whole network, in whose time a fine-tuning must be
RECIPE, GOOD, TEACH, WALKS = "400-steps", 6, 150, 16  # of the generator: good ones of a task, steps, walks of a task
RANDOM, EVOLUTION, REINFORCE, BAYESIAN = "random", "evolution", "reinforce", "bayesian, nothing foretold"
RANKED, LEARNING = "predictor's ranking", "predictor, learning (surrogate)"
ELSEWHERE, ALL = "best on average elsewhere", "all that was measured, chosen by validation"
ALWAYS = (BAYESIAN, ELSEWHERE, RANKED, LEARNING)  # the same under all seeds
DRAWN, OTHERS = "generator", "generator, another source's z"
BOTH, WRONG = "generator and predictor", "generator and predictor, another source's z"
Order = Sequence[Architecture]
Losses = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class World:
    """A task as a table: what was measured, and the model that knows nothing of its source."""

    task: Measured
    model: OutcomeModel
    features: TaskFeatures | None = None

    @cached_property
    def tried(self) -> dict[Architecture, Tried]:
        """The probes, and each fine-tuning as long as it was measured within `STEPS`."""
        found = sorted(self.task.within(STEPS), key=lambda each: each.steps)
        return {PIPELINE.of(each.pipeline): each for each in found}

    @cached_property
    def probes(self) -> list[Architecture]:
        """Those of frozen weights."""
        return [each for each, tried in self.tried.items() if not tried.steps]

    @cached_property
    def tuned(self) -> list[Architecture]:
        """Those that can be asked for."""
        return [each for each, tried in self.tried.items() if tried.steps]

    @cached_property
    def foretold(self) -> dict[Architecture, float]:
        """Expected accuracies of the fine-tunings in percent, the best first; what a search does not offer is last."""
        offers = offered(list(self.tried.values()), self.model)
        values = {each: expected(self.task, self.tried[each], self.model) for each in self.tuned}
        ranked = sorted(values, key=lambda each: (self.tried[each] not in offers, -values[each]))
        return {each: values[each] for each in ranked}

    def valid(self, architectures: Sequence[Architecture]) -> list[float]:
        """Validation accuracies in percent."""
        return [self.tried[each].valid_accuracy for each in architectures]

    def lost(self, order: Order) -> Losses:
        """(len(AFTER),) points of test accuracy that are lost after the first fine-tunings of an order."""
        return np.array([self.lost_by(order[:count]) for count in AFTER])

    def lost_by(self, tuned: Order) -> float:
        """The same by the best, on validation images, of some fine-tunings and the probes; of equals what is tuned."""
        pick = max((*tuned, *self.probes), key=lambda each: self.tried[each].valid_accuracy)
        return max(each.accuracy for each in self.tried.values()) - self.tried[pick].accuracy


def taught_generator(worlds: Sequence[World], *, steps: int = TEACH) -> Generator:
    """A generator that learns the best fine-tunings of some tasks."""
    lessons = [
        lesson(each.features, each.tuned, [each.tried[of].accuracy for of in each.tuned], recipe=RECIPE, good=GOOD)
        for each in worlds
        if each.features is not None
    ]
    return taught(lessons, space=PIPELINE.name, steps=steps, walks=WALKS)


def searched(world: World, name: str, seed: int) -> Order:
    """What a searcher asks for that knows the probes alone."""
    space = Among(PIPELINE, list(world.tried))
    searcher = controller(name, space, seed=seed)
    searcher.tell([space.within(each) for each in world.probes], world.valid(world.probes))
    found = run(searcher, lambda some: world.valid([space.whole(each) for each in some]), trials=max(AFTER))
    return [space.whole(each) for each in found.architectures]


def by_surrogate(world: World, foretold: Mapping[Architecture, float] | None = None) -> Order:
    """The same of a Gaussian process, on what is foretold or on nothing."""
    if foretold is None:
        searcher = controller("surrogate", PIPELINE, pool=world.tuned)
        searcher.tell(world.probes, world.valid(world.probes))
    else:
        known = foretold

        def prior(some: Sequence[Architecture]) -> npt.NDArray[np.float64]:
            return to_logit([known[each] for each in some])

        searcher = controller("surrogate", PIPELINE, pool=[*known], prior=prior)
    return run(searcher, world.valid, trials=max(AFTER)).architectures


def without_z(world: World, others: Sequence[World]) -> Iterator[tuple[str, Callable[[int], Order]]]:
    """Every way that needs no generator: seed -> order."""
    for name in (RANDOM, EVOLUTION, REINFORCE):
        yield name, lambda seed, name=name: searched(world, name, seed)  # type: ignore[misc]
    yield BAYESIAN, lambda seed: by_surrogate(world)
    yield ELSEWHERE, lambda seed: average_order(world, others)
    yield RANKED, lambda seed: [*world.foretold]
    yield LEARNING, lambda seed: by_surrogate(world, world.foretold)


def average_order(world: World, others: Sequence[World]) -> Order:
    """By how far a fine-tuning was below the best on tasks of other sources; what nobody measured there is last."""
    below: dict[Architecture, list[float]] = {each: [] for each in world.tuned}
    for other in others:
        best = max(each.accuracy for each in other.tried.values())
        for each in below.keys() & other.tried.keys():
            below[each].append(best - other.tried[each].accuracy)
    return sorted(world.tuned, key=lambda each: float(np.mean(below[each])) if below[each] else np.inf)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a generator draws for a task by its own z, and by that of one of the ``others``."""

    world: World
    others: Sequence[World]
    generator: Generator

    def ways(self) -> dict[str, Callable[[int], Order]]:
        """Every way that needs a generator: seed -> order."""
        return {
            DRAWN: lambda seed: self.order(self.world, seed),
            OTHERS: lambda seed: self.order(self._other(seed), seed),
            BOTH: lambda seed: self.ranked(self.world, seed),
            WRONG: lambda seed: self.ranked(self._other(seed), seed),
        }

    def order(self, shown: World, seed: int) -> Order:
        """The fine-tunings as they are drawn by the z of the task ``shown``, none twice.

        What a generator draws in vain, since it was not measured, is passed over: by Gumbel's trick at once.
        """
        logs = self.logs(shown)
        noisy = logs + np.random.default_rng([seed, 0]).gumbel(size=len(logs))
        return [self.world.tuned[i] for i in np.argsort(-noisy)]

    def ranked(self, shown: World, seed: int) -> Order:
        """As the predictor orders the half that is drawn first, then the rest."""
        order = self.order(shown, seed)
        half = set(order[: (len(order) + 1) // 2])
        return sorted(self.world.foretold, key=lambda each: each not in half)

    def preference(self) -> float:
        """By how much its own z makes a task's best fine-tunings likelier than the others' do, in log probability."""
        accuracy = [self.world.tried[each].accuracy for each in self.world.tuned]
        good = np.argsort(-np.array(accuracy))[:GOOD]
        return float(self.logs(self.world)[good].mean() - np.mean([self.logs(each)[good] for each in self.others]))

    def logs(self, shown: World) -> Losses:
        """(n,) log probabilities of the fine-tunings by the z of the task ``shown``."""
        if shown not in self._known:
            assert shown.features is not None
            z = self.generator.latent(shown.features, recipe=RECIPE)
            found = self.generator.log_probability(z, [each.walk for each in self.world.tuned])
            self._known[shown] = found.numpy().astype(np.float64)
        return self._known[shown]

    @cached_property
    def _known(self) -> dict[World, Losses]:
        return {}

    def _other(self, seed: int) -> World:
        return self.others[int(np.random.default_rng([seed, 1]).integers(len(self.others)))]
