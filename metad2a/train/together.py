"""Several processes that train one network together, as ``torchrun`` starts them; one process needs nothing.

Gradients are averaged by DistributedDataParallel. Everything else that processes have to agree on is here.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

PATIENCE = timedelta(days=1)  # that a process waits for the others, such as while images are decoded


@dataclass(frozen=True)
class Together:
    """This process among ``size`` processes, numbered from 0, and the place where it computes."""

    place: torch.device
    number: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.number == 0

    def wrapped(self, network: nn.Module, *, partly: bool = False) -> nn.Module:
        """The network whose backward pass averages the gradients of all processes; ``partly``: of what is in use."""
        if self.size == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(network, find_unused_parameters=partly)

    def agreed(self, value: float) -> float:
        """The first process's value."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.place)
        distributed.broadcast(shared, 0)
        return float(shared)

    def summed(self, value: float) -> float:
        """The sum of all processes' values."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.place)
        distributed.all_reduce(shared)
        return float(shared)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def started_by_torchrun() -> bool:
    """Whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def together(place: torch.device) -> Iterator[Together]:
    """All processes that torchrun started, over NCCL where they have CUDA and over gloo elsewhere.

    They part when all are done. What held the group by then is let go first: a thread of gloo's that outlives the
    interpreter aborts the process.
    """
    if not started_by_torchrun():
        yield Together(place)
        return
    if place.type == "cuda":
        place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(place)
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Together(place, distributed.get_rank(), distributed.get_world_size())
        distributed.barrier()
    finally:
        gc.collect()
        distributed.destroy_process_group()
