"""A recommendation: ranked candidates with expected accuracy, interval and cost; its JSON is a contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, image_space
from metad2a.devices.devices import TargetDevice
from predictors.gain import Gain
from predictors.task_distance import Neighbour

if TYPE_CHECKING:
    from torch import nn

    from databases.datasets.features import TaskFeatures

SHOWN = 5  # candidates of a printed answer


@dataclass(frozen=True)
class Candidate:
    """One ranked architecture.

    Attributes:
        expected_accuracy, interval: percent on held-out images after training by the recipe, and the 80%
            interval; None where too few tasks were measured with the recipe to know the level.
        score: predicted logit accuracy; higher is better; only its order counts where the level is unknown.
        flops: multiply-adds for one image. expected_seconds: training on one CPU thread, a rough
            guide: of the machine that the meta-model was measured on, until `metad2a.recommend.here.timed_here`.
        origin: ``generator`` (drawn for this dataset) or ``space`` (found by ranking the whole space).
        behind: points that it lacks of the first of the answer, and the 80% interval (below 0: it is ahead); both
            bounds on one side of 0 mean that they can be told apart. None where that is not known.
        latency_ms, latency_interval_ms: predicted milliseconds of one pass on the target device, and the 80%
            interval; None without a device.
    """

    architecture: Architecture
    expected_accuracy: float | None
    interval: tuple[float, float] | None
    score: float
    parameters: int
    flops: int
    expected_seconds: float | None
    origin: str
    skeleton: Skeleton
    behind: tuple[float, float, float] | None = None
    latency_ms: float | None = None
    latency_interval_ms: tuple[float, float] | None = None

    @property
    def cost(self) -> float:
        """What using it costs: its latency on the target device, else its multiply-adds."""
        return self.flops if self.latency_ms is None else self.latency_ms

    @property
    def quality(self) -> float:
        """How good it is among the candidates of one answer: percent where they are known, else its score."""
        return self.score if self.expected_accuracy is None else self.expected_accuracy

    def __str__(self) -> str:
        """One line."""
        told = "" if self.expected_accuracy is None else f", {self.expected_accuracy:.1f}% expected"
        return f"{image_space(self.architecture.space).brief(self.architecture)}{told}, {self.parameters:,} parameters"

    __repr__ = __str__  # which notebooks show

    def build(self) -> nn.Module:
        """The untrained network at the recipe's size: (batch, channels, h, w) -> (batch, classes)."""
        return image_space(self.architecture.space).network(self.architecture, self.skeleton)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "architecture": str(self.architecture),
            "expected_accuracy": self.expected_accuracy,
            "interval": None if self.interval is None else list(self.interval),
            "score": self.score,
            "parameters": self.parameters,
            "flops": self.flops,
            "expected_seconds": self.expected_seconds,
            "origin": self.origin,
            "behind": None if self.behind is None else list(self.behind),
            "latency_ms": self.latency_ms,
            "latency_interval_ms": None if self.latency_interval_ms is None else list(self.latency_interval_ms),
        }


def as_shown(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates whose ``behind`` agrees with the accuracies that stand beside it, interval and all."""
    best, found = candidates[0].expected_accuracy, []
    for each in candidates:
        if each.behind is not None and best is not None and each.expected_accuracy is not None:
            lacking, (before, low, high) = best - each.expected_accuracy, each.behind
            each = replace(each, behind=(lacking, low + lacking - before, high + lacking - before))
        found.append(each)
    return tuple(found)


@dataclass(frozen=True)
class Recommendation:
    """The answer for one dataset; ``candidates`` are the best first.

    ``expected_gain`` is what choosing is worth, None where the recipe's level is unknown. The cheapest of the ``equal``
    ones that nobody can tell apart come first. ``same_for_all``: the order does not depend on the images. ``unlike``:
    the nearest known dataset is farther than ``limit``. With a target ``device`` the candidates have latencies,
    ``prefer`` says what ordered them, and ``front`` holds those of all candidates within the limits that none beats in
    both accuracy and latency, the fastest first. ``data`` says what was read, ``features`` is what was seen of it.
    """

    candidates: tuple[Candidate, ...]
    recipe: str
    nearest: tuple[Neighbour, ...]
    unlike: bool
    seed: int
    fingerprint: str
    weights: str
    reason: str
    expected_gain: Gain | None = None
    equal: int = 1
    same_for_all: bool = False
    limit: float | None = None
    device: TargetDevice | None = None
    prefer: str = "accuracy"
    front: tuple[Candidate, ...] = ()
    data: str = ""
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    features: TaskFeatures | None = field(default=None, repr=False, compare=False)

    @property
    def noise(self) -> float | None:
        """Standard deviation of one cell's logit accuracy between seeds, None where it is not known."""
        return None if self.expected_gain is None else self.expected_gain.logit_noise

    @property
    def best(self) -> Candidate:
        """The first candidate."""
        return self.candidates[0]

    def __str__(self) -> str:
        """The first few candidates, a line each, and the reason; `to_json` has everything."""
        lines = [f"{rank}. {each}" for rank, each in enumerate(self.candidates[:SHOWN], start=1)]
        more = [f"... and {len(self.candidates) - SHOWN:,} more"] if len(self.candidates) > SHOWN else []
        return "\n".join([f"Networks under the recipe {self.recipe!r}: {self.data}", *lines, *more, self.reason])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """The contract of ``recommendation.json`` and of ``metad2a recommend --json``."""
        return {
            "candidates": [each.to_json() for each in self.candidates],
            "recipe": self.recipe,
            "nearest": [{"name": each.name, "source": each.source, "distance": each.distance} for each in self.nearest],
            "unlike": self.unlike,
            "unlike_beyond": self.limit,
            "seed": self.seed,
            "data": self.data,
            "fingerprint": self.fingerprint,
            "weights": self.weights,
            "reason": self.reason,
            "expected_gain": None if self.expected_gain is None else self.expected_gain.to_json(),
            "equal": self.equal,
            "same_for_all": self.same_for_all,
            "device": None if self.device is None else self.device.to_json(),
            "prefer": self.prefer,
            "front": [each.to_json() for each in self.front],
            "notes": list(self.notes),
            "versions": self.versions,
        }
