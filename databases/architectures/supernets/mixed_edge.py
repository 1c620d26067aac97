"""The one mechanism of shared weights: an edge with several options, of which some are used.

A choice says which: a path (ENAS; Pham, Guan, Zoph, Le, Dean, 2018), a mask for each image (InstaNAS; Cheng, Lin,
Juan, Wei, Sun, 2020) or mixture weights (DARTS; Liu, Simonyan, Yang, 2019). What is not used is not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

Choice: TypeAlias = int | Tensor  # an option; (b, options) bool, a mask for each image; (options,) float, weights
_Network = TypeVar("_Network", bound=nn.Module)


class Nothing(nn.Module):
    """The option of no connection: zero."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> zeros of that shape."""
        return torch.zeros_like(x)


class MixedEdge(nn.Module):
    """Several modules between the same two places, whose weights all architectures share.

    Args:
        options: modules of equal input and output shapes.
    """

    def __init__(self, options: Sequence[nn.Module]) -> None:
        super().__init__()
        self.options = nn.ModuleList(options)

    def forward(self, x: Tensor, choice: Choice) -> Tensor:
        """(b, c, h, w) -> the option's output, or the sum over options of each image's, or of the weighted ones.

        An image without any option has zero, in the shape of ``x`` where no image has one.
        """
        if isinstance(choice, int):
            y: Tensor = self.options[choice](x)
            return y
        if choice.dtype == torch.bool:
            return self._masked(x, choice)
        return torch.stack([weight * option(x) for weight, option in zip(choice, self.options, strict=True)]).sum(0)

    def _masked(self, x: Tensor, mask: Tensor) -> Tensor:
        """Each option sees only the images that it is on for."""
        if torch.compiler.is_exporting():  # a graph has no branches: all is computed, and what is off counts nothing
            used = mask[:, :, None, None, None].unbind(1)
            every = [torch.where(on, option(x), 0.0) for on, option in zip(used, self.options, strict=True)]
            return torch.stack(every).sum(0) if every else torch.zeros_like(x)
        total: Tensor | None = None
        for place, (option, count) in enumerate(zip(self.options, mask.sum(0).tolist(), strict=True)):
            if not count:
                continue
            rows = None if count == len(x) else mask[:, place].nonzero().squeeze(1)
            y: Tensor = option(x if rows is None else x[rows])
            if rows is not None:
                total = y.new_zeros(len(x), *y.shape[1:]) if total is None else total
                total = total.index_add(0, rows, y)
            else:
                total = y if total is None else total + y
        return torch.zeros_like(x) if total is None else total

    def idle(self, choice: Choice) -> bool:
        """Whether the choice is a path that gives zero."""
        return isinstance(choice, int) and isinstance(self.options[choice], Nothing)


def by_batch_statistics(network: _Network) -> _Network:
    """The same network, whose normalisations use the batch's own statistics in evaluation too.

    Statistics that run over many architectures fit none of them: with them ENAS collapses on NAS-Bench-201 (Dong, Liu,
    Musial, Gabrys, 2021).
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return network
