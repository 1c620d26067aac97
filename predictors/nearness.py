"""Which measured datasets a new one is like: those on which the same probes reach as much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np

from predictors.fine_tunings import Example
from predictors.scale import to_logit

Probes = Mapping[tuple[str, int], float]  # accuracies in percent, by weights and resolution
NEAREST = 3  # sources that are told


@dataclass(frozen=True)
class Nearness:
    """The ``nearest`` sources with their distances, the nearest first, and whether all are far.

    1 is the median distance of measured datasets of different sources; beyond ``limit`` no measured one was from its
    nearest of another source.
    """

    nearest: tuple[tuple[str, float], ...]
    limit: float

    @property
    def unlike(self) -> bool:
        """Whether no measured dataset is like it."""
        return not self.nearest or self.nearest[0][1] > self.limit

    def __str__(self) -> str:
        """A sentence."""
        named = ", ".join(f"{source} ({distance:.2f})" for source, distance in self.nearest)
        return f"Nearest measured datasets: {named or 'none'}; 1 is the distance of unrelated ones."


def nearness(probes: Probes, examples: Iterable[Example]) -> Nearness:
    """The nearest sources of the examples by what ``probes`` reach there; without two sources none is."""
    known = {(each.source, tuple(sorted(each.looked.probes.items()))) for each in examples}
    between = {
        (one, other): distance(dict(one[1]), dict(other[1]))
        for one, other in combinations(sorted(known), 2)
        if one[0] != other[0]
    }
    if not between:
        return Nearness((), 0.0)
    unit = median(between.values()) or 1.0
    least = [min(value for pair, value in between.items() if each in pair) for each in known]
    found: dict[str, float] = {}
    for source, theirs in known:
        found[source] = min(distance(probes, dict(theirs)) / unit, found.get(source, np.inf))
    return Nearness(tuple(sorted(found.items(), key=lambda each: each[1])[:NEAREST]), max(least) / unit)


def distance(one: Probes, other: Probes) -> float:
    """The mean difference of the probes that both have, in logits; infinite where there is none."""
    both = sorted(one.keys() & other.keys())
    a, b = (to_logit([probes[key] for key in both]) for probes in (one, other))
    return float(np.abs(a - b).mean()) if both else np.inf
