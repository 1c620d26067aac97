"""Small SVG pictures for the pages: no inline style, so that the strict policy for content holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from markupsafe import Markup

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 34, 54


def accuracy_scale(candidates: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Round bounds that hold all intervals."""
    values = [value for each in candidates for value in (each.get("interval") or [])]
    if not values:
        return 0.0, 100.0
    return max(0.0, 10 * math.floor(min(values) / 10)), min(100.0, 10 * math.ceil(max(values) / 10))


def interval_bar(candidate: dict[str, Any], scale: tuple[float, float]) -> Markup:
    """An 80% interval as a bar with the expected accuracy as a mark in it."""
    interval, expected = candidate.get("interval"), candidate.get("expected_accuracy")
    if not interval or expected is None:
        return Markup("")
    low, high = scale

    def x(value: float) -> float:
        return 2 + 156 * (value - low) / max(1e-9, high - low)

    begin, end = x(interval[0]), x(interval[1])
    words = f"80% interval {interval[0]:.0f} to {interval[1]:.0f} percent"
    return Markup(
        f'<svg class="interval" viewBox="0 0 160 18" role="img" aria-label="{words}">'
        '<line class="rail" x1="2" x2="158" y1="9" y2="9"/>'
        f'<rect class="range" x="{begin:.1f}" y="6" width="{max(1.0, end - begin):.1f}" height="6" rx="3"/>'
        f'<circle class="mark" cx="{x(expected):.1f}" cy="9" r="4.5"/></svg>'
    )


def network_svg(pipeline: str) -> Markup:
    """The blocks that a pipeline keeps of its weights, a bar each as high as its channels; what learns is filled."""
    from databases.architectures.spaces.pipeline import PIPELINE
    from metad2a.train.finetune import FROZEN
    from metad2a.train.pipeline import stages_of

    found = PIPELINE.pipeline(PIPELINE.parse(pipeline))
    stages = stages_of(found)
    frozen = next((share for layers, share in FROZEN.items() if layers == found.training), 1.0)  # a probe's: all
    widths = [width for blocks in stages for _, width in blocks]
    most, x, parts = max([1.0, *widths]), 1.0, list[str]()
    for blocks in stages:
        for _, width in blocks:
            kind = "learns" if len(parts) >= frozen * len(widths) else "frozen"
            high = 16 * width / most
            parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{9 - high / 2:.1f}" width="5" height="{high:.1f}"/>')
            x += 7
        x += 3
    parts.append(f'<circle class="learns" cx="{x + 3:.1f}" cy="9" r="3"/>')  # the linear layer
    kept = f"{len(widths)} blocks{', half of their channels' if found.slim else ''}" if widths else "no network"
    learns = {"probe": "its linear layer", "all": "all of it", "head": "its end", "half": "its second half"}[
        found.training
    ]
    words = f"{found.weights}: {kept}; {learns} learns"
    return Markup(
        f'<svg class="blocks" viewBox="0 0 150 18" role="img" aria-label="{escape(words)}"><title>{escape(words)}'
        f"</title>{''.join(parts)}</svg>"
    )


def balance_bar(entry: Any, largest: int) -> Markup:
    """The images of a class, by part, against the largest class."""
    parts = (("train", entry.train), ("validation", entry.validation), ("test", entry.test))
    x, pieces = 0.0, []
    for name, count in parts:
        wide = 240 * count / max(1, largest)
        if count:
            pieces.append(f'<rect class="{name}" x="{x:.1f}" y="0" width="{max(0.5, wide - 1):.1f}" height="10"/>')
        x += wide
    words = ", ".join(f"{count} for {name}" for name, count in parts)
    return Markup(
        f'<svg class="balance" viewBox="0 0 240 10" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f"{''.join(pieces)}</svg>"
    )


def front_svg(answer: dict[str, Any]) -> Markup:
    """Expected accuracy against cost: all networks as a cloud, the front as a line, the ranked ones as numbers."""
    ranked, front, cloud = answer["candidates"], answer.get("front") or [], answer.get("cloud") or []
    points = [(each["cost"], each["level"]) for each in (*ranked, *front) if each.get("cost")] + [
        tuple(p) for p in cloud
    ]
    points = [(cost, level) for cost, level in points if cost > 0]
    if len(set(points)) < 2:
        return Markup("")
    costs, levels = zip(*points, strict=True)
    plot = _Plot(min(costs), max(costs), min(levels), max(levels))
    known = all(each.get("expected_accuracy") is not None for each in ranked)
    level = answer.get("level_name", "expected accuracy, %") if known else "score (orders only)"
    parts = [plot.frame(level, answer.get("cost_unit", "cost"))]
    parts += [f'<circle class="cloud" cx="{plot.x(c):.1f}" cy="{plot.y(v):.1f}" r="1.6"/>' for c, v in cloud if c > 0]
    if front:
        line = " ".join(f"{plot.x(each['cost']):.1f},{plot.y(each['level']):.1f}" for each in front)
        parts.append(f'<polyline class="front" points="{line}"/>')
    parts += [plot.dot(each, "step", 3.5, known) for each in front]
    for rank, each in reversed(list(enumerate(ranked, start=1))):
        parts.append(f'<a href="#rank-{rank}">{plot.dot(each, "ranked", 9.0, known, label=str(rank))}</a>')
    words = "Accuracy against cost of the ranked networks; the table below has the same numbers"
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{words}">{"".join(parts)}</svg>'
    )


class _Plot:
    """Places of costs (logarithmic) and levels."""

    def __init__(self, cheapest: float, dearest: float, lowest: float, highest: float) -> None:
        pad = max(0.06 * (highest - lowest), 0.01 * abs(highest)) or 1.0  # where all are equal too
        self._costs = math.log10(cheapest), math.log10(max(dearest, cheapest * 1.01))
        self._levels = lowest - pad, highest + pad

    def x(self, cost: float) -> float:
        low, high = self._costs
        return LEFT + (WIDTH - LEFT - RIGHT) * (0.02 + 0.96 * (math.log10(cost) - low) / (high - low))

    def y(self, level: float) -> float:
        low, high = self._levels
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (level - low) / (high - low)

    def frame(self, level: str, cost: str) -> str:
        parts = []
        for value in _steps(*self._levels):
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        for value in _decades(*self._costs):
            parts.append(
                f'<text class="tick" x="{self.x(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                f"{_brief(value)}</text>"
            )
        parts.append(
            f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end">cost: {escape(cost)}</text>'
        )
        parts.append(f'<text class="axis" x="{LEFT}" y="{TOP - 14}">{escape(level)}</text>')
        return "".join(parts)

    def dot(self, each: dict[str, Any], kind: str, radius: float, known: bool, *, label: str = "") -> str:
        x, y = self.x(each["cost"]), self.y(each["level"])
        level = f"{each['level']:.1f}%" if known else f"score {each['level']:.2f}"
        title = f"{label + ': ' if label else ''}{each['title']}, {level}, cost {_brief(each['cost'])}"
        number = f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{label}</text>' if label else ""
        circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
        return f'<g class="{kind}"><title>{escape(title)}</title>{circle}{number}</g>'


def _steps(low: float, high: float) -> list[float]:
    """About five round values."""
    size = (high - low) / 5
    unit = 10 ** math.floor(math.log10(size))
    step = unit * next(factor for factor in (1, 2, 5, 10) if unit * factor >= size)
    first = math.ceil(low / step)
    return [round(step * (first + i), 10) for i in range(int((high - first * step) / step) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every power of ten between these logarithms; fewer where many fit."""
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    found = [f * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for f in factors]
    return [value for value in found if low <= math.log10(value) <= high]


def _brief(number: float) -> str:
    from metad2a.reports.words import short

    return short(number)
