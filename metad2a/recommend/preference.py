"""What to pick when speed counts too: the accuracy-latency front, and a preference on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from databases.records.recipe import Recipe
from databases.usual import MEASURING_RECIPE
from metad2a.devices.devices import TargetDevice, size_of
from metad2a.recommend.front import front
from metad2a.recommend.limits import WEIGHTS, Prefer, latency_of
from metad2a.recommend.recommendation import Candidate, Recommendation


def usual_recipe(
    known: Mapping[str, Recipe], target: TargetDevice | None, *, by: Sequence[Callable[[str], bool]]
) -> str:
    """What an answer holds for by default: ``tiny``, which reads the images; on a device, one of the size known there.

    Of those of that size one for which the first of ``by`` holds, such as that it reads the images, else the next.
    """
    if target is None:
        return MEASURING_RECIPE
    named = [name for name in (MEASURING_RECIPE, target.recipe, *known) if name in known]
    same = [name for name in named if size_of(known[name]) == target.size]
    return max(same, key=lambda name: [holds(name) for holds in by], default=MEASURING_RECIPE)


def on_device(ranked: Sequence[Candidate], device: TargetDevice) -> list[Candidate]:
    """The candidates with their predicted latencies."""
    found = device.predict([each.architecture for each in ranked])
    rows = zip(ranked, found.mean.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return [replace(each, latency_ms=mean, latency_interval_ms=(low, high)) for each, mean, low, high in rows]


def front_of(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates that none beats in both accuracy and cost, the cheapest first.

    The cost is the latency on a device, else the multiply-adds. Where the recipe's level is unknown, the score stands
    for the accuracy.
    """
    return front(candidates, cost=lambda each: each.cost, quality=lambda each: each.quality)


def preferred(candidates: Sequence[Candidate], prefer: Prefer) -> list[Candidate]:
    """The candidates ordered by what is preferred; ``accuracy`` leaves the order as it is.

    Accuracy and latency are scaled to 0..1 between the ends of the front. ``balanced`` orders by accuracy minus
    latency, so the first is the cell farthest above the straight line between the ends; ``latency`` takes the
    latency three times. The first is always on the front, and of these three never slower than the one before.
    """
    weight = WEIGHTS[prefer]
    if weight == 0:
        return list(candidates)
    ends = front_of(candidates)
    fastest, best = ends[0], ends[-1]
    accuracies, latencies = best.quality - fastest.quality, latency_of(best) - latency_of(fastest)

    def worth(each: Candidate) -> float:
        accuracy = (each.quality - fastest.quality) / (accuracies or 1.0)
        return accuracy - weight * (latency_of(each) - latency_of(fastest)) / (latencies or 1.0)

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
        front=front_of(fitting),
        reason=answer.reason + _explain(ordered, device, prefer),
        notes=(*answer.notes, *notes),
    )


def _explain(ordered: Sequence[Candidate], device: TargetDevice, prefer: Prefer) -> str:
    """What the preference costs and gains, in one sentence; nothing for accuracy."""
    if prefer == "accuracy":
        return ""
    told = [
        f"{latency_of(each):.3g} ms{_accuracy(each)}"
        for each in (ordered[0], max(ordered, key=lambda each: each.quality))
    ]
    return f" Preferring {prefer} on {device.name}: {told[0]}; the most accurate: {told[1]}."


def _accuracy(each: Candidate) -> str:
    return "" if each.expected_accuracy is None else f" at {each.expected_accuracy:.1f}%"
