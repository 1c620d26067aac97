"""How a pass over the images is cut into batches."""

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
