"""What a search refuses, and what damaged runs cost."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from search_world import CELLS, identity_of, quick

from databases.architectures.space import Architecture
from databases.errors import UserError
from databases.records.store import Store
from metad2a.export.export import load_exported
from metad2a.runtime.place import Place
from metad2a.search.runs import RunFolder, export_run
from metad2a.train import loop

pytestmark = pytest.mark.usefixtures("search_home")


def test_a_run_in_use_is_refused_with_the_process(store: Store) -> None:
    result = quick(store, train=1)
    with (
        RunFolder(result.folder, identity_of(result), begin=time.monotonic()),
        pytest.raises(UserError, match=f"in use by process {os.getpid()}"),
    ):
        quick(store, train=1)
    assert quick(store, train=1).resumed == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": 0}, "given 0 trainings"),
        ({"train": 1.5}, "given 1.5 trainings"),
        ({"seconds": "10m"}, "given a budget of '10m' seconds"),
        ({"seconds": 0.0}, "given a budget of 0.0 seconds"),
        ({"seconds": float("nan")}, "given a budget of nan seconds"),
        ({"recipe": "nasbench201"}, "only others measured; allowed are tiny"),
        ({"recipe": "huge"}, "unknown recipe 'huge'"),
        ({"place": Place("abacus")}, "given 'abacus' to train on"),
    ],
)
def test_impossible_requests_are_user_errors(
    store: Store, search_home: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        quick(store, **options)  # type: ignore[arg-type]
    assert not (search_home / "runs").exists()


def test_a_damaged_run_is_a_user_error(store: Store) -> None:
    folder = quick(store, train=1).folder
    for content in ("", "[]", '{"format": 9}', '{"format": 1, "identity": {}, "candidates": [1]}'):
        (folder / "state.json").write_text(content)
        with pytest.raises(UserError, match="remove that folder to start again"):
            quick(store, train=1)


def test_damaged_weights_are_told_and_trained_again_once_removed(store: Store) -> None:
    folder = quick(store, train=1).folder
    weights = folder / "candidates" / "0.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert export_run(folder.name, folder / "copy").card == load_exported(folder).card  # the finished run has its own
    (folder / "model.safetensors").unlink()
    for again in (lambda: quick(store, train=1), lambda: export_run(folder.name, folder / "copy")):
        with pytest.raises(UserError, match=r"0\.safetensors' is damaged or gone: remove that file"):
            again()
    weights.unlink()
    assert quick(store, train=1).resumed == 0


def test_a_training_that_was_killed_goes_on_inside(
    store: Store, search_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, take = list[int](), loop.Loop._step
    kill: int | None = 4

    def counted(each: loop.Loop, *given: Any) -> None:
        if len(taken) == kill:
            raise KeyboardInterrupt
        take(each, *given)
        taken.append(each.step)

    monkeypatch.setattr(loop, "EVERY", 0.0)
    monkeypatch.setattr(loop.Loop, "_step", counted)
    with pytest.raises(KeyboardInterrupt):
        quick(store, train=1)
    kill = None
    result = quick(store, train=1)
    assert taken == list(range(1, result.trained[0].epochs * 3 + 1))  # none twice, of three an epoch
    assert not list(result.folder.rglob("*.checkpoint"))
    whole = quick(store, train=1, folder=search_home / "never killed")
    assert (whole.test_accuracy, whole.trained[0].epochs) == (result.test_accuracy, result.trained[0].epochs)
    first, second = (each.exported.training.network.state_dict() for each in (whole, result))
    assert all((first[name] == second[name]).all() for name in first)


def test_lost_weights_are_trained_again(store: Store, trainings: list[Architecture]) -> None:
    (quick(store, train=2).folder / "candidates" / "1.safetensors").unlink()
    assert quick(store, train=2).resumed == 1
    assert trainings == [CELLS[0], CELLS[1], CELLS[1]]
