"""Whether memory was too short: each kind of it says so in its own way."""

from __future__ import annotations

import torch

ALLOCATOR = "DefaultCPUAllocator"  # torch's name of it, in the RuntimeError that it raises


def was_short(problem: Exception) -> bool:
    """Whether a computation failed for want of memory, on a GPU (CUDA, MPS) or here (torch, numpy)."""
    return isinstance(problem, torch.OutOfMemoryError | MemoryError) or ALLOCATOR in str(problem)
