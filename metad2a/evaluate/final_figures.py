"""Figures of the final check as values, and as the JSON that ``evaluation.json`` keeps, whose keys tables show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

RIGHT, OTHER = "right z", "another task's z"  # with which the generator draws
_DRAWN = {
    "percentile": "mean percentile of 100",
    "accuracy": "mean accuracy of 500",
    "of_ten": "best of 10",
    "of_hundred": "best of 100",
}
_MEDIAN = "median cell"


@dataclass(frozen=True)
class Drawn:
    """Of 500 draws: mean percentile of the first 100, mean accuracy, and the mean best of 10 and of 100."""

    percentile: float
    accuracy: float
    of_ten: float
    of_hundred: float

    def to_json(self) -> dict[str, float]:
        """As tables call them."""
        return {key: getattr(self, name) for name, key in _DRAWN.items()}

    @classmethod
    def from_json(cls, found: Mapping[str, float]) -> Self:
        """What `to_json` gave."""
        return cls(**{name: found[key] for name, key in _DRAWN.items()})


@dataclass(frozen=True)
class GeneratorFigures:
    """Shares of the generator's draws with the right z, and what the draws are worth by what it was told.

    Attributes:
        valid: of all draws. unique: different ones of the valid. novel: of the different ones, those that it was not
            shown as good. drawn: with each z, and at random.
    """

    valid: float
    unique: float
    novel: float
    drawn: dict[str, Drawn]

    def to_json(self) -> dict[str, Any]:
        """What ``evaluation.json`` keeps."""
        shares = {"valid": self.valid, "unique": self.unique, "novel": self.novel}
        return {**shares, **{name: each.to_json() for name, each in self.drawn.items()}}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        drawn = {name: Drawn.from_json(each) for name, each in found.items() if isinstance(each, dict)}
        return cls(found["valid"], found["unique"], found["novel"], drawn)


@dataclass(frozen=True)
class HeldBack:
    """One own task on held-back images.

    Attributes:
        tau, first_pick: by the name of a ranking; the regret in points. predicted, measured: accuracy of the median
            cell. coverage: of the intervals, by their confidence in percent.
    """

    tau: dict[str, float]
    first_pick: dict[str, float]
    predicted: float
    measured: float
    coverage: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """What ``evaluation.json`` keeps."""
        return {
            "tau": self.tau,
            "regret of the first pick": self.first_pick,
            _MEDIAN: {"predicted": self.predicted, "measured": self.measured},
            "coverage": self.coverage,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(found["tau"], found["regret of the first pick"], **found[_MEDIAN], coverage=found["coverage"])
