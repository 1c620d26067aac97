"""The one training loop: it is handed a network, an optimiser, batches and a loss, and can be killed at any time.

A training lasts a number of steps or of seconds; its progress goes from 0 to 1 and sets the learning rate. With a
checkpoint the seconds that a killed training already had count, and one of so many steps ends as if never killed.

>>> loop = Loop(network, SGD(network.parameters(), lr=0.1), steps=1000, checkpoint=Path("training.pt"))
>>> loop.run(lambda generator, first: torch.randperm(n, generator=generator).split(64)[first:], loss)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from databases.errors import UserError
from databases.files import write_files

Batch = TypeVar("Batch")
# (generator of the epoch, first) -> the epoch's batches from that one on; the same generator, the same batches
Batches = Callable[[torch.Generator, int], Iterable[Batch]]
Loss = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class Epoch:
    """An epoch that has ended: its number from 1, the mean loss over it, all steps, progress and seconds so far."""

    number: int
    loss: float
    steps: int
    progress: float
    seconds: float


def cosine(warmup: float = 0.0) -> Callable[[float], float]:
    """A rise over the share ``warmup`` of the training, then half a cosine down to 0 (Loshchilov, Hutter, 2017)."""

    def share(progress: float) -> float:
        if progress < warmup:
            return (0.01 * warmup + 0.99 * progress) / warmup
        return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))

    return share


class Loop:
    """State of one training.

    Args:
        network: what is trained; ``parallel`` is the same, wrapped for several processes.
        steps, seconds: when the training is complete; one of them is given.
        schedule: share of the learning rate at a progress.
        gradient_norm: gradients are clipped to it.
        average: a network of averaged weights and statistics is kept as `average`, this share of the old one a step.
        checkpoint: a file, written every ``every`` seconds and read where it is there. writes: whether this
            process writes it.
        agree: the progress of this process -> that of all processes.

    Raises:
        UserError: the checkpoint cannot be read or belongs to another training.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: Optimizer,
        *,
        steps: int | None = None,
        seconds: float | None = None,
        schedule: Callable[[float], float] = lambda progress: 1.0,
        seed: int = 0,
        gradient_norm: float | None = None,
        average: float | None = None,
        checkpoint: Path | None = None,
        every: float = 180.0,
        writes: bool = True,
        parallel: nn.Module | None = None,
        agree: Callable[[float], float] = lambda progress: progress,
    ) -> None:
        if (steps is None) == (seconds is None):
            raise ValueError("a training has a number of steps or of seconds")
        self.network, self.optimiser, self.steps, self.limit = network, optimiser, steps, seconds
        self.seed, self.gradient_norm, self.agree = seed, gradient_norm, agree
        self.path, self.every, self.writes = checkpoint, every, writes
        self.parallel = network if parallel is None else parallel
        self.average: nn.Module | None = None
        self._averaged: AveragedModel | None = None
        if average is not None:
            self._averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(average), use_buffers=True)
            self.average = self._averaged.module
        self.step, self.epoch, self.place, self.before, self.total = 0, 0, 0, 0.0, 0.0
        self.begun: float | None = None
        self.saved, self.progress = 0.0, 0.0
        self.random = torch.Generator().manual_seed(seed).get_state()
        self.scheduler = LambdaLR(optimiser, lambda step: schedule(self.progress))
        if checkpoint is not None and checkpoint.is_file():
            self._restore(checkpoint)

    @property
    def seconds(self) -> float:
        """How long this training ran, in all its lives."""
        return self.before + (0.0 if self.begun is None else time.monotonic() - self.begun)

    def run(
        self,
        batches: Batches[Batch],
        loss: Loss[Batch],
        *,
        deadline: float = math.inf,
        on_epoch: Callable[[Epoch], bool | None] | None = None,
    ) -> bool:
        """Trains to the end, the deadline (monotonic s) or ``on_epoch``'s False; returns whether it is complete.

        What a network draws at random (dropout) depends on the seed alone, and torch's own generator stays as it was.
        """
        self.begun = self.saved = time.monotonic()
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random)
            try:
                self._run(batches, loss, deadline, on_epoch)
                self.save()
            finally:
                self.before, self.begun, self.random = self.seconds, None, torch.get_rng_state()
        return self.progress >= 1

    def _run(
        self,
        batches: Batches[Batch],
        loss: Loss[Batch],
        deadline: float,
        on_epoch: Callable[[Epoch], bool | None] | None,
    ) -> None:
        going = self._advance(deadline)
        while going:
            generator = torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
            self.network.train()
            for batch in batches(generator, self.place):
                self._step(batch, loss)
                going = self._advance(deadline)
                self.scheduler.step()
                self._save_sometimes()
                if not going:
                    break
            if not self.place:
                raise ValueError("an epoch without a batch")
            if going or self.progress >= 1:  # a training that is complete has ended its last epoch
                going = self._end_epoch(on_epoch) and going

    def _end_epoch(self, on_epoch: Callable[[Epoch], bool | None] | None) -> bool:
        ended = Epoch(self.epoch + 1, self.total / self.place, self.step, self.progress, self.seconds)
        self.epoch, self.place, self.total = self.epoch + 1, 0, 0.0
        return on_epoch is None or on_epoch(ended) is not False

    def _advance(self, deadline: float) -> bool:
        """Sets the progress, on which all processes agree; whether to go on (2: a deadline has passed)."""
        progress = self.step / self.steps if self.steps is not None else self.seconds / (self.limit or 1.0)
        agreed = self.agree(2.0 if time.monotonic() >= deadline and progress < 1 else min(progress, 1.0))
        if agreed <= 1:
            self.progress = agreed
        return agreed < 1

    def _step(self, batch: Batch, loss: Loss[Batch]) -> None:
        self.optimiser.zero_grad()
        value = loss(self.parallel, batch)
        value.backward()
        if self.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_norm)
        self.optimiser.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self.network)
        self.step, self.place, self.total = self.step + 1, self.place + 1, self.total + float(value.detach())

    def _save_sometimes(self) -> None:
        if time.monotonic() - self.saved >= self.every:
            self.save()

    def save(self) -> None:
        """Writes the checkpoint as a whole or not at all."""
        if self.path is None or not self.writes:
            return
        write_files({self.path: lambda file: torch.save(self._state(), file)})
        self.saved = time.monotonic()

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "optimiser": self.optimiser, "scheduler": self.scheduler}
        return parts if self._averaged is None else {**parts, "average": self._averaged}

    def _state(self) -> dict[str, Any]:
        numbers = {name: getattr(self, name) for name in ("step", "epoch", "place", "total", "progress")}
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {**numbers, **parts, "before": self.seconds, "random": torch.get_rng_state()}

    def _restore(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state.pop(name))
        except Exception as problem:  # torch raises whatever its readers do
            reason = " ".join(str(problem).split())[:100]
            raise UserError(f"{path} is no checkpoint of this training ({reason}): give another or remove it") from None
        for name, value in state.items():
            setattr(self, name, value)
