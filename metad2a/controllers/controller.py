"""Controller: what every searcher is. It is asked for architectures and told what they scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from databases.architectures.architecture import Architecture, Space


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

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that decides the future, as plain values and tensors; `restore` reads it back."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Goes on exactly as the controller whose `state` this was."""
