"""The front of accuracy against cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
EQUAL = 0.5  # points of expected accuracy that nobody would pay for


def front(
    items: Iterable[Item], *, cost: Callable[[Item], float], quality: Callable[[Item], float]
) -> tuple[Item, ...]:
    """Those that none beats in both quality and cost, the cheapest first (Pareto front)."""
    found: list[Item] = []
    for each in sorted(items, key=lambda each: (cost(each), -quality(each))):
        if not found or quality(each) > quality(found[-1]):
            found.append(each)
    return tuple(found)


def as_good(items: Iterable[Item], *, cost: Callable[[Item], float], quality: Callable[[Item], float]) -> Item:
    """The cheapest of those whose quality in points is as near the highest as `EQUAL`."""
    there = list(items)
    least = max(map(quality, there)) - EQUAL
    return min((each for each in there if quality(each) >= least), key=cost)
