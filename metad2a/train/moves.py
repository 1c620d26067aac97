"""Random shifts and mirroring of training images, drawn apart from the images: drawing them again costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Moves:
    """How each image of a batch is moved.

    Attributes:
        mirrored: (n,) bool, None: none is.
        offsets: (2, n) where the window begins on the widened image, row and column.
    """

    mirrored: Tensor | None
    offsets: Tensor

    @classmethod
    def drawn(cls, count: int, side: int, generator: torch.Generator, *, flip: bool = True) -> Self:
        """Shifts by up to an eighth of the side, and with ``flip`` every second image mirrored."""
        mirrored = torch.rand(count, generator=generator) < 0.5 if flip else None
        return cls(mirrored, torch.randint(0, 2 * _margin(side) + 1, (2, count), generator=generator))

    def of(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> the same, moved; zeros come in."""
        side = x.shape[-1]
        if self.mirrored is not None:
            x = torch.where(self.mirrored.view(-1, 1, 1, 1).to(x.device), x.flip(-1), x)
        dy, dx = self.offsets.to(x.device)
        padded = nn.functional.pad(x, [_margin(side)] * 4)
        rows = dy.view(-1, 1) + torch.arange(side, device=x.device)
        columns = dx.view(-1, 1) + torch.arange(side, device=x.device)
        picked = padded.permute(0, 2, 3, 1)[
            torch.arange(len(x), device=x.device).view(-1, 1, 1), rows.unsqueeze(2), columns.unsqueeze(1)
        ]
        return picked.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def moved(x: Tensor, generator: torch.Generator, *, flip: bool = True) -> Tensor:
    """Images (n, c, h, w), each moved as is drawn for it."""
    return Moves.drawn(len(x), x.shape[-1], generator, flip=flip).of(x)


def _margin(side: int) -> int:
    return max(1, side // 8)
