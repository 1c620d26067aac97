"""Run folders: what a search has trained so far, kept so that a killed search goes on where it was.

<home>/runs/<task>-<recipe>-<8 hex digits>/
    state.json            candidates as they were asked for, trainings, seconds spent, the one test
    candidates/0.safetensors, 1.checkpoint   weights with their card; a training that goes on (of pipelines 1-STAGE)
    candidates/again-0.checkpoint, again.safetensors   the last training, with validation images too
    plan.json, candidates/0.logits.npy   of pipelines: what has begun, and what one says of the validation images
    plain-60.checkpoint   a training of 60 s that goes on, of what pipelines are compared with
    model.safetensors, model.py    the best network, when the run is done
    lock, lock.holder     held while a process works here, and its id
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import BaseFileLock

from databases.errors import UserError, unknown
from metad2a.export.card import Card
from metad2a.export.export import Exported, save
from metad2a.export.weights import WEIGHTS, load_weights, weights_file
from metad2a.runtime.files import keep_files, not_written
from metad2a.runtime.home import home_to_read
from metad2a.runtime.lock import Held, hold
from metad2a.search.run_state import STATE, State, Trained, Wanted, best_of, read_state, tested_card, write_state
from metad2a.train.loop import written_at
from metad2a.train.training import Training

RUNS, LOCK, CANDIDATES, AGAIN = "runs", "lock", "candidates", "again.safetensors"
SECONDS_BETWEEN_SAVES = 1.0
_NAMES_SHOWN = 10


class RunFolder:
    """A run's folder, held by this process while the ``with`` block lasts.

    ``identity`` is what the run measures (JSON values); a folder that holds another run is refused.
    Seconds count from ``begin`` (monotonic), after those that earlier processes have spent here: what came before
    they held the folder, reading the data and ranking, is done anew and not charged twice; processes that trained
    nothing are not charged. Another one that holds the folder is waited for, ``patience`` seconds at most.
    """

    def __init__(self, folder: Path, identity: Mapping[str, object], *, begin: float, patience: float = 0.0) -> None:
        self.folder, self._patience = folder, patience
        self._begin = begin
        self._saved = begin
        self._held = begin
        self._before = 0.0
        self._discounted = False
        self._answered = self._active = False  # whether it was found finished; whether this process asked for more
        self._trained = False  # whether this process has begun to train
        self._end: float | None = None
        self._lock: BaseFileLock | None = None
        self.state = State(dict(identity))

    def __enter__(self) -> Self:
        self._lock = _locked(self.folder, patience=self._patience)
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        self._held = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and self._answered and not self._active and not self._checkpoints():
                self.discount()
            self.save()
        finally:
            assert self._lock is not None
            self._lock.release()

    @property
    def spent(self) -> float:
        """Seconds of this and of earlier processes."""
        return self._worked + (self.state.prepared if self._discounted else self.prepared)

    def discount(self) -> None:
        """This process found everything done: its own seconds are none of the run's."""
        self._discounted = True

    def end(self) -> None:
        """The run has its result: what is told of it from now on takes none of its seconds."""
        self._end = time.monotonic()
        self.save()

    @property
    def prepared(self) -> float:
        """Seconds that this process took before it held the folder."""
        return self._held - self._begin

    @property
    def _worked(self) -> float:
        """Seconds that this and earlier processes held the folder."""
        now = time.monotonic() if self._end is None else self._end
        return self._before + (0.0 if self._discounted else now - self._held)

    def place(self, wanted: Wanted) -> int:
        """The position of a candidate, which is added where it is new."""
        known = [each.architecture for each in self.state.candidates]
        if wanted.architecture in known:
            return known.index(wanted.architecture)
        self._active = True
        self.state.candidates.append(wanted)
        self.save()
        return len(known)

    def keep(self, index: int, trained: Trained, training: Training, card: Card) -> None:
        """Stores a training for good: first its weights, then the state that speaks of them."""
        self._active = self._trained = True
        keep_files(self.folder / CANDIDATES, {f"{index}.safetensors": weights_file(training, card)})
        self.state.trained[index] = trained
        if self.state.again and self.state.again[0] == index:
            self.state.again = None  # which went on from an earlier network
        self.state.tested = None  # another may be the best now
        self.save()

    def checkpoint(self, index: int, *, again: bool = False) -> Path:
        """Where a training that goes on keeps itself; ``again``: the one on validation images too."""
        return self.folder / CANDIDATES / f"{'again-' if again else ''}{index}.checkpoint"

    def keep_again(self, index: int, training: Training, card: Card) -> None:
        """The same of the best that was trained once more, on validation images too."""
        keep_files(self.folder / CANDIDATES, {AGAIN: weights_file(training, card)})
        self.state.again, self.state.tested = (index, training.steps), None
        self.save()

    def weights_again(self) -> tuple[Card, Training]:
        """The card and the network of that training."""
        return _read(self.folder / CANDIDATES / AGAIN)

    def weights(self, index: int) -> tuple[Card, Training]:
        """The card and the network of a training that was kept."""
        return _kept(self.folder, index)

    def tick(self) -> None:
        """Notes the time spent in training, at most once a second."""
        self._active = self._trained = True
        if time.monotonic() - self._saved >= SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> None:
        """Writes `state.json`."""
        self.state.spent, self.state.noted = self._worked if self._trained else self._before, time.time()
        if not self._discounted:
            self.state.prepared = self.prepared
        write_state(self.folder, self.state)
        self._saved = time.monotonic()

    def _open(self) -> None:
        state = read_state(self.folder)
        if state is None:
            return
        if state.identity != self.state.identity:
            raise UserError(
                f"the folder {str(self.folder)!r} holds the run of another task, recipe, seed or model: "
                "name another folder"
            )
        there = {index for index in state.trained if (self.folder / CANDIDATES / f"{index}.safetensors").exists()}
        state.trained = {index: each for index, each in state.trained.items() if index in there}
        if not (self.folder / CANDIDATES / AGAIN).exists():
            state.again = None
        self.state, self._before = state, state.spent + self._unnoted(state.noted)
        self._answered = state.tested is not None

    def _unnoted(self, noted: float | None) -> float:
        """Seconds that a killed process lived on after its last note: a training that goes on was kept then.

        Both files tell their time themselves: in a home that was copied those of the files are others.
        """
        kept = [at for at in map(written_at, self._checkpoints()) if at is not None]
        return 0.0 if noted is None else max(0.0, max(kept, default=noted) - noted)

    def _checkpoints(self) -> list[Path]:
        return list((self.folder / CANDIDATES).glob("*.checkpoint"))


def run_name(task: str, recipe: str, identity: Mapping[str, object]) -> str:
    """The name of a run's folder: readable, and the same for the same command only."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{_words(task)}-{recipe}-{digest[:8]}"


def _words(task: str) -> str:
    """With what the names of a task's runs begin."""
    return re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")[:30].strip("-") or "task"


def finished_runs(task: str) -> Iterator[State]:
    """What finished runs of data of that name hold: given again, they answer whatever time there is."""
    name = re.compile(rf"{_words(task)}-[^-]+-[0-9a-f]{{8}}")  # not those of a task whose name goes on
    for path in runs_folder().glob(f"{_words(task)}-*/{STATE}"):
        if not name.fullmatch(path.parent.name):
            continue
        with suppress(UserError):
            state = read_state(path.parent)
            if state is not None and state.tested is not None:
                yield state


def runs_folder() -> Path:
    """Where the runs are: `runs` in the home folder, which is neither made nor tried."""
    return home_to_read() / RUNS


def run_names() -> list[str]:
    """The names of all runs, the latest first."""
    states = sorted(runs_folder().glob(f"*/{STATE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.parent.name for path in states]


def find_run(name: str) -> Path:
    """The folder of a run; raises UserError with the latest that have a network where there is none of that name."""
    names = run_names()
    if name in names:
        return runs_folder() / name
    usable = list(islice(filter(_has_network, names), _NAMES_SHOWN + 1))
    if not usable:
        raise UserError(f"unknown run {name!r}: {'no run has a trained network' if names else 'there is no run'} yet")
    raise unknown("run", name, usable[:_NAMES_SHOWN], more=", ..." if len(usable) > _NAMES_SHOWN else "")


def _has_network(name: str) -> bool:
    """Whether a run has trained a network that can be exported."""
    folder = runs_folder() / name
    try:
        state = read_state(folder)
    except UserError:
        return False
    best = None if state is None else best_of(state, range(len(state.candidates)))
    return best is not None and (folder / CANDIDATES / f"{best}.safetensors").is_file()


def export_run(name: str, folder: Path) -> Exported:
    """Writes the best network of a run (so far, where it is not done) into ``folder``.

    Raises UserError for an unknown run, and for one that has not trained anything yet.
    """
    card, training = best_network(name)
    return save(training, card, folder)


def best_network(name: str) -> tuple[Card, Training]:
    """The best network of a run, so far where it is not done; raises UserError as `export_run` does."""
    place = find_run(name)
    state = read_state(place)
    best = None if state is None else best_of(state, range(len(state.candidates)))
    if state is None or best is None:
        raise UserError(f"the run {name!r} has no trained network yet: give the same command again to go on")
    bound = "limits" in state.identity  # which the best so far need not keep: what was exported does
    if (bound or state.tested is not None) and (place / WEIGHTS).is_file():
        return load_weights(place / WEIGHTS)  # calibrated, and perhaps fitted on more images, or the mean of several
    if bound:
        lost = f"has lost its {WEIGHTS}: give its command again, which writes it anew"
        yet = "has not chosen within its limits yet: give its command again, or wider ones"
        raise UserError(f"the run {name!r} {yet if state.tested is None else lost}")
    card, training = _kept(place, best)
    return tested_card(card, state, best), training


def _kept(folder: Path, index: int) -> tuple[Card, Training]:
    return _read(folder / CANDIDATES / f"{index}.safetensors")


def _read(path: Path) -> tuple[Card, Training]:
    try:
        return load_weights(path)
    except UserError as problem:
        raise UserError(
            f"the training in {str(path)!r} is damaged or gone: remove that file and give the command of the run "
            "again, which repeats this training alone"
        ) from problem


def _locked(folder: Path, *, patience: float) -> BaseFileLock:
    """The folder's lock, which the system gives back however this process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return hold(folder / LOCK, patience=patience)
    except Held as problem:
        raise UserError(
            f"the run in {str(folder)!r} is in use by process {problem.process}: wait for it, or stop it"
        ) from problem
    except OSError as problem:
        raise not_written(folder, problem) from problem
