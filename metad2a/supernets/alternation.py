"""ENAS's search: shared weights and the policy that draws their children learn in turn (Pham et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from torch import nn

from databases.architectures.space import Architecture, SharedSpace
from metad2a.supernets.training import Draw, Labelled, SharedRecipe, train_supernet
from metad2a.train.loop import Epoch
from predictors.one_shot import OneShot

TOLD = 10  # children between two draws of the policy
Measure: TypeAlias = Callable[[Sequence[Architecture]], list[float]]


class Policy(Protocol):
    """What draws architectures, repeats included, and learns from their scores."""

    def draw(self, count: int, *, seed: int = 0) -> list[Architecture]:
        """``count`` draws from the policy as it is."""

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """What they scored."""


def alternate(
    supernet: nn.Module,
    space: SharedSpace,
    train: Labelled,
    *,
    policy: Policy,
    measure: OneShot,
    recipe: SharedRecipe,
    told: int,
    seed: int = 0,
    on_round: Callable[[list[float]], None] = lambda scores: None,
) -> None:
    """Trains both in place: after each pass over the images the policy is told the scores of ``told`` children.

    ``measure`` scores with the supernet's weights of the time; ``on_round`` is given the scores of each turn.
    """
    draw, tell_scores = turns(policy, measure, told=told, seed=seed, on_round=on_round)
    train_supernet(supernet, space, train, recipe=recipe, draw=draw, seed=seed, on_epoch=tell_scores)


def turns(
    policy: Policy,
    measure: Measure,
    *,
    told: int,
    seed: int = 0,
    on_round: Callable[[list[float]], None] = lambda scores: None,
) -> tuple[Draw, Callable[[Epoch], None]]:
    """What draws the children of a pass, and what teaches the policy after it, whatever learns; see `alternate`."""

    def tell_scores(epoch: Epoch) -> None:
        scores: list[float] = []
        while len(scores) < told:
            children = policy.draw(min(TOLD, told - len(scores)), seed=own_seed(seed, epoch.number, len(scores)))
            new = measure(children)
            policy.tell(children, new)
            scores += new
        on_round(scores)

    def draw(count: int, number: int) -> list[Architecture]:
        return policy.draw(count, seed=number)

    return draw, tell_scores


def own_seed(seed: int, epoch: int, place: int) -> int:
    """A seed of its own for each draw."""
    return (seed * 1_000_003 + epoch) * 10_007 + place
