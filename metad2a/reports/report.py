"""What a demonstration shows: tables, curves and verdicts, printed, kept as JSON, drawn and tracked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from predictors.metrics import bootstrap_interval

MEDIAN = "median, and 10% to 90% of the runs"  # of a line and its band
MEAN = "mean, and its 95% interval"
FEWEST = 5  # seeds: a 95% interval by bootstrap of fewer is narrower than they allow
WIDER = {2: 9.2, 3: 2.7, 4: 1.9}  # so many times: Student's t over the normal's 1.96, times the root of n / (n - 1)


@dataclass(frozen=True)
class Table:
    """A printed table; a heading that begins with ``>`` is aligned to the right."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Part:
    """A table of a report with what is claimed of it, and its numbers as plain values."""

    table: Table
    verdicts: tuple[Verdict, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """One line of a figure: x (n,), its middle and the bounds of its band (n,); ``told`` says what both are."""

    label: str
    x: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    told: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    ``log_y`` is logarithmic above a tenth and linear below, so that zero has a place. Bands end at ``least`` and
    ``most``, beyond which the quantity has no values. Not ``joined``: the places of x have no order.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    log_x: bool = False
    log_y: bool = False
    least: float = -math.inf
    most: float = math.inf
    joined: bool = True


@dataclass(frozen=True)
class Verdict:
    """One claim: the figure asked for, the figure reached with its interval, and whether that is enough.

    ``open``: whether a longer run might find otherwise, since the interval has both sides of what was asked for, or
    since the claim is of what searching or learning reaches, which a short run cuts off.
    """

    claim: str
    target: str
    reached: str
    holds: bool
    open: bool = False


@dataclass(frozen=True)
class Report:
    """The outcome of one demonstration.

    Attributes:
        system: name of the demonstration. source: the paper and year.
        setting: what was run, in one sentence: data, seeds, budget.
        figures: every number with seeds and 95% intervals, as plain values for the JSON.
        short: whether this was shorter than the full run, so that an open verdict is not yet a failure.
        seeds: all that were used; a part with fewer begins with the first.
    """

    system: str
    source: str
    setting: str
    tables: tuple[Table, ...]
    verdicts: tuple[Verdict, ...]
    panels: tuple[Panel, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)
    short: bool = False
    seeds: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file: no numpy, and null for what is not finite."""
        found: dict[str, Any] = jsonable(asdict(self))
        return found


def of_parts(parts: Iterable[Part], *, system: str, source: str, setting: str) -> Report:
    """The report of some parts, each with its figures under the title of its table."""
    all_parts = tuple(parts)
    return Report(
        *(system, source, setting),
        tables=tuple(each.table for each in all_parts),
        verdicts=tuple(verdict for each in all_parts for verdict in each.verdicts),
        figures={each.table.title: dict(each.figures) for each in all_parts},
    )


def band(label: str, x: Any, runs: Any) -> Curve:
    """Median and 10% to 90% band over runs (seeds, n)."""
    values = np.asarray(runs, dtype=np.float64)
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
    return Curve(label, tuple(map(float, x)), *(tuple(each.tolist()) for each in (middle, low, high)), told=MEDIAN)


def paired(ours: Any, theirs: Any, *, seed: int = 0) -> dict[str, float]:
    """Mean of ours less theirs over paired seeds (n,), with its bootstrap 95% interval: above zero is better."""
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    return bootstrap_interval(difference, seed=seed).to_json()


def ratio(log: Mapping[str, float]) -> dict[str, float]:
    """A difference of logarithms with its interval, as the ratio that it says."""
    return {name: value if name == "seeds" else math.exp(value) for name, value in log.items()}


def with_interval(found: Mapping[str, float], form: str = "+.2f") -> str:
    """A mean with its 95% interval, as it is shown; ``form`` is that of each number."""
    return f"{found['mean']:{form}} [{found['low']:{form}}, {found['high']:{form}}]"


def judged(
    claim: str,
    target: str,
    found: Mapping[str, float],
    *,
    above: float | None = None,
    below: float | None = None,
    form: str = "+.2f",
    reached: str | None = None,
    learnt: bool = False,
) -> Verdict:
    """The verdict that the whole interval of ``found`` lies ``above`` or ``below`` a number.

    ``learnt``: the claim is of what searching or learning reaches, so that a run with less of it refutes nothing.
    """
    bound, holds = _beyond(found, above, below)
    return Verdict(claim, target, reached or with_interval(found, form), holds, learnt or undecided(found, bound))


def not_refuted(
    claim: str,
    target: str,
    found: Mapping[str, float],
    *,
    above: float | None = None,
    below: float | None = None,
    form: str = "+.2f",
) -> Verdict:
    """The verdict that not the whole interval of ``found`` lies ``above`` or ``below`` a number: of a control."""
    bound, beyond = _beyond(found, above, below)
    return Verdict(claim, target, with_interval(found, form), not beyond, undecided(found, bound))


def _beyond(found: Mapping[str, float], above: float | None, below: float | None) -> tuple[float, bool]:
    """The one bound that is given, and whether the whole interval lies beyond it."""
    if above is not None and below is None:
        return above, found["low"] > above
    if below is not None and above is None:
        return below, found["high"] < below
    raise ValueError("a verdict asks for what is above a number, or below one")


def undecided(found: Mapping[str, float], bound: float) -> bool:
    """Whether an interval has both sides of the bound, when it is as wide as so few seeds ask for.

    Few seeds that agree fully, as ranks of few things do, tell no width.
    """
    seeds = int(found.get("seeds", FEWEST))
    if seeds < FEWEST and found["low"] == found["high"]:
        return True
    wider = WIDER.get(seeds, 1.0)
    low, high = (found["mean"] + wider * (found[side] - found["mean"]) for side in ("low", "high"))
    return not (high < bound or low > bound)


def jsonable(value: Any) -> Any:
    """The value with numpy's numbers and arrays as Python's, and None for numbers that are not finite."""
    if isinstance(value, dict):
        return {str(name): jsonable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
