"""A home that was moved or copied is its own; what could not be registered is a failure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_world import run

from databases.records.store import Store
from metad2a.retrain import champion, retrain
from metad2a.runtime.home import home
from metad2a.runtime.tracking import Tracker

pytestmark = pytest.mark.usefixtures("home")


def files_in(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*.safetensors")} if folder.exists() else set()


def register(content: str) -> str | None:
    weights = home().parent / "weights.safetensors"
    weights.write_text(content)
    with Tracker().run("retrain", "meta-training") as tracked:
        return tracked.register(weights, champion.MODEL_NAME, alias="challenger")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["moved", "copied"])
def test_a_home_keeps_and_finds_its_models_where_it_is_now(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new %20home"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("METAD2A_HOME", str(old))
    assert register("first") == "1"
    before = files_in(old)
    shutil.move(old, new) if way == "moved" else shutil.copytree(old, new)
    monkeypatch.setenv("METAD2A_HOME", str(new))
    assert champion.fetch("challenger").read_text() == "first"
    assert champion.fetch("challenger").is_relative_to(new)
    assert register("second") == "2"
    assert champion.fetch("challenger").read_text() == "second"
    assert files_in(old) == (set() if way == "moved" else before)


def test_a_model_that_could_not_be_registered_is_a_failure(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(store: Store, *, output: Path, tracker: Tracker, **_: Any) -> Any:
        with tracker.run("retrain", "meta-training") as tracked:
            version = tracked.register(output, champion.MODEL_NAME, alias="challenger")
        header = {"held_out": {"tau": 0.5}, "tasks": {"tiny": 30}, "architectures": {"tiny": 400}, "seed": 0}
        return retrain.RetrainResult(output, "abc", header, 0.5, version=version)

    monkeypatch.setattr(retrain, "retrain", fake)
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_URI", "nonsense://somewhere")
    failed = run("retrain")
    assert failed.exit_code == 2 and f"use --model {home / 'meta.safetensors'}" in failed.stderr.splitlines()[-1]
    assert run("--no-tracking", "retrain").exit_code == 0
