"""Found networks and the meta-model in MLflow's registry, over HTTP, asked as `mlflow models serve` asks them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow_server import mlflow_server
from service_world import pictures, zipped
from test_onnx import exported

from databases.errors import UserError
from metad2a.export.export import load_exported
from metad2a.export.mlflow_model import export_mlflow, register_network
from metad2a.export.program import load_program
from metad2a.recommend.model import SHIPPED
from metad2a.retrain import champion
from metad2a.runtime.tracking import Tracker

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SERVE = """
import json, sys
if sys.argv[1] == "alone":
    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("metad2a", "databases", "predictors"):
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, Refuse())
import mlflow.pyfunc
from mlflow.pyfunc.scoring_server import init
from starlette.testclient import TestClient
def ask(model, question):
    answer = TestClient(init(mlflow.pyfunc.load_model(model))).post("/invocations", json=question)
    return answer.status_code, answer.json()
print(json.dumps([ask(*each) for each in json.load(sys.stdin)]))
"""


@pytest.fixture(name="address", scope="module")
def address_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as address:
        yield address


def invoke(*asked: tuple[str, Any], address: str, alone: bool = True) -> list[tuple[int, Any]]:
    """What a fresh process answers that serves models, one question each; ``alone``: it cannot import metad2a."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": address, "PYTHONPATH": "" if alone else str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:mlflow", "-c", SERVE, "alone" if alone else "all"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env=environment,
        cwd="/",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [(int(status), told) for status, told in json.loads(done.stdout.splitlines()[-1])]


def test_a_found_network_is_served_from_the_registry_without_metad2a(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    folder = export_mlflow(load_exported(exported(tmp_path)))
    assert register_network(folder, "trees", "toy-run") == "models:/trees/1"
    model = register_network(export_mlflow(load_exported(tmp_path)), "trees", "toy-run")
    assert model == "models:/trees/2" and not list(tmp_path.glob(".mlflow-*"))
    images = np.random.default_rng(1).integers(0, 256, (3, 20, 17, 3)).astype(np.uint8)
    wanted = load_program(tmp_path).load(tmp_path).probabilities(images).numpy()
    good, bad = {"instances": images.tolist()}, {"instances": [[1, 2], [3, 4]]}
    (status, told), (of_bad, _) = invoke((model, good), (str(folder), bad), address=address)
    assert status == 200 and list(told["predictions"][0]) == ["ash", "beech", "oak"]
    found = np.array([list(each.values()) for each in told["predictions"]])
    assert np.abs(found - wanted).max() < 1e-6
    assert of_bad == 400, "what is no picture is refused"
    with pytest.raises(UserError, match="allowed are names of letters"):
        register_network(folder, "a/b", "toy-run")


def test_the_meta_model_is_served_from_the_registry_and_fetched_from_it(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))
    tracker = Tracker(required=True)
    with tracker.run("m", "meta-training") as run:
        assert champion.register(run, SHIPPED, alias="challenger") == "1"
    archive = base64.b64encode(zipped(pictures(each=12))).decode()
    rows = {"columns": ["name", "archive"], "data": [["leaves.zip", archive]]}
    question = {"dataframe_split": rows, "params": {"top": 2}}
    [(status, told)] = invoke((f"models:/{champion.MODEL_NAME}@challenger", question), address=address, alone=False)
    assert status == 200, told
    first, second = told["predictions"]
    assert (first["row"], first["rank"], second["rank"]) == (0, 1, 2)
    assert first["low"] < first["expected_accuracy"] < first["high"] and first["parameters"] > 0
    assert champion.fetch("challenger").read_bytes() == SHIPPED.read_bytes()


def test_a_folder_that_we_did_not_write_is_not_replaced(tmp_path: Path) -> None:
    network = load_exported(exported(tmp_path))
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "MLmodel").write_text("mine")
    with pytest.raises(UserError, match="was not written by this metad2a"):
        export_mlflow(network)
    assert (tmp_path / "mlflow" / "MLmodel").read_text() == "mine"
