"""The figures of the held-out own tasks as values, and as the JSON that ``evaluation.json`` keeps.

The names of rankings, and the keys of the JSON, are those that tables show; they are put together and taken apart here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

OURS, WITHOUT, SWAPPED = "ours", "ours without the dataset", "ours, datasets swapped"
CEILING = "noise ceiling"  # tau of one training seed against another, beside the rankings
LEVEL_ERROR = "{}, error of the level"  # of features of a kind
REGRETS = ("first pick", "best of three")  # in points; tau has three digits
Told = dict[str, Any]  # an interval's mean, low, high and number of tasks
_AGAINST, _PAIRED = "against {}", "{}, paired"


@dataclass(frozen=True)
class TaskFigures:
    """One task's figures, over the cells that every ranking knows; by the name of a ranking, in points but for tau.

    Attributes:
        ceiling: tau of one seed against another, nan (in JSON None) for tasks measured once. seeds: of the cell with
            the fewest. spread, noise: standard deviations between cells, and between seeds of one.
        first_pick, best_of_three: regrets. level, gain: errors of the median cell, and of best minus median.
    """

    task: str
    source: str
    cells: int
    tau: dict[str, float]
    ceiling: float
    seeds: int
    spread: float
    noise: float
    first_pick: dict[str, float]
    best_of_three: dict[str, float]
    level: dict[str, float]
    gain: dict[str, float]

    @property
    def taus(self) -> dict[str, float]:
        """Of the rankings, and the noise ceiling."""
        return {**self.tau, CEILING: self.ceiling}

    def to_json(self) -> dict[str, Any]:
        """A row."""
        row: dict[str, Any] = {"task": self.task, "source": self.source, "cells": self.cells}
        row |= {f"tau {name}": value for name, value in self.taus.items()}
        row |= {"seeds": self.seeds, "spread": self.spread, "noise": self.noise}
        for name, value in self.first_pick.items():
            row |= {f"regret 1 {name}": value, f"regret 3 {name}": self.best_of_three[name]}
        for name, value in self.level.items():
            row |= {f"level error {name}": value, f"gain error {name}": self.gain[name]}
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any], *, orders: list[str], regrets: list[str], levels: list[str]) -> Self:
        """From a row with these rankings, and guesses of levels."""
        return cls(
            **{name: row[name] for name in ("task", "source", "cells", "seeds", "spread", "noise")},
            tau={name: row[f"tau {name}"] for name in orders},
            ceiling=row[f"tau {CEILING}"],
            first_pick={name: row[f"regret 1 {name}"] for name in regrets},
            best_of_three={name: row[f"regret 3 {name}"] for name in regrets},
            level={name: row[f"level error {name}"] for name in levels},
            gain={name: row[f"gain error {name}"] for name in levels},
        )


@dataclass(frozen=True)
class Compared:
    """A figure of every ranking: its mean over tasks; and ours against each other, above zero where ours is better."""

    mean: dict[str, Told]
    paired: dict[str, Told]

    @property
    def beaten(self) -> list[str]:
        """The rankings that ours beats with the whole interval."""
        return [name for name, value in self.paired.items() if value["low"] > 0]

    def to_json(self, mean: str, paired: str) -> dict[str, Any]:
        """Both under these keys."""
        return {mean: self.mean, paired: {_AGAINST.format(name): value for name, value in self.paired.items()}}

    @classmethod
    def from_json(cls, found: Mapping[str, Any], mean: str, paired: str) -> Self:
        """From these keys."""
        against = {name: found[paired].get(_AGAINST.format(name)) for name in found[mean]}
        return cls(found[mean], {name: value for name, value in against.items() if value is not None})


@dataclass(frozen=True)
class Share:
    """How far ours goes from the best ``rival`` to a ``perfect`` predictor's tau: the ``share`` of the way."""

    rival: str
    perfect: float
    share: float

    def to_json(self) -> dict[str, Any]:
        """As tables call it."""
        return {"best rival": self.rival, "perfect predictor": self.perfect, "share of the way to it": self.share}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self | None:
        """None where there was no rival."""
        if "best rival" not in found:
            return None
        return cls(found["best rival"], found["perfect predictor"], found["share of the way to it"])


_TAU = ("tau", "paired")
_FIGURES = {
    name: (key, _PAIRED.format(key))
    for name, key in (
        ("first_pick", "regret of the first pick"),
        ("best_of_three", "regret of the best of three"),
        ("level", "error of the median cell"),
        ("gain", "error of best minus median"),
    )
}
_WIDTH, _ALARMS, _DISTANCE = "width of the interval, points", "false alarms", "Spearman of distance and rank error"


@dataclass(frozen=True)
class OwnFigures:
    """Every figure of leave-one-source-out over the own tasks.

    Attributes:
        judged, share: tau on the tasks whose noise ceiling is high enough to judge by.
        coverage, width: of the intervals, by their confidence in percent.
        alarms: share of sources called unlike anything learnt. distance: Spearman of a task's and its rank error.
    """

    tau: Compared
    judged: Compared
    share: Share | None
    first_pick: Compared
    best_of_three: Compared
    level: Compared
    gain: Compared
    coverage: dict[str, Told]
    width: dict[str, Told]
    alarms: Told
    distance: float
    tasks: tuple[TaskFigures, ...]

    def to_json(self) -> dict[str, Any]:
        """What ``evaluation.json`` keeps."""
        share = self.share.to_json() if self.share else {}
        found = {**self.tau.to_json(*_TAU), "judged tasks": {**self.judged.to_json(*_TAU), **share}}
        for name, keys in _FIGURES.items():
            found |= getattr(self, name).to_json(*keys)
        found |= {"coverage": self.coverage, _WIDTH: self.width}
        found["unlike"] = {_ALARMS: self.alarms, _DISTANCE: self.distance}
        return {**found, "tasks": [each.to_json() for each in self.tasks]}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        figures = {name: Compared.from_json(found, *keys) for name, keys in _FIGURES.items()}
        names = {
            "orders": [name for name in found["tau"] if name != CEILING],
            "regrets": list(figures["first_pick"].mean),
            "levels": list(figures["level"].mean),
        }
        return cls(
            tau=Compared.from_json(found, *_TAU),
            judged=Compared.from_json(found["judged tasks"], *_TAU),
            share=Share.from_json(found["judged tasks"]),
            **figures,
            coverage=found["coverage"],
            width=found[_WIDTH],
            alarms=found["unlike"][_ALARMS],
            distance=found["unlike"][_DISTANCE],
            tasks=tuple(TaskFigures.from_json(row, **names) for row in found["tasks"]),
        )
