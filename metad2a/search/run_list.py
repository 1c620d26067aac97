"""The list of runs: what each has trained, and how good its best network is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from databases.architectures.space import Architecture
from databases.errors import UserError
from metad2a.export.weights import WEIGHTS, card_in
from metad2a.search.run_state import STATE, best_of, read_state
from metad2a.search.runs import run_names, runs_folder


@dataclass(frozen=True)
class RunSummary:
    """A run in one line.

    Attributes:
        best: the architecture that was exported, before that the best by validation; None where nothing is trained.
        others: how many networks answer with it in what was exported, which is their mean.
        valid_accuracy, test_accuracy: of what was exported, in percent; None where not measured.
        trained: how many architectures were trained, in part or whole. seconds: spent by all processes.
        last: when something was kept last, in this machine's time.
    """

    name: str
    best: Architecture | None
    valid_accuracy: float | None
    test_accuracy: float | None
    trained: int
    seconds: float
    last: datetime
    others: int = 0

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        best = None if self.best is None else {"space": self.best.space, "architecture": str(self.best)}
        return {**vars(self), "best": best, "last": self.last.isoformat(timespec="seconds")}


def all_runs() -> list[RunSummary]:
    """Every run that can be read, the latest first."""
    return [found for name in run_names() if (found := _summary(name)) is not None]


def unreadable_runs() -> list[str]:
    """What is wrong with each run that cannot be read."""
    problems = []
    for name in run_names():
        try:
            read_state(runs_folder() / name)
        except (UserError, OSError) as problem:
            problems.append(f"{name}: {problem}")
    return problems


def _summary(name: str) -> RunSummary | None:
    folder = runs_folder() / name
    try:
        state = read_state(folder)
        last = datetime.fromtimestamp((folder / STATE).stat().st_mtime, UTC).astimezone()
    except (UserError, OSError):
        return None
    if state is None:
        return None
    waits = "limits" in state.identity and state.tested is None  # what is best so far need not keep them
    best, tested = None if waits else best_of(state, state.trained), None
    valid, others = None if best is None else state.trained[best].valid_accuracy, 0
    if state.tested is not None and state.tested[0] in state.trained:  # of equals the search chose by more
        best, tested = state.tested
        card = card_in(folder / WEIGHTS)
        valid, others = (state.trained[best].valid_accuracy, 0) if card is None else (card.valid_accuracy, card.others)
    return RunSummary(
        name=name,
        best=None if best is None else state.candidates[best].architecture,
        valid_accuracy=valid,
        test_accuracy=tested,
        trained=len(state.trained),
        seconds=state.spent + state.prepared,
        last=last,
        others=others,
    )
