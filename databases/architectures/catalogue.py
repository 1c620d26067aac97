"""Numbers for the architectures of a space: what is learnt of them is kept by number."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, FiniteSpace, Space, space

LISTED = 50_000  # walks of a space that is listed as a whole


class Catalogue:
    """The architectures of one space by number; what computes the same has one number.

    A small space is listed, in an order that is always the same; those of a large one are numbered as they are met.
    """

    def __init__(self, name: str) -> None:
        self.space: Space = space(name)
        self._known: list[Architecture] = []
        self._number: dict[str, int] = {}
        self.whole = isinstance(self.space, FiniteSpace) or self.space.size <= LISTED
        if isinstance(self.space, FiniteSpace):
            self._known = list(self.space.classes)
        elif self.whole:
            self.add(self.space.enumerate())

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, number: int) -> Architecture:
        return self._known[number]

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """All that are known, in the order of their numbers."""
        return tuple(self._known)

    def number(self, architecture: Architecture) -> int:
        """The number of an architecture, a new one where it was not met before."""
        if isinstance(self.space, FiniteSpace):
            return self.space.class_number(architecture)
        key = self.space.key(architecture)
        if key not in self._number:
            self._number[key] = len(self._known)
            self._known.append(architecture)
        return self._number[key]

    def add(self, architectures: Iterable[Architecture]) -> npt.NDArray[np.int64]:
        """(n,) the number of each."""
        return np.array([self.number(each) for each in architectures], dtype=np.int64)

    def some(self, count: int, rng: np.random.Generator) -> list[Architecture]:
        """``count`` different architectures drawn at random, all of them where there are no more."""
        if self.whole:
            return [self._known[i] for i in rng.permutation(len(self._known))[:count]]
        drawn: dict[str, Architecture] = {}
        while len(drawn) < count:
            each = self.space.sample(rng)
            drawn.setdefault(self.space.key(each), each)
        return list(drawn.values())
