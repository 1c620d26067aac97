"""A search within limits: what would cost too much on the device, or at all, is neither proposed nor trained."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, ImageSpace, image_space
from databases.errors import UserError
from databases.records.recipe import Recipe
from metad2a.devices.devices import TargetDevice
from metad2a.recommend.limits import NO_LIMITS, Limits
from metad2a.search.controllers.controller import Controller
from metad2a.search.guessed_cost import GuessedCost
from predictors.latency import walks_of

TRIES, SECONDS = 2_000, 30.0  # so many that were counted cost too much, or so long: a search has no more to propose
PASSED = 100  # proposals that cost too much by a guess: the cheapest of them is counted


@dataclass(frozen=True)
class Cost:
    """What a network costs, told when asked: in large spaces counting takes up to a second.

    ``latency_ms`` is None where no device is asked.
    """

    architecture: Architecture
    skeleton: Skeleton
    resolution: int
    latency_ms: float | None

    @cached_property
    def parameters(self) -> int:
        """Trainable parameters."""
        return image_space(self.architecture.space).parameters(self.architecture, self.skeleton)

    @cached_property
    def flops(self) -> int:
        """Multiply-adds for one image."""
        space = image_space(self.architecture.space)
        return space.flops(self.architecture, self.skeleton, resolution=self.resolution)


@dataclass(frozen=True)
class Costing:
    """Tells what the networks that a search builds cost, and which keep the limits."""

    limits: Limits
    recipe: Recipe
    skeleton: Skeleton
    deadline: float = math.inf  # monotonic second at which the search's time is over

    def of(self, architectures: Sequence[Architecture]) -> list[Cost]:
        """The cost of each."""
        device = _device(self.limits, self.recipe)
        times = [None] * len(architectures) if device is None else device.predict(architectures).mean.tolist()
        pairs = zip(architectures, times, strict=True)
        return [Cost(each, self.skeleton, self.recipe.resolution, takes) for each, takes in pairs]

    def within(self, architectures: Sequence[Architecture]) -> set[Architecture]:
        """Those that keep every limit; raises `UserError` where none does, which names the nearest possible."""
        return {each.architecture for each in self.limits.within(self.of(architectures))}


class Limited(Controller):
    """A searcher that is asked again for every proposal that costs too much; it is not told of those."""

    def __init__(self, inner: Controller, costing: Costing) -> None:
        super().__init__(inner.space, seed=inner.seed)
        self._inner, self._costing = inner, costing
        self._found = False
        limits = costing.limits
        given = {"parameters": limits.params, "flops": limits.flops}
        self._passed: list[tuple[float, Architecture]] = []  # not counted: how far beyond the limits by a guess
        self._guesses = {name: (most, GuessedCost()) for name, most in given.items() if most is not None}

    def ask(self, count: int) -> list[Architecture]:
        """At most ``count`` that keep the limits; raises `UserError` where none was ever found.

        What by a guess costs too much is not even counted, but for the likeliest of many, which teaches to guess.
        """
        kept: list[Architecture] = []
        dear: list[Cost] = []
        end = min(time.monotonic() + SECONDS, self._costing.deadline)
        while len(kept) < count and (asked := self._inner.ask(count - len(kept))):
            for cost in self._costing.of(self._promising(asked)):
                self._observe(cost)
                if self._costing.limits.fits(cost):
                    kept.append(cost.architecture)
                else:
                    dear.append(cost)
            if len(dear) >= TRIES or time.monotonic() > end:
                break
        self._found = self._found or bool(kept)
        if dear and not self._found:
            self._costing.limits.within(dear)
        return kept

    def _promising(self, asked: Sequence[Architecture]) -> list[Architecture]:
        """Those that may keep the limits, and the likeliest of every `PASSED` others."""
        found: list[Architecture] = []
        for each in asked:
            excess = max((guess.least(each) / most for most, guess in self._guesses.values()), default=0.0)
            if excess <= 1:
                found.append(each)
                continue
            self._passed.append((excess, each))
            if len(self._passed) == PASSED:
                found.append(min(self._passed, key=lambda pair: pair[0])[1])
                self._passed.clear()
        return found

    def _observe(self, cost: Cost) -> None:
        for name, (_, guess) in self._guesses.items():
            guess.observe(cost.architecture, getattr(cost, name))

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Hands the scores on."""
        self._found = True
        self._inner.tell(architectures, scores)


def check_limits(limits: Limits, space: ImageSpace, recipe: Recipe) -> None:
    """Refuses limits that cannot be told for the networks of a space at the recipe's size, and a preference."""
    if limits.prefer != "accuracy":
        raise UserError(f"given the preference {limits.prefer!r} for a search, which prefers accuracy: leave it out")
    device = _device(limits, recipe)
    if device is None:
        return
    if limits.latency is None:
        raise UserError(f"given the device {device.name!r} without a limit on latency there: give one, or leave it out")
    walks_of([space.parse(space.example)])  # latencies are known for one space only
    device.check_builds(recipe)


def costing_of(
    limits: Limits, recipe: Recipe, *, channels: int, classes: int, deadline: float = math.inf
) -> Costing | None:
    """What keeps a search within limits; None where there are none."""
    if limits == NO_LIMITS:
        return None
    return Costing(limits, recipe, recipe.skeleton(input_channels=channels, classes=classes), deadline)


def _device(limits: Limits, recipe: Recipe) -> TargetDevice | None:
    return None if limits.target is None else limits.target.of_size(recipe)
