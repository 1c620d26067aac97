"""What a policy would propose after each training: shared by the demonstrations of learning policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture
from metad2a.search.controllers.learning_rule import Rule
from metad2a.search.controllers.policy_gradient import PolicyGradient
from metad2a.search.loop import Measure

DRAWS = 1000  # of a policy, for its mean
Values = npt.NDArray[np.float64]


class Proposing(Protocol):
    """A policy gradient, or what stands before one."""

    rule: Rule

    def ask(self, count: int) -> list[Architecture]:
        """What to train next."""

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """What that scored."""


@dataclass(frozen=True)
class Followed:
    """A search whose policy was looked at.

    Attributes:
        means: (trials + 1,) mean value of what the policy would draw after so many trainings, from none on.
        asked: what was trained, in order.
    """

    means: Values
    asked: list[Architecture]

    def needed(self, wanted: float) -> int:
        """Trainings after which the mean is first at least ``wanted``; one more than there were where it never is."""
        reached = np.flatnonzero(self.means >= wanted)
        return int(reached[0]) if len(reached) else len(self.means)


def follow(
    policy: Proposing,
    measure: Measure,
    mean: Callable[[], float],
    *,
    trials: int,
    until: float = np.inf,
    least: int = 0,
) -> Followed:
    """Trains one after the other and asks for the policy's ``mean`` after each update.

    Ends where the mean is ``until``, but not before ``least`` trainings.
    """
    means, asked = [mean()], list[Architecture]()
    while len(asked) < trials and (means[-1] < until or len(asked) < least):
        new = policy.ask(1)
        policy.tell(new, measure(new))
        asked += new
        means.append(mean() if len(asked) % policy.rule.batch == 0 else means[-1])
    return Followed(np.array(means), asked)


class AmongMeasured:
    """A policy of a large space of which only some cells were measured: its chances are renormalised over them.

    Args:
        policy: what learns. cells: those that can be trained; any number of times.
    """

    def __init__(self, policy: PolicyGradient, cells: Sequence[Architecture], *, seed: int) -> None:
        self.policy, self.cells, self.rule = policy, list(cells), policy.rule
        self._rng = np.random.default_rng([seed, 3])

    def chances(self) -> Values:
        """(cells,) probabilities that add up to 1."""
        found: Values = self.policy.log_probability(self.cells).double().softmax(0).numpy()
        return found

    def ask(self, count: int) -> list[Architecture]:
        """Draws by these chances, repeats included."""
        return [self.cells[i] for i in self._rng.choice(len(self.cells), size=count, p=self.chances())]

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """The policy learns."""
        self.policy.tell(architectures, scores)
