"""What a search tells: its progress while it goes on, and its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from databases.architectures.space import Architecture
from databases.datasets.task import VALIDATION, Task
from databases.records.record import Record
from metad2a.export.export import Exported
from metad2a.search.run_state import Trained
from metad2a.train.training import Progress

Event = Literal["started", "epoch", "trained", "stopped", "kept", "again", "tested"]


@dataclass(frozen=True)
class SearchProgress:
    """What just happened to candidate ``number`` (from 1) of ``count``, ``seconds`` after the search began.

    Without a ``count`` as many are trained as there is time for. ``epoch`` comes with the event "epoch", ``trained``
    with "trained", "stopped" (given up early), "kept" (done by an earlier process) and "tested"; "again" is the last
    training of the best, on validation images too. ``expected`` are the seconds that a training that has "started" will
    take here, as was measured; None where there is no limit.
    """

    event: Event
    number: int
    count: int | None
    architecture: Architecture
    seconds: float
    epoch: Progress | None = None
    trained: Trained | None = None
    expected: float | None = None


class Outcome:
    """How the outcome of a search tells of itself."""

    best: object
    valid_accuracy: float | None
    test_accuracy: float | None
    trained: tuple[Trained, ...]
    seconds: float
    notes: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        """The outcome in a few lines."""
        told = {"validation": self.valid_accuracy, "test": self.test_accuracy}
        known = ", ".join(f"{name} {value:.1f}%" for name, value in told.items() if value is not None)
        first = f"{self.best}: {known or 'no accuracy measured'}; {len(self.trained)} trained in {self.seconds:.0f} s"
        return "\n".join([first, *self.notes, f"in {self.folder}"])

    __repr__ = __str__  # which notebooks show


@dataclass(frozen=True, repr=False)
class SearchResult(Outcome):
    """The outcome of a search.

    Attributes:
        best: the architecture that was best by validation accuracy.
        valid_accuracy, test_accuracy: its accuracies in percent; None where the task has no such images.
        trained: every candidate that was trained, in part or whole, in order.
        folder: the run's folder, where the best network is exported.
        seconds: wall time, that of earlier processes of the same run included.
        resumed: how many trainings were done already.
        stopped_by: what ended the search.
        notes: one line for each thing to know about the result.
    """

    best: Architecture
    valid_accuracy: float | None
    test_accuracy: float | None
    trained: tuple[Trained, ...]
    folder: Path
    seconds: float
    resumed: int
    stopped_by: Literal["trainings", "time"]
    notes: tuple[str, ...]
    exported: Exported


def record_of(trained: Trained, task: Task, *, recipe: str, seed: int) -> Record:
    """The record of a whole training of a user's."""
    parts = {"batch_parts": float(trained.parts)} if trained.parts > 1 else {}
    return Record(
        task=task.fingerprint,
        space=trained.architecture.space,
        architecture=str(trained.architecture),
        recipe=recipe,
        seed=seed,
        source="user",
        valid_accuracy=trained.valid_accuracy,
        train_seconds=trained.seconds,
        extra={"valid_images": float((task.parts == VALIDATION).sum()), **parts},
    )
