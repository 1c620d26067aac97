"""What a network costs, counted while an image goes through."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def multiply_adds(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Of convolutions and linear layers; the last linear layer's bias counts as in NAS-Bench-201's columns."""
    total, last = 0, 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total, last
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        elif isinstance(layer, nn.Linear):
            total, last = total + output.numel() * layer.in_features, output.numel()

    for layer in network.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    return total + last
