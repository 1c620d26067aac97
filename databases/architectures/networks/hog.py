"""Histograms of oriented gradients (Dalal, Triggs, 2005) and a linear classifier: nothing but the last layer learns.

A trivial rival of every network, and on signs and drawn marks a strong one. Gradients of the channel in which they are
steepest vote, by their length, for their own of ``BINS`` unsigned directions; votes are summed over cells of ``cell``
pixels, and each block of 2 x 2 cells is brought to unit length, clipped, and brought to unit length again.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

BINS, CLIP, TINY = 9, 0.2, 1e-5


def unit(x: Tensor) -> Tensor:
    """(b, d, blocks) -> the same, every block brought to unit length."""
    return x / (x.square().sum(1, keepdim=True) + TINY**2).sqrt()


class HOGNetwork(nn.Module):
    """Features that no weight shapes, then a linear classifier."""

    def __init__(self, classes: int, channels: int, resolution: int, cell: int) -> None:
        super().__init__()
        self.channels, self.cell = channels, cell
        side = resolution // cell
        self.width = max(1, side - 1) ** 2 * min(2, side) ** 2 * BINS
        self.classifier = nn.Linear(self.width, classes)

    def features(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, width)."""
        cells = nn.functional.avg_pool2d(self._votes(x), self.cell)  # (b, BINS, h / cell, w / cell)
        block = min(2, cells.shape[-1])
        patches = nn.functional.unfold(cells, block)  # (b, BINS * block * block, blocks)
        return unit(unit(patches).clamp(max=CLIP)).flatten(1)

    def _votes(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, BINS, h, w): the length of each pixel's gradient at its direction."""
        down, right = torch.zeros_like(x), torch.zeros_like(x)
        down[:, :, 1:-1] = x[:, :, 2:] - x[:, :, :-2]
        right[:, :, :, 1:-1] = x[:, :, :, 2:] - x[:, :, :, :-2]
        length = (down.square() + right.square()).sqrt()
        length, steepest = length.max(1, keepdim=True)
        angle = torch.atan2(down.gather(1, steepest), right.gather(1, steepest)) % math.pi
        direction = (angle * (BINS / math.pi)).long().clamp(max=BINS - 1)
        return torch.zeros(x.shape[0], BINS, *x.shape[2:], device=x.device).scatter_(1, direction, length)

    def forward(self, x: Tensor) -> Tensor:
        """(b, channels, h, w) -> (b, classes) logits."""
        logits: Tensor = self.classifier(self.features(x))
        return logits
