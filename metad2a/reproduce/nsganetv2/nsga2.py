"""NSGA-II (Deb, Pratap, Agarwal, Meyarivan, 2002) over walks: ranks of fronts, crowding, and whole stages exchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture
from databases.architectures.spaces.subnets import Subnets
from metad2a.search.controllers.evolution import mutate

Values = npt.NDArray[np.float64]
MUTATED = 0.5  # share of the children


def ranks(values: Values) -> npt.NDArray[np.int64]:
    """(n, objectives), less is better -> (n,) 0 for those that none dominates, 1 for the next front, and so on."""
    no_worse = (values[:, None] <= values[None]).all(2)
    dominates = np.asarray(no_worse & (values[:, None] < values[None]).any(2))
    found = np.full(len(values), -1)
    rank = 0
    while (found < 0).any():
        left = found < 0
        beaten = dominates[left].sum(axis=0) > 0
        found[left & ~beaten] = rank
        rank += 1
    return found


def crowding(values: Values) -> Values:
    """(n, objectives) of one front -> (n,) how far the neighbours of each lie apart; infinite at the ends."""
    found = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        found[order[[0, -1]]] = np.inf
        width = column[order[-1]] - column[order[0]]
        if width > 0:
            found[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return found


def survivors(values: Values, count: int) -> npt.NDArray[np.int64]:
    """Places of the ``count`` best of (n, objectives): by rank, then the least crowded."""
    of = ranks(values)
    distance = np.zeros(len(values))
    for rank in range(int(of.max()) + 1):
        distance[of == rank] = crowding(values[of == rank])
    return np.lexsort((-distance, of))[:count]


def evolve(
    space: Subnets,
    start: Sequence[Architecture],
    objectives: Callable[[Sequence[Architecture]], Values],
    *,
    population: int,
    generations: int,
    rng: np.random.Generator,
) -> list[Architecture]:
    """The first front after some generations, begun from ``start``.

    ``objectives``: n subnets -> (n, k), less is better.
    """
    alive = list(dict.fromkeys([*start, *(space.sample(rng) for _ in range(population))]))
    values = objectives(alive)
    for generation in range(generations + 1):
        kept = survivors(values, population)
        alive, values = [alive[i] for i in kept], values[kept]
        if generation == generations:
            break
        parents = [alive[min(rng.integers(len(alive), size=2))] for _ in range(2 * population)]  # the best stand first
        pairs = zip(parents[::2], parents[1::2], strict=True)
        children = [each for each in dict.fromkeys(_child(space, *pair, rng) for pair in pairs) if each not in alive]
        if children:
            alive, values = alive + children, np.concatenate([values, objectives(children)])
    return [each for each, rank in zip(alive, ranks(values), strict=True) if rank == 0]


def _child(space: Subnets, one: Architecture, other: Architecture, rng: np.random.Generator) -> Architecture:
    """Each stage of one of the parents, sometimes with a decision changed."""
    pairs = zip(space.stages(one), space.stages(other), strict=True)
    child = space.of(tuple(pair[int(rng.integers(2))] for pair in pairs))
    return mutate(space, child, rng) if rng.uniform() < MUTATED else child
