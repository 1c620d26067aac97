"""What a run has trained so far: `state.json` in its folder."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from databases.architectures.space import Architecture, space
from databases.errors import UserError
from metad2a.export.card import Card
from metad2a.runtime.files import keep_files

STATE = "state.json"
FORMAT = 2


@dataclass(frozen=True)
class Wanted:
    """A candidate to train, with the accuracy that was expected of it (percent, or None)."""

    architecture: Architecture
    expected_accuracy: float | None = None


@dataclass(frozen=True)
class Trained:
    """A candidate that was trained.

    Attributes:
        expected_accuracy, valid_accuracy: percent; None where not known or nothing to measure on.
        complete: False where the training did not go to its end.
        epochs: passes over the training images, the last one perhaps in part.
        seconds: wall time of training.
        parameters, flops: of the network for this task and recipe; FLOPs are multiply-adds for one image.
        stopped: whether it was given up because its learning curve was hopeless.
        score: what the searcher was told: the accuracy, or the likely end of a training that was given up.
        checks: validation accuracies in percent on the way.
        parts: into how many parts a batch was cut, so that it fits into memory.
        shortened: whether it went to the end of a schedule that was fitted to the time left, shorter than the recipe's.
    """

    architecture: Architecture
    expected_accuracy: float | None
    valid_accuracy: float | None
    complete: bool
    epochs: int
    seconds: float
    parameters: int
    flops: int
    stopped: bool = False
    score: float = 0.0
    checks: tuple[float, ...] = ()
    parts: int = 1
    shortened: bool = False

    @property
    def fate(self) -> str:
        """How it ended before its recipe's end, in a word or two; empty where it did not."""
        return "" if self.complete else "given up" if self.stopped else "shortened" if self.shortened else "cut"

    @property
    def done(self) -> bool:
        """Whether nothing more is to be trained."""
        return self.complete or self.stopped


@dataclass
class State:
    """What `state.json` holds: candidates as they were asked for; ``trained`` is by their position."""

    identity: dict[str, object]
    candidates: list[Wanted] = field(default_factory=list)
    trained: dict[int, Trained] = field(default_factory=dict)
    spent: float = 0.0  # by all processes, of working here
    noted: float | None = None  # the second since 1970 at which that was so
    prepared: float = 0.0  # what the one that worked last took before: reading and ranking
    tested: tuple[int, float | None] | None = None  # which candidate, and its accuracy in percent
    again: tuple[int, int] | None = None  # which candidate was trained on validation images too, and for how many steps
    notes: tuple[str, ...] = ()  # on what is exported
    went_on: bool = False  # whether that learnt from validation images too
    change: tuple[bool, bool, str | None] | None = None  # whether training images are shifted and mirrored, and why
    probed: tuple[str, float] | None = None  # the best cheap probe, and its validation accuracy in percent


def tested_card(card: Card, state: State, index: int) -> Card:
    """The card with the test accuracy, where this candidate is the one that was tested."""
    return replace(card, test_accuracy=state.tested[1]) if state.tested and state.tested[0] == index else card


def best_of(state: State, among: Collection[int]) -> int | None:
    """The position of the best by validation accuracy among these candidates.

    A training that was cut or given up counts only where none went to its end; of equals the earlier one is best.
    """
    trained = {index: state.trained[index] for index in among if index in state.trained}
    rank = {index: (each.complete or each.shortened, each.valid_accuracy or 0.0) for index, each in trained.items()}
    return max(rank, key=lambda index: rank[index], default=None)


def read_state(folder: Path) -> State | None:
    """What the folder holds, None where there is no run; raises UserError where it is damaged."""
    try:
        return _from_json((folder / STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UserError(
            f"the run in {str(folder)!r} cannot be read ({' '.join(str(problem).split())[:80]}): "
            "remove that folder to start again"
        ) from problem


def write_state(folder: Path, state: State) -> None:
    """Writes `state.json` at once or not at all; raises UserError where that fails."""
    keep_files(folder, {STATE: _to_json(state).encode()})


def _to_json(state: State) -> str:
    def plain(each: Wanted | Trained) -> dict[str, object]:
        architecture = each.architecture
        return {**asdict(each), "architecture": [architecture.space, str(architecture)]}

    return json.dumps(
        {
            "format": FORMAT,
            "identity": state.identity,
            "candidates": [plain(each) for each in state.candidates],
            "trained": [[index, plain(each)] for index, each in state.trained.items()],
            "spent": state.spent,
            "noted": state.noted,
            "prepared": state.prepared,
            "tested": state.tested,
            "again": state.again,
            "notes": state.notes,
            "went_on": state.went_on,
            "change": state.change,
            "probed": state.probed,
        },
        indent=1,
    )


def _from_json(text: str) -> State:
    values = json.loads(text)
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, known is {FORMAT}")

    def whole(each: dict[str, Any]) -> dict[str, Any]:
        name, architecture = each["architecture"]
        lists = {key: tuple(value) for key, value in each.items() if isinstance(value, list)}
        return {**each, **lists, "architecture": space(name).parse(architecture)}

    return State(
        identity=values["identity"],
        candidates=[Wanted(**whole(each)) for each in values["candidates"]],
        trained={index: Trained(**whole(each)) for index, each in values["trained"]},
        spent=float(values["spent"]),
        noted=values.get("noted"),
        prepared=float(values.get("prepared", 0.0)),
        tested=tuple(values["tested"]) if values["tested"] else None,
        notes=tuple(values.get("notes", ())),
        went_on=values.get("went_on", bool(values.get("again"))),  # earlier versions kept what was trained again alone
        again=tuple(values["again"]) if values.get("again") else None,
        change=tuple(values["change"]) if values.get("change") else None,
        probed=tuple(values["probed"]) if values.get("probed") else None,
    )
