"""The one search loop: ask many, score all with a predictor, measure the top few, tell, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from databases.architectures.architecture import Architecture
from metad2a.controllers.controller import Controller

# One score for each, higher is better; a `Measure` may stop the loop by giving fewer.
Score = Callable[[Sequence[Architecture]], Sequence[float]]


class Measure(Protocol):
    """A table look-up or a real training."""

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
    predictor: Score | None = None,
    pool: int = 1,
    trace: Trace | None = None,
    on_trial: Callable[[Trace], None] | None = None,
) -> Trace:
    """Measures at most ``trials`` architectures, ``batch`` between two tells.

    With a ``predictor``, ``pool`` times as many are asked for and only its best are measured. ``trace`` is an
    earlier, interrupted search, already told to the controller. Ends early where the controller or the measure
    has no more to give.
    """
    found = trace or Trace()
    while len(found.scores) < trials:
        count = min(batch, trials - len(found.scores))
        asked = controller.ask(count if predictor is None else count * pool)
        if predictor is not None and len(asked) > count:
            value = dict(zip(asked, predictor(asked), strict=True))
            asked = sorted(asked, key=lambda each: -value[each])[:count]
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
