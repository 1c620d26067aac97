"""Where trainings run: on what, how many at once, and on whose machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from databases.usual import AUTOMATIC
from metad2a.runtime.executors import PROCESSES, chosen_executor
from metad2a.runtime.executors.processes import Death


@dataclass(frozen=True)
class Place:
    """What a search, or a build of the database, works with.

    Attributes:
        on: what networks are trained on: auto (CUDA, then MPS, then the CPU), or one of torch's names.
        workers: trainings that go on at once. executor: where their processes are, see `chosen_executor`.
    """

    on: str = AUTOMATIC
    workers: int = 1
    executor: str = PROCESSES

    @property
    def alone(self) -> bool:
        """Whether everything is trained by this process."""
        return self.workers < 2 and self.executor == PROCESSES

    def crew(
        self, *, nice: int = 0, on_death: Callable[[Death], None] = lambda death: None
    ) -> Callable[..., Iterator[Any]]:
        """(function, jobs) -> the results as they are there; ``on_death`` hears of processes that died.

        Raises:
            UserError: there is no such executor.
        """
        return partial(chosen_executor(self.executor), workers=self.workers, nice=nice, on_death=on_death)


ALONE, TWO = Place(), Place(workers=2)
