"""How a policy-gradient controller learns, and the rules of the published systems."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """How a policy learns.

    Args:
        batch: told architectures between two updates. learning_rate: of Adam. entropy: weight of the bonus.
        decay: of the moving averages of a task's scores. epochs: passes over a batch; 1 is REINFORCE.
        clip: how far PPO lets a ratio leave 1. replay: earlier walks, of all tasks, beside a batch.
        normalise: divide advantages by the moving standard deviation of the task's scores.
        own_baselines: a baseline for each decision, the mean score of the walks that met it; for REINFORCE.
        draws: walks sampled at once, at least. again: most draws of scored walks that join a batch. A policy that
            repeats itself needs many of the former to find something new and little of the latter.
    """

    batch: int = 10
    learning_rate: float = 5e-3
    entropy: float = 0.1
    decay: float = 0.9
    epochs: int = 1
    clip: float = 0.2
    replay: int = 0
    normalise: bool = True
    own_baselines: bool = False
    draws: int = 1
    again: int = 10_000

    def __post_init__(self) -> None:
        """Refuses what was not thought through: later passes would need the decisions' own ratios, units a limit."""
        if self.own_baselines and (self.epochs > 1 or self.replay or self.normalise):
            raise ValueError("own_baselines: only for one pass over fresh walks (epochs=1, replay=0, normalise=False)")


REINFORCE = Rule()
PROXIMAL = Rule(learning_rate=3e-3, epochs=4)
MULTITASK = Rule(learning_rate=3e-3, epochs=4, replay=30)
