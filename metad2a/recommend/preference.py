"""What to pick when speed counts too: limits on cost, the accuracy-latency front, and a preference on it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from databases.errors import UserError
from databases.records.recipe import Recipe
from metad2a.devices.devices import TargetDevice, size_of
from metad2a.recommend.recommendation import Candidate, Recommendation

Prefer = Literal["accuracy", "balanced", "latency"]
# What the whole range of latencies on the front is worth, in whole ranges of accuracy.
WEIGHTS: dict[Prefer, float] = {"accuracy": 0.0, "balanced": 1.0, "latency": 3.0}
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def milliseconds(given: str | float) -> float:
    """15ms -> 15.0, 0.015s -> 15.0; a number is milliseconds already. Raises `UserError` for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(us|ms|s)\s*", given) if isinstance(given, str) else None
    value = float(found[1]) * _UNITS[found[2]] if found else math.nan if isinstance(given, str) else float(given)
    if not 0 < value < math.inf:
        raise UserError(f"latency {given!r}: give a time above zero with its unit, such as 15ms, 0.015s or 800us")
    return value


def check(device: str | None, max_latency: str | float | None, prefer: str) -> float | None:
    """The limit in milliseconds; raises `UserError` for what needs a device where none is given."""
    if prefer not in WEIGHTS:
        raise UserError(f"unknown preference {prefer!r}: choose one of {', '.join(get_args(Prefer))}")
    if device is None and (max_latency is not None or prefer != "accuracy"):
        asked = "a limit on latency" if max_latency is not None else f"the preference {prefer!r}"
        raise UserError(f"{asked} needs a device: name one, `metad2a device list` shows the known ones")
    return None if max_latency is None else milliseconds(max_latency)


def on_device(ranked: Sequence[Candidate], device: TargetDevice) -> list[Candidate]:
    """The candidates with their predicted latencies."""
    found = device.predict([each.architecture for each in ranked])
    rows = zip(ranked, found.mean.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return [replace(each, latency_ms=mean, latency_interval_ms=(low, high)) for each, mean, low, high in rows]


def within(
    ranked: list[Candidate],
    *,
    max_params: int | None = None,
    max_flops: int | None = None,
    max_latency: float | None = None,
    device: str | None = None,
) -> list[Candidate]:
    """Those that keep every limit; the one on latency is of the predicted milliseconds, not of their interval.

    Raises:
        UserError: no candidate does; it names the nearest possible.
    """
    small = [
        each
        for each in ranked
        if (max_params is None or each.parameters <= max_params) and (max_flops is None or each.flops <= max_flops)
    ]
    kept = [each for each in small if max_latency is None or _latency(each) <= max_latency]
    if kept:
        return kept
    limits = {"parameters": max_params, "FLOPs": max_flops}
    given = [f"{most:,} {what}" for what, most in limits.items() if most is not None]
    given += [] if max_latency is None else [f"{max_latency:.4g} ms on {device}"]
    if small:
        fastest = min(small, key=_latency)
        also = " that keep the other limits" if len(small) < len(ranked) else ""
        nearest = f"the fastest of those{also} takes {_latency(fastest):.4g} ms: {fastest.architecture}"
    else:
        least = min(ranked, key=lambda each: (each.parameters, each.flops))
        nearest = f"the smallest has {least.parameters:,} parameters and {least.flops:,} FLOPs"
    raise UserError(f"no candidate has at most {' and '.join(given)}: {nearest}")


def front(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates that none beats in both accuracy and cost, the cheapest first (Pareto front).

    The cost is the latency on a device, else the multiply-adds. Where the recipe's level is unknown, the score stands
    for the accuracy.
    """
    found: list[Candidate] = []
    for each in sorted(candidates, key=lambda each: (each.cost, -_level(each))):
        if not found or _level(each) > _level(found[-1]):
            found.append(each)
    return tuple(found)


def preferred(candidates: Sequence[Candidate], prefer: Prefer) -> list[Candidate]:
    """The candidates ordered by what is preferred; ``accuracy`` leaves the order as it is.

    Accuracy and latency are scaled to 0..1 between the ends of the front. ``balanced`` orders by accuracy minus
    latency, so the first is the cell farthest above the straight line between the ends; ``latency`` takes the
    latency three times. The first is always on the front, and of these three never slower than the one before.
    """
    weight = WEIGHTS[prefer]
    if weight == 0:
        return list(candidates)
    ends = front(candidates)
    fastest, best = ends[0], ends[-1]
    accuracies, latencies = _level(best) - _level(fastest), _latency(best) - _latency(fastest)

    def worth(each: Candidate) -> float:
        accuracy = (_level(each) - _level(fastest)) / (accuracies or 1.0)
        return accuracy - weight * (_latency(each) - _latency(fastest)) / (latencies or 1.0)

    return sorted(candidates, key=worth, reverse=True)


def for_device(
    answer: Recommendation,
    fitting: Sequence[Candidate],
    device: TargetDevice,
    recipe: Recipe,
    *,
    prefer: Prefer,
    top: int | None,
) -> Recommendation:
    """The answer with the first ``top`` of ``fitting`` by preference, the front, and what the latencies are of."""
    ordered = preferred(fitting, prefer)
    notes = []
    if device.size != size_of(recipe):
        notes.append(
            f"latencies on {device.name} are of networks of {device.network}, not of the size that "
            f"{recipe.name!r} trains"
        )
    return replace(
        answer,
        candidates=tuple(ordered[:top]),
        device=device,
        prefer=prefer,
        front=front(fitting),
        reason=answer.reason + _explain(ordered, device, prefer),
        notes=(*answer.notes, *notes),
    )


def _explain(ordered: Sequence[Candidate], device: TargetDevice, prefer: Prefer) -> str:
    """What the preference costs and gains, in one sentence; nothing for accuracy."""
    if prefer == "accuracy":
        return ""
    told = [f"{_latency(each):.3g} ms{_accuracy(each)}" for each in (ordered[0], max(ordered, key=_level))]
    return f" Preferring {prefer} on {device.name}: {told[0]}; the most accurate: {told[1]}."


def _accuracy(each: Candidate) -> str:
    return "" if each.expected_accuracy is None else f" at {each.expected_accuracy:.1f}%"


def _level(each: Candidate) -> float:
    return each.score if each.expected_accuracy is None else each.expected_accuracy


def _latency(each: Candidate) -> float:
    return math.inf if each.latency_ms is None else each.latency_ms
