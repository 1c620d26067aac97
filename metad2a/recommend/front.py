"""The front of accuracy against cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def front(items: Iterable[Item], *, cost: Callable[[Item], float], level: Callable[[Item], float]) -> tuple[Item, ...]:
    """Those that none beats in both level and cost, the cheapest first (Pareto front)."""
    found: list[Item] = []
    for each in sorted(items, key=lambda each: (cost(each), -level(each))):
        if not found or level(each) > level(found[-1]):
            found.append(each)
    return tuple(found)
