"""Record: one measurement of an architecture on a task.  TaskEntry: what the store knows about a task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, SupportsFloat, SupportsInt

from databases.errors import UserError

if TYPE_CHECKING:
    from databases.datasets.task import Task

PUBLISHED_MEAN = -1  # the seed of a record that holds the mean over the published seeds
MOST_SEED = 2**63 - 1  # that databases hold


class RecordKey(NamedTuple):
    """What makes a record the only one of its kind."""

    task: str
    space: str
    architecture: str
    recipe: str
    seed: int


def utc_now() -> str:
    """This moment as ISO text in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Record:
    """One measured training; two records are equal when everything but ``created`` is.

    ``task`` is the fingerprint of an own task or a name such as ``nasbench201/cifar10``, ``architecture``
    the space's text form, ``seed`` the seed of the run or ``PUBLISHED_MEAN``, ``source`` who measured it
    (``own``, ``user``, ``nasbench201``, ``metad2a``). Accuracies are percent, None where missing;
    ``train_seconds`` is the time of the whole training; ``extra`` holds further named numbers. Raises
    UserError for an empty text, a seed below -1 or of more than 64 bits, an accuracy outside 0..100 or a number that is
    not finite.
    """

    task: str
    space: str
    architecture: str
    recipe: str
    seed: int
    source: str
    valid_accuracy: float | None = None
    test_accuracy: float | None = None
    train_seconds: float | None = None
    extra: Mapping[str, float] = field(default_factory=dict, hash=False)
    created: str = field(default_factory=utc_now, compare=False)

    def __post_init__(self) -> None:
        for name in ("task", "space", "architecture", "recipe", "source"):
            _need_text("a record", name, getattr(self, name))
        if type(self.seed) is not int or not PUBLISHED_MEAN <= self.seed <= MOST_SEED:
            object.__setattr__(self, "seed", _seed(self.seed))
        for name, highest in (
            ("valid_accuracy", 100.0),
            ("test_accuracy", 100.0),
            ("train_seconds", math.inf),
        ):
            value = getattr(self, name)
            if value is not None and not (type(value) is float and 0.0 <= value <= 100.0):
                object.__setattr__(self, name, _number(name, value, lowest=0.0, highest=highest))
        if self.extra:
            object.__setattr__(self, "extra", {name: _number(name, value) for name, value in self.extra.items()})

    @property
    def key(self) -> RecordKey:
        """The record's key."""
        return RecordKey(self.task, self.space, self.architecture, self.recipe, self.seed)


@dataclass(frozen=True)
class TaskEntry:
    """What the store knows about a task: name, source of its images, plain statistics, how to rebuild it.

    ``source`` is the collection the images come from: tasks of one source are held out together. ``spec``,
    what is needed to rebuild the task, may be empty and must be writable as JSON. Raises UserError for an
    empty key or name and for a statistic that is not finite.
    """

    key: str
    name: str
    source: str = ""
    statistics: Mapping[str, float] = field(default_factory=dict, hash=False)
    spec: Mapping[str, object] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, task: Task) -> TaskEntry:
        """What is kept of images at hand; never the images."""
        return cls(task.fingerprint, task.name, task.source, task.statistics())

    def __post_init__(self) -> None:
        _need_text("a task", "key", self.key)
        _need_text("a task", "name", self.name)
        object.__setattr__(self, "statistics", {name: _number(name, value) for name, value in self.statistics.items()})


def _need_text(owner: str, name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise UserError(f"{owner} needs a {name} that is a text and not empty, got {value!r}")
    if "\0" in value or (
        not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value)
    ):  # no database takes them
        raise UserError(f"{owner} needs a {name} without zero bytes and halves of characters, got {value[:80]!r}")


# numpy's numbers would reach the database as bytes: these two turn them into plain ones


def _seed(value: SupportsInt) -> int:
    try:
        seed = int(value)
    except (TypeError, ValueError, OverflowError):
        seed = PUBLISHED_MEAN - 1
    if seed != value or not PUBLISHED_MEAN <= seed <= MOST_SEED:
        raise UserError(
            f"a seed is a whole number from 0 to {MOST_SEED:,}, or {PUBLISHED_MEAN} for a published mean, got {value!r}"
        )
    return seed


def _number(name: str, value: SupportsFloat, *, lowest: float = -math.inf, highest: float = math.inf) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and lowest <= number <= highest):
        limits = (
            ""
            if lowest == -math.inf
            else f" of {lowest:g} or more"
            if highest == math.inf
            else f" in {lowest:g}..{highest:g}"
        )
        raise UserError(f"{name} must be a finite number{limits}, or left out where it is missing, got {value!r}")
    return number
