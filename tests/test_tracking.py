"""Runs, curves and models reach MLflow; a tracker that cannot write costs one warning."""

from __future__ import annotations

import io
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib.figure import Figure
from pipeline_world import stripes
from sqlalchemy import make_url

from databases.architectures.space import image_space
from databases.records.recipe import RECIPES
from metad2a.runtime import mlflow_client, tracking
from metad2a.runtime.tracking import NullTracker, Run, Tracker
from metad2a.search.tracked import training_run
from metad2a.train.augment import Augment

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("METAD2A_HOME", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


@pytest.fixture(scope="module")
def tracker(home: Path) -> Tracker:
    return Tracker()


def reader(home: Path) -> MlflowClient:
    from mlflow import MlflowClient  # after the tracker, which settles how MLflow logs

    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


@pytest.mark.slow
def test_a_search_holds_its_trainings_parameters_curves_data_and_figures(home: Path, tracker: Tracker) -> None:
    figure, chatter = Figure(), io.StringIO()
    parameters = {f"p{number}": number for number in range(150)}
    with redirect_stderr(chatter), tracker.run("s", "search", parameters=parameters) as search:
        search.dataset("digits", "0123456789abcdef")
        search.figure(figure, "overview.png")
        with tracker.run("t", "training", tags={"device": "cpu"}, parent=search) as training:
            training.curves({"loss": [1.0 / step for step in range(1, 1200)]})
    assert chatter.getvalue() == ""
    assert search.id and training.id
    parent, child = reader(home).get_run(search.id), reader(home).get_run(training.id)
    assert parent.data.params["p149"] == "149" and parent.data.tags["fingerprint"] == "0123456789abcdef"
    assert parent.inputs and parent.inputs.dataset_inputs[0].dataset.digest == "0123456789abcdef"
    assert child.data.tags["mlflow.parentRunId"] == search.id
    assert child.data.tags["kind"] == "training" and child.data.tags["device"] == "cpu"
    points = reader(home).get_metric_history(training.id, "loss")
    assert [point.step for point in points] == list(range(1, 1200))
    assert {parent.info.status, child.info.status} == {"FINISHED"}
    assert list((home / "mlartifacts").rglob("figures/overview.png"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "word"), [(Augment(), "shift"), (Augment(flip=True), "flip"), (Augment(shift=False), "none")]
)
def test_a_training_says_what_was_done_to_its_images(home: Path, tracker: Tracker, change: Augment, word: str) -> None:
    cell = image_space("nasbench201").parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    with (
        tracker.run("s", "search", parameters={}) as search,
        training_run(tracker, search, stripes(30), cell, recipe=RECIPES["tiny"], augment=change, seed=7) as run,
    ):
        pass
    told = reader(home).get_run(str(run.id)).data.params
    assert (told["augment"], told["recipe"], told["seed"], told["classes"]) == (word, "tiny", "7", "3")


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", "import mlflow;"])
def test_a_new_home_is_made_in_silence_whoever_imported_mlflow_first(first: str, tmp_path: Path) -> None:
    script = (
        f"{first}from metad2a.runtime.tracking import Tracker\n"
        "import logging; level = logging.getLogger('mlflow').level\n"
        "with Tracker().run('s', 'search') as run: assert run.id\n"
        f"assert not {bool(first)} or logging.getLogger('mlflow').level == level"
    )
    given = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**given, "METAD2A_HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_an_exception_leaves_is_closed_and_keeps_its_curves(
    home: Path, tracker: Tracker, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), tracker.run("t", "training") as run:
        run.metrics({"loss": 0.5}, step=1)
        raise error
    assert run.id
    stored = reader(home).get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == (status, {"loss": 0.5})


@pytest.mark.slow
def test_what_a_killed_process_left_running_is_closed_by_the_next_run(home: Path, tracker: Tracker) -> None:
    script = (
        "import os; from metad2a.runtime.tracking import Tracker; t = Tracker()\n"
        "with t.run('s', 'search') as a, t.run('c', 'training', parent=a) as b:\n"
        "    print(a.id, b.id, flush=True); os._exit(9)"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.split()
    assert len(killed) == 2
    with tracker.run("s", "search") as outer, tracker.run("s", "search") as again:
        assert outer.id and again.id
        assert {reader(home).get_run(each).info.status for each in killed} == {"KILLED"}
        assert reader(home).get_run(outer.id).info.status == "RUNNING"


@pytest.mark.slow
def test_two_processes_may_begin_in_one_new_home(tmp_path: Path) -> None:
    script = "from metad2a.runtime.tracking import Tracker\nwith Tracker().run('s', 'search') as run: assert run.id"
    given = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    begun = [
        subprocess.Popen([sys.executable, "-c", script], env={**given, "METAD2A_HOME": str(tmp_path)}) for _ in range(2)
    ]
    assert [each.wait() for each in begun] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("left", ["killed", "half made", "no database"])
def test_a_kill_while_the_tables_are_made_costs_nothing(
    left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    script = "from metad2a.runtime.tracking import Tracker\nwith Tracker().run('s', 'search') as run: assert run.id\n"
    killed = "import os; from mlflow.store.db import utils; utils._upgrade_db = lambda engine: os._exit(9)\n"
    database = tmp_path / "mlflow.db"
    if left == "killed":
        ask = [sys.executable, "-c", killed + script]
        assert subprocess.run(ask, env={**given, "METAD2A_HOME": str(tmp_path)}, check=False).returncode == 9
        assert not database.exists()
    elif left == "half made":  # as earlier versions left it
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR)")
    else:
        database.write_bytes(b"no database")
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(tracking, "open_client", mlflow_client.open_client)  # no copy of tables that are there
    with Tracker().run("s", "search") as run:
        assert run.id
    aside = [each.name for each in tmp_path.glob("mlflow.db.*")]
    assert aside == ([] if left == "killed" else ["mlflow.db.broken-1"]) and ("not whole" in caplog.text) == bool(aside)


@pytest.mark.slow
def test_a_promoted_challenger_is_champion_and_has_its_metrics(tracker: Tracker, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    assert tracker.registered("meta", "champion") is None
    for tau in (0.5, 0.6):
        with tracker.run("m", "meta-training") as run:
            run.metrics({"tau": tau})
            version = run.register(weights, "meta", alias="challenger")
        challenger = tracker.registered("meta", "challenger")
        assert version and challenger and challenger.version == version and challenger.run_id == run.id
        tracker.promote("meta", version)
    champion = tracker.registered("meta", "champion")
    assert champion and champion.version == "2" and champion.metrics == {"tau": 0.6}
    assert tracker.registered("meta", "challenger") is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:9", "sqlite:///{folder}", "sqlite:///{folder}/mlflow.db", "nonsense://somewhere"],
)
def test_a_failing_server_costs_one_warning_and_no_result(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    tracker = Tracker(uri=uri.format(folder=tmp_path))
    start = time.monotonic()
    with caplog.at_level(logging.WARNING), tracker.run("s", "search") as search:
        with tracker.run("t", "training", parent=search) as training:
            training.metrics({"loss": 0.5})
        version = search.register(tmp_path / "mlflow.db", "meta", alias="challenger")
    assert (search.id, training.id, version) == (None, None, None)
    assert time.monotonic() - start < 30  # mostly MLflow's import; its own defaults would take minutes
    assert [record.name for record in caplog.records] == ["metad2a"]
    assert "--no-tracking" in caplog.text


@pytest.mark.slow
def test_a_database_that_fails_in_the_midst_costs_one_warning_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker, of_mlflow = Tracker(), list[logging.LogRecord]()
    with caplog.at_level(logging.WARNING), tracker.run("s", "search") as search:
        monkeypatch.setattr(logging.getLogger("mlflow.store.db.utils"), "handle", of_mlflow.append)
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
            connection.execute("DROP TABLE metrics")
        for step in range(3):
            search.metrics({"loss": 1.0}, step=step)
    assert not of_mlflow and [record.name for record in caplog.records] == ["metad2a"]
    assert "no such table: metrics" in caplog.text


def test_points_of_a_curve_are_sent_in_batches() -> None:
    sent: list[int] = []

    class Client:
        def log_batch(self, run_id: str, metrics: list[object]) -> None:
            sent.append(len(metrics))

        def set_terminated(self, run_id: str, status: str) -> None: ...

    class Counting(Tracker):
        def attempt(self, action: Callable[..., Any]) -> Any:
            return action(Client(), "experiment")

    run = Run(Counting(), "id")
    for step in range(1, 1501):
        run.metrics({"loss": 1.0 / step}, step=step)
    run.finish("FINISHED")
    assert sum(sent) == 1500 and len(sent) <= 6  # 1,000 points a request, or those of two seconds


def test_without_tracking_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "home"))
    with NullTracker().run("s", "search", parameters={"a": 1}) as run:
        run.metrics({"loss": 0.5})
    assert run.id is None
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["plain", "a ?x=1#y", "100%20", "me@host:1", "ä"])
def test_the_database_of_a_home_with_characters_of_urls_is_the_one_in_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name / "mlflow.db"
    assert make_url(mlflow_client.file_url(path)).database == str(path)


@pytest.mark.parametrize("name", ["home", "a #b?c%20d&é;=+@:x"])
def test_nothing_is_written_beside_such_a_home(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    with Tracker(required=True).run("digits", "search") as tracked:
        tracked.artifact(Path(__file__))
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert [each.name for each in (tmp_path / name).rglob("*.py")] == [Path(__file__).name]
