"""The one search loop: ask, measure, tell, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from databases.architectures.space import Architecture
from metad2a.search.controllers.controller import Controller


class Measure(Protocol):
    """A table look-up, a prediction or a real training."""

    def __call__(self, architectures: Sequence[Architecture]) -> Sequence[float]:
        """Validation accuracy in percent of each, in order; fewer where time is over."""


@dataclass
class Trace:
    """What a search measured, in order."""

    architectures: list[Architecture] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @property
    def best(self) -> Architecture:
        """The first of the best measured ones; raises ValueError where nothing was measured."""
        return self.architectures[self.scores.index(max(self.scores))]


def run(
    controller: Controller,
    measure: Measure,
    *,
    trials: int,
    batch: int = 1,
    trace: Trace | None = None,
    on_trial: Callable[[Trace], None] | None = None,
) -> Trace:
    """Measures at most ``trials`` architectures, ``batch`` between two tells.

    ``trace`` is an earlier, interrupted search, already told to the controller. Ends early where the controller or
    the measure has no more to give.
    """
    found = trace or Trace()
    while len(found.scores) < trials:
        asked = controller.ask(min(batch, trials - len(found.scores)))
        scores = list(measure(asked)) if asked else []
        done = asked[: len(scores)]
        controller.tell(done, scores)
        found.architectures += done
        found.scores += scores
        if on_trial is not None and done:
            on_trial(found)
        if not asked or len(scores) < len(asked):
            break
    return found
