"""A training as it goes on and when it is done: plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn


@dataclass(frozen=True)
class Progress:
    """Where a training stands after an epoch.

    The loss is the mean over the epoch, the accuracy in percent and None where it was not asked for.
    """

    epoch: int
    epochs: int
    train_loss: float
    seconds: float
    valid_accuracy: float | None = None


@dataclass(frozen=True)
class Training:
    """A finished (or stopped) training.

    Attributes:
        network: the trained network, in eval mode on the CPU.
        mean, scale: (channels,) normalisation of the images, which the network expects.
        valid_accuracy: percent on the validation part (None where it is empty).
        seconds: wall time of training. complete: False where it was stopped.
        curve: one entry an epoch. steps: of all epochs.
        parts: into how many parts a batch was cut, so that it fits into memory.
        shortened: whether it ended by a schedule that was made shorter than the recipe's; it is not complete then.
    """

    network: nn.Module
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    valid_accuracy: float | None
    seconds: float
    complete: bool
    curve: list[Progress] = field(default_factory=list)
    steps: int = 0
    parts: int = 1
    shortened: bool = False


OnEpoch = Callable[[Progress], bool | None]  # False stops the training
