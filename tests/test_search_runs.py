"""Runs of a search are found, exported and tracked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from search_world import CELLS, a_task, quick
from typer.testing import CliRunner

from databases.errors import UserError
from databases.records.store import Store
from metad2a.cli.app import app
from metad2a.export.export import load_exported
from metad2a.runtime.tracking import Kind, NullTracker, Run
from metad2a.search.result import SearchProgress
from metad2a.search.run_list import all_runs, unreadable_runs
from metad2a.search.run_state import State, Trained, Wanted, read_state, write_state
from metad2a.search.runs import export_run, find_run, run_names, runs_folder
from metad2a.search.search import train_one

pytestmark = pytest.mark.usefixtures("search_home")


def test_a_run_is_found_by_name_and_exported_elsewhere(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no run yet"):
        find_run("digits")
    result = quick(store)
    name = result.folder.name
    assert run_names() == [name] and find_run(name) == result.folder
    with pytest.raises(UserError, match=f"unknown run '../x': choose one of {name}"):
        find_run("../x")
    (runs_folder() / "empty").mkdir()
    (runs_folder() / "empty" / "state.json").write_text("{}")
    with pytest.raises(UserError, match=f"choose one of {name}$"):
        find_run("x")
    assert export_run(name, tmp_path / "out").card == load_exported(result.folder).card
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.py", "model.safetensors"]


def test_an_unfinished_run_exports_its_best_so_far(store: Store, tmp_path: Path) -> None:
    def stop(event: SearchProgress) -> None:
        if (event.event, event.number) == ("started", number):
            raise KeyboardInterrupt

    for number in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            quick(store, on_progress=stop)
        if number == 1:
            with pytest.raises(UserError, match="has no trained network yet"):
                export_run(run_names()[0], tmp_path / "out")
            with pytest.raises(UserError, match="unknown run 'x': no run has a trained network yet"):
                find_run("x")
    card = export_run(run_names()[0], tmp_path / "out").card
    assert (card.architecture, card.test_accuracy) == (str(CELLS[0]), None)


def test_a_finished_run_that_is_asked_again_and_interrupted_has_taken_no_more_seconds(store: Store) -> None:
    before = read_state(quick(store).folder)

    def stop(event: SearchProgress) -> None:
        time.sleep(0.1)
        if event.event == wanted:
            raise KeyboardInterrupt

    wanted = "kept"
    with pytest.raises(KeyboardInterrupt):
        quick(store, on_progress=stop)
    after = read_state(find_run(run_names()[0]))
    assert before is not None and after is not None
    assert (after.spent, after.prepared) == (before.spent, before.prepared)
    wanted = "epoch"
    with pytest.raises(KeyboardInterrupt):
        quick(store, train=4, on_progress=stop)  # a larger one does work
    later = read_state(find_run(run_names()[0]))
    assert later is not None and later.spent > after.spent


def test_the_list_of_runs_names_what_was_exported_where_several_are_equal() -> None:
    trained = {index: Trained(each, None, 90.0, True, 1, 1.0, 1, 1) for index, each in enumerate(CELLS[:2])}
    state = State({}, [Wanted(each) for each in CELLS[:2]], trained, spent=5.0, prepared=2.0)
    for tested, best in ((None, 0), ((1, 80.0), 1)):
        state.tested = tested
        write_state(runs_folder() / "toy", state)
        (found,) = all_runs()
        assert found.best == CELLS[best] and found.test_accuracy == (tested and 80.0) and found.seconds == 7.0
    state.tested, state.identity = None, {"limits": "parameters"}  # what is best so far need not keep them
    write_state(runs_folder() / "toy", state)
    (found,) = all_runs()
    assert found.best is None and found.valid_accuracy is None and found.trained == 2 and not unreadable_runs()


def test_a_run_that_cannot_be_read_is_named() -> None:
    write_state(runs_folder() / "toy", State({}, []))
    (runs_folder() / "broken").mkdir()
    (runs_folder() / "broken" / "state.json").write_text("{")
    (problem,) = unreadable_runs()
    assert problem.startswith("broken: ") and [each.name for each in all_runs()] == ["toy"]
    told = CliRunner().invoke(app, ["runs"]).stdout
    assert "toy" in told and "Cannot be read: broken: the run in" in told


class Recorder(NullTracker):
    """Remembers the runs that were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[Kind, bool]] = []

    @contextmanager
    def run(
        self,
        name: str,
        kind: Kind,
        *,
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        parent: Run | None = None,
    ) -> Iterator[Run]:
        self.opened.append((kind, parent is not None))
        with super().run(name, kind, parameters=parameters, tags=tags, parent=parent) as opened:
            yield opened


def test_trainings_are_tracked_below_their_search(store: Store) -> None:
    tracker = Recorder()
    quick(store, train=2, tracker=tracker)
    assert tracker.opened == [("search", False), ("training", True), ("training", True)]
    train_one(a_task(), CELLS[0], store=store, recipe="quick", on="cpu", tracker=tracker)
    assert tracker.opened[3:] == [("training", False)]


def test_the_run_of_a_single_training_tells_its_recipe_and_its_data(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, object] = {}
    monkeypatch.setattr(Run, "parameters", lambda _, values: told.update(values))
    train_one(a_task(), CELLS[0], store=store, recipe="quick", on="cpu")
    assert told["architecture"] == CELLS[0] and told["recipe"] == "quick" and told["space"] == "nasbench201"
    assert {"channels", "cells", "resolution", "epochs", "batch", "classes", "training_images"} <= told.keys()
