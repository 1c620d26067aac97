"""How a pass over the images is cut into batches, and how one becomes the input of a network."""

from __future__ import annotations

import torch
from torch import Tensor


def batches(x: Tensor, size: int) -> list[Tensor]:
    """(n, ...) cut into parts of ``size`` and a rest. A rest of one gets a second from the part before it.

    Batch normalisation of 1x1 maps has no statistics of one image.
    """
    parts = list(x.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1 < size:
        two = torch.cat(parts[-2:])
        parts[-2:] = [two[:-2], two[-2:]] if size > 2 else [two]
    return parts


def normalised(images: Tensor, mean: tuple[float, ...], scale: tuple[float, ...]) -> Tensor:
    """(b, c, h, w), 0..255 -> float32, less the mean (c,) and by the scale (c,), channels last in memory."""
    shift, factor = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (mean, scale))
    return ((images.float() - shift) / factor).contiguous(memory_format=torch.channels_last)
