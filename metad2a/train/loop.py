"""The one training loop: it is handed a network, an optimiser, batches and a loss, and can be killed at any time.

A training lasts a number of steps or of seconds; its progress goes from 0 to 1 and sets the learning rate. One of so
many steps may be fitted to a deadline: its progress then goes by the time as soon as its steps lag behind. With a
checkpoint the seconds that a killed training already had count, and one of so many steps ends as if never killed. Its
steps are those that were planned when it began, unless there is time for more of them now: then it begins anew.

>>> loop = Loop(network, SGD(network.parameters(), lr=0.1), steps=1000, checkpoint=Path("training.pt"))
>>> loop.run(lambda generator, first: torch.randperm(n, generator=generator).split(64)[first:], loss)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from databases.errors import UserError
from databases.files import write_files
from metad2a.train.averaging import Average

Batch = TypeVar("Batch")
# (generator of the epoch, first) -> the epoch's batches from that one on; the same generator, the same batches
Batches = Callable[[torch.Generator, int], Iterable[Batch]]
# (network, batch) -> what to go down; one without a gradient has left its own in the network already
Loss = Callable[[nn.Module, Batch], Tensor]
OnEpoch: TypeAlias = "Callable[[Epoch], bool | None]"  # False stops the training
EVERY = 15.0  # seconds between two checkpoints
QUICKLY = 0.3  # seconds in which one is written; where it takes longer, fewer are
LAG = 0.05  # share of a training that its steps may be behind its time before its schedule is made shorter


@dataclass(frozen=True)
class Epoch:
    """An epoch that has ended: its number from 1, the mean loss over it, all steps, progress and seconds so far."""

    number: int
    loss: float
    steps: int
    progress: float
    seconds: float
    valid_accuracy: float | None = None  # percent


class Diverged(ArithmeticError):
    """The gradients of a training are no longer finite."""


def cosine(warmup: float = 0.0) -> Callable[[float], float]:
    """A rise over the share ``warmup`` of the training, then half a cosine down to 0 (Loshchilov, Hutter, 2017)."""

    def share(progress: float) -> float:
        if progress < warmup:
            return (0.01 * warmup + 0.99 * progress) / warmup
        return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))

    return share


def in_turn(loop: Loop, passes: Iterator[Sequence[Batch]]) -> Batches[Batch]:
    """The batches of passes that one source of random numbers draws one after the other.

    What a training that goes on has behind it is drawn once more, and left.
    """
    for _ in range(loop.epoch):
        next(passes)
    return lambda generator, first: next(passes)[first:]


def remembered(loop: Loop, on_epoch: OnEpoch | None) -> OnEpoch | None:
    """Tells the epochs that a killed training had behind it too: all now, and each new one when it ends."""
    if on_epoch is None:
        return None
    for each in loop.notes:
        on_epoch(Epoch(**each))

    def told(epoch: Epoch) -> bool | None:
        loop.notes.append(asdict(epoch))
        return on_epoch(epoch)

    return told


class Loop:
    """State of one training.

    Args:
        network: what is trained; ``parallel`` is the same, wrapped for several processes.
        steps, seconds: when the training is complete; one of them is given.
        schedule: share of the learning rate at a progress; or a scheduler of torch's, which is stepped each time.
        random: state of torch's generator as it begins, by default the ``seed``'s.
        gradient_norm: gradients are clipped to it. finite: raises `Diverged` where it is not, before such a step.
        average: what `result` is the average of.
        checkpoint: a file, written every ``every`` seconds (`EVERY`, more where writing takes long) and read where it
            is there. writes: whether this process writes it.
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
        schedule: Callable[[float], float] | LRScheduler = lambda progress: 1.0,
        seed: int = 0,
        random: Tensor | None = None,
        gradient_norm: float | None = None,
        finite: bool = False,
        average: Average | None = None,
        checkpoint: Path | None = None,
        every: float | None = None,
        writes: bool = True,
        parallel: nn.Module | None = None,
        agree: Callable[[float], float] = lambda progress: progress,
    ) -> None:
        if (steps is None) == (seconds is None):
            raise ValueError("a training has a number of steps or of seconds")
        self.network, self.optimiser, self.steps, self.limit = network, optimiser, steps, seconds
        self.seed, self.gradient_norm, self.finite, self.agree = seed, gradient_norm, finite, agree
        self.path, self.every, self.writes = checkpoint, every, writes
        self.parallel, self._weights = network if parallel is None else parallel, list(network.parameters())
        self._average, self._averaged = average, None if average is None else average.of(network)
        self.step, self.epoch, self.place, self.before = 0, 0, 0, 0.0
        self.total = torch.zeros(())  # of the losses of the epoch, where they are: nothing waits for another device
        self.begun: float | None = None
        self.saved, self.took, self.progress, self.hurried = 0.0, 0.0, 0.0, False
        self.notes: list[dict[str, Any]] = []  # what else belongs to it: plain values and tensors
        self.random = torch.Generator().manual_seed(seed).get_state() if random is None else random
        self.scheduler = (
            schedule if isinstance(schedule, LRScheduler) else LambdaLR(optimiser, lambda step: schedule(self.progress))
        )
        if checkpoint is not None and checkpoint.is_file():
            self._restore(checkpoint)

    @property
    def seconds(self) -> float:
        """How long this training ran, in all its lives."""
        return self.before + (0.0 if self.begun is None else time.monotonic() - self.begun)

    @property
    def result(self) -> nn.Module:
        """The averaged network, or the network itself where nothing was averaged."""
        averaged = self._averaged is not None and bool(self._averaged.n_averaged)
        return self._averaged.module if self._averaged is not None and averaged else self.network

    @property
    def ongoing(self) -> Epoch | None:
        """The epoch that has begun and not ended, as far as it is."""
        return self._so_far() if self.place else None

    def run(
        self,
        batches: Batches[Batch],
        loss: Loss[Batch],
        *,
        deadline: float = math.inf,
        fit: bool = False,
        on_epoch: OnEpoch | None = None,
    ) -> bool:
        """Trains to the end, the deadline (monotonic s) or ``on_epoch``'s False; returns whether it is complete.

        With ``fit`` the schedule of so many steps is made shorter (`hurried`) where it would not end by the deadline.
        What a network draws at random (dropout) depends on the seed alone, and torch's own generator stays as it was.
        """
        self.begun = self.saved = time.monotonic()
        self.deadline = float(deadline)  # what follows from it is kept: plain numbers, none of numpy's
        self._fits = (self.progress, self.begun) if fit else None
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random)
            try:
                self._run(batches, loss, on_epoch)
                self.save()
            finally:
                self.before, self.begun, self.random = self.seconds, None, torch.get_rng_state()
        return self.progress >= 1

    def _run(self, batches: Batches[Batch], loss: Loss[Batch], on_epoch: OnEpoch | None) -> None:
        going = self._advance()
        while going:
            generator = torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
            self.network.train()
            for batch in batches(generator, self.place):
                self._step(batch, loss)
                going = self._advance()
                self.scheduler.step()
                self._save_sometimes()
                if not going:
                    break
            if not self.place:
                raise ValueError("an epoch without a batch")
            if going or self.progress >= 1:  # a training that is complete has ended its last epoch
                going = self._end_epoch(on_epoch) and going

    def _so_far(self) -> Epoch:
        return Epoch(self.epoch + 1, float(self.total) / self.place, self.step, self.progress, self.seconds)

    def _end_epoch(self, on_epoch: OnEpoch | None) -> bool:
        ended = self._so_far()
        self.epoch, self.place, self.total = self.epoch + 1, 0, torch.zeros(())
        return on_epoch is None or on_epoch(ended) is not False

    def _advance(self) -> bool:
        """Sets the progress, on which all processes agree; whether to go on (2: a deadline has passed)."""
        now = time.monotonic()
        if self.steps is None:
            progress = self.seconds / (self.limit or 1.0)
        else:
            progress = self.step / self.steps if self.steps else 1.0
        if self._fits is not None and self.step:
            progress = self._in_time(progress, now)
        agreed = self.agree(2.0 if now >= self.deadline and progress < 1 else min(progress, 1.0))
        if agreed <= 1:
            self.progress = agreed
        return agreed < 1

    def _in_time(self, progress: float, now: float) -> float:
        """The progress of a training that is fitted to its deadline: by the time where the steps lag behind it."""
        assert self._fits is not None
        first, begun = self._fits
        by_time = first + (1 - first) * (now - begun) / max(1e-9, self.deadline - begun)
        self.hurried = self.hurried or by_time > progress + LAG
        return max(progress, by_time) if self.hurried else progress

    def _step(self, batch: Batch, loss: Loss[Batch]) -> None:
        self.optimiser.zero_grad()
        value = loss(self.parallel, batch)
        if value.requires_grad:
            value.backward()
        if self.gradient_norm is not None:
            norm = nn.utils.clip_grad_norm_(self._weights, self.gradient_norm)
            if self.finite and not norm.isfinite():
                raise Diverged("the gradients of a training are no longer finite")
        self.optimiser.step()
        if self._averaged is not None and self._average is not None and self.progress >= 1 - self._average.last:
            self._averaged.update_parameters(self.network)
        self.step, self.place, self.total = self.step + 1, self.place + 1, self.total + value.detach()

    def _save_sometimes(self) -> None:
        every = EVERY * max(1.0, self.took / QUICKLY) if self.every is None else self.every
        if self.path is not None and time.monotonic() - self.saved >= every:
            self.save()

    def save(self) -> None:
        """Writes the checkpoint as a whole or not at all."""
        if self.path is None or not self.writes:
            return
        begin = time.monotonic()
        write_files({self.path: lambda file: torch.save(self._state(), file)})
        self.saved = time.monotonic()
        self.took = self.saved - begin

    def _parts(self) -> dict[str, Any]:
        parts = {"network": self.network, "optimiser": self.optimiser, "scheduler": self.scheduler}
        return parts if self._averaged is None else {**parts, "average": self._averaged}

    def _state(self) -> dict[str, Any]:
        names = ("steps", "step", "epoch", "place", "total", "progress", "hurried", "notes")
        numbers = {name: getattr(self, name) for name in names}
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {**numbers, **parts, "before": self.seconds, "random": torch.get_rng_state(), "written": time.time()}

    def _restore(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if self._has_time_for_more(state):
                return
            state.pop("written", None)
            for name, part in self._parts().items():
                part.load_state_dict(state.pop(name))
        except Exception as problem:  # torch raises whatever its readers do
            reason = " ".join(str(problem).split())[:100]
            raise UserError(f"{path} is no checkpoint of this training ({reason}): give another or remove it") from None
        for name, value in state.items():
            setattr(self, name, value)

    def _has_time_for_more(self, kept: dict[str, Any]) -> bool:
        """Whether more steps than a kept training's are asked for, or as many as it had no time for."""
        planned = kept.get("steps")
        return self.steps is not None and planned is not None and self.steps > planned - kept["hurried"]


def written_at(path: Path) -> float | None:
    """The second since 1970 at which a checkpoint was written; None where it does not say so, or is none."""
    try:
        return float(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["written"])
    except Exception:  # torch raises whatever its readers do; whoever goes on with it tells what is wrong
        return None
