"""From scores to an answer: ranked candidates with their figures, which of equals leads, and the reason in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, FiniteSpace, finite_space
from databases.records.recipe import Recipe
from metad2a.recommend.recommendation import Candidate
from predictors.gain import EQUAL, Gain, cheapest_equal_first, equals
from predictors.meta import Scores
from predictors.scale import to_percent
from predictors.task_distance import Neighbour


def ranked(
    pool: Sequence[Architecture],
    scores: Scores,
    *,
    drawn: Collection[Architecture],
    space: FiniteSpace,
    recipe: Recipe,
    skeleton: Skeleton,
    factor: float | None,
    seconds: Callable[[int], float | None],
) -> list[Candidate]:
    """The architectures of ``pool`` with all that is expected of them, best first.

    ``scores`` are their logit accuracies, (n,); ``drawn`` are those that the generator drew. ``factor`` times the
    standard deviation is half the 80% interval, None where the recipe's level is unknown; ``seconds`` tells the
    training time of a network from its multiply-adds.
    """
    width = scores.std * (factor or 0.0)
    chance = 100 / skeleton.classes  # no training is expected to end below it
    percent, low, high = (
        np.maximum(to_percent(value), chance) for value in (scores.mean, scores.mean - width, scores.mean + width)
    )
    found = []
    for i in np.argsort(-scores.mean, kind="stable"):
        flops = space.flops(pool[i], skeleton, resolution=recipe.resolution)
        found.append(
            Candidate(
                architecture=pool[i],
                expected_accuracy=None if factor is None else float(percent[i]),
                interval=None if factor is None else (float(low[i]), float(high[i])),
                score=float(scores.mean[i]),
                parameters=space.parameters(pool[i], skeleton),
                flops=flops,
                expected_seconds=seconds(flops),
                origin="generator" if pool[i] in drawn else "space",
                skeleton=skeleton,
            )
        )
    return found


def cheapest_equal_leads(candidates: list[Candidate], gain: Gain) -> tuple[list[Candidate], int]:
    """The cheapest of those first that nobody can tell from the best, the others in their order; and how many."""
    expected = np.array([each.expected_accuracy for each in candidates], dtype=np.float64)
    shortfall = expected[0] - expected
    order = cheapest_equal_first(shortfall, [each.cost for each in candidates], noise=gain.noise)
    return [candidates[i] for i in order], int(equals(shortfall, gain.noise).sum())


def reason(
    gain: Gain | None, recipe: str, nearest: Sequence[Neighbour], *, level_known: bool, equal: int = 1, offered: int = 2
) -> str:
    """Why these of ``offered`` ones, in words, and how far they can be told apart: ``equal`` of them cannot."""
    names = " and ".join(each.name for each in nearest[:2]) or "those of the database"
    if not level_known:
        return f"Order only: the recipe {recipe!r} was measured on too few tasks to know its accuracies."
    if gain is None:
        return f"Expected under the recipe {recipe!r}, judging by datasets like {names}."
    if offered == 1:
        return f"Nothing is left to choose: one cell alone keeps the limits. Judged under the recipe {recipe!r}."
    worth = (
        f"Choosing is worth {gain.mean:.1f} points over the median cell on offer (80%: {gain.low:.1f} to "
        f"{gain.high:.1f}) under the recipe {recipe!r}, judging by datasets like {names}"
    )
    if gain.low <= 0:
        worth += "; that interval includes 0, so it may be worth nothing"
    elif gain.within_noise:
        worth += f"; that is less than the noise of one training ({gain.noise:.1f} points)"
    if equal == 1:
        return f"{worth}."
    return (
        f"{worth}. {equal:,} cells are expected within {EQUAL * gain.noise:.1f} points of the best, a fraction of what "
        f"two trainings of one cell differ by ({gain.noise:.1f}): nobody can tell them apart, so the cheapest of them "
        "come first."
    )


def shape_told(first: Architecture, space: FiniteSpace) -> str:
    """Width and depth of the first cell and what is known to go with them, as one more sentence; empty without cells.

    Shu, Wang and Cai (2020); `metad2a reproduce cells` shows it on NAS-Bench-201: a weak tendency.
    """
    shape = space.shape(first)
    if shape is None:
        return ""
    widths = _widths(space.name)
    lower, equal = np.searchsorted(widths, shape.width - 1e-6), np.searchsorted(widths, shape.width + 1e-6)
    place = 100 * (lower + equal) / 2 / len(widths)
    speed = "faster than" if place > 60 else "slower than" if place < 40 else "about as fast as"
    return (
        f" The first cell is {shape.width:.3g}c wide and {shape.depth} deep, wider than {place:.0f}% of all: "
        f"such cells tend to learn {speed} others."
    )


@cache
def _widths(name: str) -> npt.NDArray[np.float64]:
    """Of all cells of a space, sorted."""
    space = finite_space(name)
    shapes = (space.shape(each) for each in space.classes)
    return np.sort([each.width for each in shapes if each is not None])
