"""Controller: what every searcher is. It is asked for architectures and told what they scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, Space

TRIES = 200  # draws in a row without anything new before other ways are taken
LISTED = 100_000  # walks of a space that are listed to find the last unseen ones


@dataclass(frozen=True)
class Setting:
    """What is at hand for the search on a task beside its space and its scores.

    Attributes:
        task: key of the task, such as ``nasbench201/cifar10``. recipe: how its architectures are trained.
        database: path or URL of the store, None where there is none.
        data: folder of development data (``images``, ``nasbench201``), None where there is none.
    """

    task: str
    recipe: str = "nasbench201"
    database: str | None = None
    data: Path | None = None


class Controller(ABC):
    """A search strategy over one space, in the ask/tell style.

    The same seed, asks and tells give the same proposals, on any machine with the same versions.

    Args:
        space: where it searches. seed: of everything it draws.
    """

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        self.space, self.seed = space, seed

    @abstractmethod
    def ask(self, count: int) -> list[Architecture]:
        """At most ``count`` valid architectures to measure next; fewer only where the space has no more.

        None was asked or told before (by its walk), unless the controller was made with ``repeats``.
        """

    @abstractmethod
    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """What they scored, higher is better (accuracies in percent); they need not have been asked for."""


def unseen(
    space: Space, draw: Callable[[], Architecture], count: int, *, seen: set[Walk], rng: np.random.Generator
) -> list[Architecture]:
    """``count`` architectures that are not in ``seen``, which they join.

    From ``draw`` as long as it gives new ones, then uniform draws; when these give nothing new either, what is left
    of the space's list. Fewer only where the space has no more.
    """
    found: list[Architecture] = []
    for source in (draw, lambda: space.sample(rng)):
        tries = 0
        while len(found) < count and tries < TRIES:
            drawn = source()
            tries += 1
            if drawn.walk not in seen:
                seen.add(drawn.walk)
                found.append(drawn)
                tries = 0
    if len(found) < count:
        left = [each for each in islice(space.enumerate(), LISTED) if each.walk not in seen]
        chosen = rng.permutation(len(left))[: count - len(found)]
        found += [left[i] for i in chosen]
        seen.update(left[i].walk for i in chosen)
    return found
