"""What a policy remembers of a task: its scores, its draws, and the moving average that its advantages start from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from databases.architectures.decisions import Walk


@dataclass(frozen=True)
class Sample:
    """A scored walk of a task, and its log probability when it was drawn."""

    task: str
    walk: Walk
    score: float
    log_probability: float


@dataclass
class RunningMean:
    """Bias-corrected exponential moving average of scores and of their squares."""

    decay: float
    weight: float = 0.0
    first: float = 0.0
    second: float = 0.0

    def add(self, score: float) -> None:
        """One more score."""
        self.weight = self.decay * self.weight + 1 - self.decay
        self.first = self.decay * self.first + (1 - self.decay) * score
        self.second = self.decay * self.second + (1 - self.decay) * score**2

    @property
    def mean(self) -> float:
        """The baseline."""
        return self.first / self.weight

    @property
    def deviation(self) -> float:
        """The moving standard deviation."""
        return float(np.sqrt(max(0.0, self.second / self.weight - self.mean**2)))


@dataclass
class Memory:
    """What the policy knows of one task.

    Attributes:
        context: (c,) its context vector. average: its baseline. of_decision: the baseline of each decision, where
            these have their own. scores: of the walks told.
        seen: walks proposed or told. old: the log probabilities that proposed walks were drawn with.
        drawn: draws of the present policy that are still to be looked at, with theirs.
    """

    context: Tensor
    average: RunningMean
    of_decision: dict[str, RunningMean] = field(default_factory=dict)
    scores: dict[Walk, float] = field(default_factory=dict)
    seen: set[Walk] = field(default_factory=set)
    old: dict[Walk, float] = field(default_factory=dict)
    drawn: list[tuple[Walk, float]] = field(default_factory=list)
