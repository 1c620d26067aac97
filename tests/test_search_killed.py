"""A search within a time that is killed goes on inside its training, by what was planned when that began."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_world import CELLS, quick

from databases.records.store import Store
from metad2a.runtime.place import Place
from metad2a.search import budget
from metad2a.search.ending import AGAIN
from metad2a.search.run_state import read_state
from metad2a.search.runs import RunFolder
from metad2a.train import loop

pytestmark = pytest.mark.usefixtures("search_home")
Reach = Callable[[int], None]

# in 60 s there is time for some fifty steps of this recipe, by a pace that is only believed
KILLED = """
import os, signal, sys, time
sys.path.insert(0, {tests!r})
import search_world as t
from metad2a.search import budget
from metad2a.train import loop
t.RECIPES["endless"], loop.EVERY = t.ENDLESS, 0.0
budget.seconds_a_step = lambda *given, **options: 1.0
take = loop.Loop._step
def counted(each, *given):
    if each.step == 20:
        time.sleep(1.2)
        each.save()
        os.kill(os.getpid(), signal.SIGKILL)
    take(each, *given)
loop.Loop._step = counted
with t.Store(t.Path(os.environ["METAD2A_HOME"]) / "database.db") as store:
    t.quick(store, recipe="endless", seconds=60.0)
"""


@pytest.fixture(name="steps")
def steps_fixture(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of all trainings but those that measure the pace, as they are taken."""
    taken, take = list[int](), loop.Loop._step

    def counted(each: loop.Loop, *given: Any) -> None:
        take(each, *given)
        taken.append(each.step)

    monkeypatch.setattr(loop, "EVERY", 0.0)
    monkeypatch.setattr(loop.Loop, "_step", counted)
    monkeypatch.setattr(budget, "seconds_a_step", lambda *given, **options: 1.0)
    return taken


def stopped_at(number: int, taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops whatever goes on once so many steps have been taken."""
    take = loop.Loop._step

    def until(each: loop.Loop, *given: Any) -> None:
        if len(taken) == number:
            raise KeyboardInterrupt
        take(each, *given)

    monkeypatch.setattr(loop.Loop, "_step", until)


def test_a_killed_process_costs_no_step_and_its_seconds_count(
    store: Store, search_home: Path, steps: list[int]
) -> None:
    code = KILLED.format(tests=str(Path(__file__).parent))
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    assert killed.returncode == -signal.SIGKILL
    (folder,) = (search_home / "runs").iterdir()
    state = read_state(folder)
    assert state is not None
    os.utime(folder / "candidates" / "0.checkpoint", (0, 0))  # as a copy of the home may have it
    with RunFolder(folder, state.identity, begin=time.monotonic()) as run:
        assert run.spent > state.spent + 1  # what it lived on after its last note
    os.utime(folder / "candidates" / "0.checkpoint", (2e9, 2e9))
    with RunFolder(folder, state.identity, begin=time.monotonic()) as run:
        assert run.spent < 60
    result = quick(store, recipe="endless", seconds=60.0)
    planned = steps[-1]
    assert steps == list(range(21, planned + 1)) and 40 < planned < 60
    assert result.trained[0].shortened and not list(folder.rglob("*.checkpoint"))


def test_with_more_time_a_longer_training_is_begun_anew(
    store: Store, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopped_at(20, steps, patch)
        quick(store, recipe="endless", seconds=60.0)
    quick(store, recipe="endless", seconds=90.0)
    assert steps[20:] == list(range(1, len(steps) - 19)) and len(steps) - 20 > 60


def test_so_does_the_last_training_on_validation_images_too(
    store: Store, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopped_at(8, steps, patch)  # two of which are left for the best, of six a training
        quick(store, train=1, seconds=60.0)
    result = quick(store, train=1, seconds=60.0)
    state = read_state(result.folder)
    assert state is not None and state.again is not None and AGAIN in result.notes
    assert steps == [*range(1, 7), *range(1, state.again[1] + 1)]
    assert not list(result.folder.rglob("*.checkpoint"))


def test_so_do_trainings_side_by_side(store: Store, steps: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Place, "crew", lambda place, **options: map)
    place = Place("cpu", workers=2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopped_at(8, steps, patch)
        quick(store, place=place, train=2)
    result = quick(store, place=place, train=2)
    assert steps == [*range(1, 7), *range(1, 7)]
    assert [each.architecture for each in result.trained] == list(CELLS[:2])
    assert not list(result.folder.rglob("*.checkpoint"))
