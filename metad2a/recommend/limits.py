"""What a network may cost, where it will run, and what is preferred there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeVar, get_args

from databases.architectures.space import Architecture
from databases.errors import UserError
from metad2a.devices.devices import TargetDevice, find_device
from metad2a.recommend.amounts import milliseconds

Prefer = Literal["accuracy", "balanced", "latency"]
# What the whole range of latencies on the front is worth, in whole ranges of accuracy.
WEIGHTS: dict[Prefer, float] = {"accuracy": 0.0, "balanced": 1.0, "latency": 3.0}


class Costed(Protocol):
    """What limits need to know of a candidate."""

    @property
    def architecture(self) -> Architecture:
        """The architecture."""

    @property
    def parameters(self) -> int:
        """Trainable parameters."""

    @property
    def flops(self) -> int:
        """Multiply-adds for one image."""

    @property
    def latency_ms(self) -> float | None:
        """Predicted milliseconds on the target device; None where that is not known."""


Kept = TypeVar("Kept", bound=Costed)


@dataclass(frozen=True)
class Limits:
    """Limits on a network, each None where there is none.

    Attributes:
        params: most parameters at the recipe's size. flops: most multiply-adds for one image.
        latency: most predicted latency on the ``device``: ``15ms``, ``0.015s``, or a number of milliseconds. It is of
            the predicted milliseconds, not of their interval.
        device: the target device, see `metad2a.devices`. prefer: what orders the candidates there, see
            `metad2a.recommend.preference.preferred`.

    Raises:
        UserError: an unknown preference, a latency that is none, or what needs a device where none is given.
    """

    params: int | None = None
    flops: int | None = None
    latency: str | float | None = None
    device: str | None = None
    prefer: Prefer = "accuracy"

    def __post_init__(self) -> None:
        if self.prefer not in WEIGHTS:
            raise UserError(f"unknown preference {self.prefer!r}: choose one of {', '.join(get_args(Prefer))}")
        if self.device is None and (self.latency is not None or self.prefer != "accuracy"):
            asked = "a limit on latency" if self.latency is not None else f"the preference {self.prefer!r}"
            raise UserError(f"{asked} needs a device: name one, `metad2a device list` shows the known ones")
        _ = self.milliseconds

    @cached_property
    def milliseconds(self) -> float | None:
        """The limit on latency."""
        return None if self.latency is None else milliseconds(self.latency)

    @cached_property
    def target(self) -> TargetDevice | None:
        """The target device; raises `UserError` for an unknown one."""
        return None if self.device is None else find_device(self.device)

    def small(self, candidate: Costed) -> bool:
        """Whether it keeps the limits on parameters and multiply-adds."""
        fewer = self.params is None or candidate.parameters <= self.params
        return fewer and (self.flops is None or candidate.flops <= self.flops)

    def fits(self, candidate: Costed) -> bool:
        """Whether it keeps every limit."""
        return self.small(candidate) and (self.milliseconds is None or latency_of(candidate) <= self.milliseconds)

    def within(self, ranked: Sequence[Kept]) -> list[Kept]:
        """Those that keep every limit; raises `UserError` where none does, which names the nearest possible."""
        kept = [each for each in ranked if self.fits(each)]
        if kept:
            return kept
        raise UserError(f"no candidate has {self.told()}: {self._nearest(ranked)}")

    def told(self) -> str:
        """The limits in words, such as ``at most 300,000 parameters and 5 ms on pixel2``."""
        limits = {"parameters": self.params, "FLOPs": self.flops}
        told = [f"{most:,} {what}" for what, most in limits.items() if most is not None]
        told += [] if self.milliseconds is None else [f"{self.milliseconds:.4g} ms on {self.device}"]
        return f"at most {' and '.join(told)}"

    @property
    def bound(self) -> bool:
        """Whether there is a limit, whatever is preferred."""
        return not (self.params is None and self.flops is None and self.latency is None)

    def named(self) -> dict[str, str]:
        """What a run is told apart by: nothing where there are no limits and no preference."""
        limits = {"limits": self.told()} if self.bound else {}
        return limits | ({} if self.prefer == "accuracy" else {"prefer": self.prefer})

    def _nearest(self, ranked: Sequence[Costed]) -> str:
        small = [each for each in ranked if self.small(each)]
        if small:
            fastest = min(small, key=latency_of)
            also = " that keep the other limits" if len(small) < len(ranked) else ""
            return f"the fastest of those{also} takes {latency_of(fastest):.4g} ms: {fastest.architecture}"
        fewest = min(each.parameters for each in ranked)  # multiply-adds may take a second to count
        least = min((each for each in ranked if each.parameters == fewest), key=lambda each: each.flops)
        return f"the smallest has {least.parameters:,} parameters and {least.flops:,} FLOPs"


NO_LIMITS = Limits()


def latency_of(candidate: Costed) -> float:
    """Predicted milliseconds; infinite where they are not known."""
    return math.inf if candidate.latency_ms is None else candidate.latency_ms
