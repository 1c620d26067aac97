"""The budget of a job: it has all of it however long it waited, and no more of it however often it was begun."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from service_world import send
from starlette.testclient import TestClient

from databases.records.connection import Database
from metad2a.search.runs import RunFolder
from metad2a.service import job, jobs, library, running
from metad2a.service.settings import Settings
from metad2a.service.tables import open_database

CELL = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
READING, WORK, WAITING = 2.0, 15.0, 3600.0
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "search_pipelines": ("/v1/searches", {"seconds": 30}),
    "search": ("/v1/searches", {"seconds": 30, "train": 3}),
    "train_one": ("/v1/trainings", {"seconds": 30, "architecture": CELL}),
}


class Killed(BaseException):
    """In the place of a signal that no process survives."""


class Clock:
    """Seconds that pass when we say so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def clock_fixture(monkeypatch: pytest.MonkeyPatch, settings: Settings, client: TestClient) -> Clock:
    """The clock of job processes, for which the database is away at first and reading a dataset takes a while."""
    clock = Clock()

    def opened(address: str) -> Database:
        clock.now += WAITING
        return open_database(address)

    def read(*given: Any, **named: Any) -> object:
        clock.now += READING
        return SimpleNamespace(channels=3)

    monkeypatch.setattr(job, "settings_of_parent", lambda: settings)
    monkeypatch.setattr(job, "end_with_parent", lambda: None)
    monkeypatch.setattr(job, "_end_when_taken", lambda *owned: None)
    monkeypatch.setattr(job, "open_database", opened)
    monkeypatch.setattr(library, "load_data", read)
    monkeypatch.setattr(library, "load_model", lambda which: None)
    monkeypatch.setattr("time.monotonic", clock)
    return clock


@pytest.mark.parametrize("called", ASKED)
def test_waiting_costs_nothing_and_what_was_spent_is_not_given_again(
    client: TestClient, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch, called: str
) -> None:
    left: list[float] = []

    def works_and_dies(*given: Any, seconds: float, begun: float, folder: Path, **named: Any) -> None:
        with RunFolder(folder, {}, begin=begun) as run:
            left.append(seconds - run.spent)
            clock.now += WORK
            run.tick()  # as each step of a training does: who trained nothing is charged nothing
        raise Killed

    place = "metad2a.search.pipelines.search" if called == "search_pipelines" else "metad2a.search.search"
    monkeypatch.setattr(f"{place}.{called}", works_and_dies)
    address, asked = ASKED[called]
    key = client.post(address, json={"dataset": send(client)["id"], **asked}).json()["id"]
    database = open_database(settings.database)
    for owner in ("first", "second"):
        clock.now += WAITING
        assert jobs.begin(database, key, owner) is not None
        with pytest.raises(Killed):
            job.main(key, owner)
        jobs.give_up(database, key, owner)
    database.engine.dispose()
    assert left == [30 - READING, 30 - WORK - READING]


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGBUS", "SIGABRT"])
def test_a_job_that_dies_within_a_limit_of_memory_names_it(name: str, tmp_path: Path) -> None:
    status = -signal.Signals[name]
    assert f"({name}), most likely because memory ran out" in running._why(status, tmp_path / "log", 2**30)
    assert "memory" not in running._why(status, tmp_path / "log")
    assert "memory ran out" in running._why(-signal.SIGKILL, tmp_path / "log")
