"""The average of a network's weights over the steps of its training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True)
class Average:
    """Which weights and statistics are averaged, step by step.

    Attributes:
        keeps: share of the average that a step leaves of it, None: all steps count alike (Izmailov and others, 2018).
        last: share of the training, from its end, in which they are.
    """

    keeps: float | None = None
    last: float = 1.0

    def of(self, network: nn.Module) -> AveragedModel:
        """A copy of the network that will hold the average."""
        mean = _alike if self.keeps is None else get_ema_multi_avg_fn(self.keeps)
        return AveragedModel(network, multi_avg_fn=mean, use_buffers=True)


@torch.no_grad()
def _alike(means: Tensors, values: Tensors, count: Tensor | int) -> None:
    """The mean of all steps; torch's own stops at what is counted in whole numbers (num_batches_tracked)."""
    if means[0].is_floating_point():
        torch._foreach_lerp_(means, values, 1 / (int(count) + 1))
    else:
        torch._foreach_copy_(means, values)
