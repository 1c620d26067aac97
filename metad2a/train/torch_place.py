"""Where a training runs, and how images lie in memory there."""

from __future__ import annotations

import torch

from databases.architectures.space import ImageSpace
from databases.errors import UserError
from databases.usual import AUTOMATIC


def pick_place(name: str = AUTOMATIC) -> torch.device:
    """``auto`` is CUDA, then MPS, then the CPU; any other name is torch's."""
    if name != AUTOMATIC:
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def usable_place(name: str = AUTOMATIC) -> torch.device:
    """`pick_place`, tried out; raises `UserError` for one that cannot be used here."""
    try:
        return torch.zeros(1, device=pick_place(name)).device
    except (RuntimeError, AssertionError) as problem:  # torch asserts where it was built without CUDA
        raise UserError(
            f"given {name!r} to train on, which cannot be used here; 'auto' and 'cpu' always can; give one"
        ) from problem


def memory_format(space: ImageSpace, place: torch.device) -> torch.memory_format:
    """How images and weights lie in memory while training: channels last, but on the CPU only where the space may."""
    return torch.channels_last if space.channels_last or place.type != "cpu" else torch.contiguous_format
