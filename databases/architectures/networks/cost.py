"""What a network costs: its parameters, and its multiply-adds, counted while an image goes through."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def without_weights(build: Callable[[], nn.Module]) -> nn.Module:
    """The network that ``build`` makes, on torch's "meta" device: no time goes into drawing weights."""
    with torch.device("meta"):
        return build()


def with_zeros(network: nn.Module) -> nn.Module:
    """A network of the "meta" device on the CPU, everything zero.

    Its `to_empty` would import sympy, for longer than all else that `recommend` does.
    """
    for module in network.modules():
        for name, each in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.zeros(each.shape, dtype=each.dtype), each.requires_grad))
        for name, held in module.named_buffers(recurse=False):
            setattr(module, name, torch.zeros(held.shape, dtype=held.dtype))
    return network


def parameters(network: nn.Module) -> int:
    """Trainable parameters."""
    return sum(each.numel() for each in network.parameters())


def multiply_adds(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Of convolutions and linear layers for one image (c, h, w), and the additions of linear layers' biases.

    About twice as fast as torch's `FlopCounterMode`, which counts no biases and takes seconds to get ready.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += output.numel() * (layer.in_features + (layer.bias is not None))

    network = network.eval()
    hooks = [each.register_forward_hook(count) for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        network(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return total
