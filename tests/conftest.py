"""What several test modules share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from databases.datasets import probes
from databases.hosting import own_process
from metad2a.runtime import mlflow_client, tracking
from metad2a.runtime.home import home

if TYPE_CHECKING:
    from cli_world import FakeModel
    from postgres_server import PostgresServer
    from starlette.testclient import TestClient

    from databases.architectures.space import Architecture
    from databases.datasets.task import Task
    from databases.records.store import Store
    from metad2a.export.export import Exported
    from metad2a.service.settings import Settings

own_process()  # before the tests import all that there is


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of slow tests alone come first: they wait for other processes, and the rest fills that time."""
    quick = {item.path for item in items if item.get_closest_marker("slow") is None}
    items.sort(key=lambda item: item.path in quick)


def pytest_collection_finish() -> None:
    """What the libraries made by now lasts: not to look through a million objects again and again saves a tenth."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def tables_of_mlflow(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """New homes get a copy of MLflow's empty tables: making them takes a second, and many tests begin a home."""
    made = tmp_path_factory.getbasetemp() / "mlflow.db"
    really = mlflow_client.open_client

    def opened(uri: str | None) -> object:
        place = None if uri or os.environ.get("MLFLOW_TRACKING_URI") else home() / made.name
        if place is None or place.exists():
            return really(uri)
        if made.exists():
            shutil.copy(made, place)
            return really(uri)
        found = really(uri)
        shutil.copy(place, made)
        return found

    monkeypatch.setattr(tracking, "open_client", opened)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data, which is not part of the repository."""
    named = os.environ.get("METAD2A_SHARED")
    folder = Path(named) if named else Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the development data: {folder} is no folder, name one in METAD2A_SHARED")
    return folder


@pytest.fixture(scope="session")
def tables(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the published means of NAS-Bench-201, which are development data; read it only.

    Takes seconds, once for all test processes: tests that ask for it are slow ones.
    """
    from databases.records.importers import tables as importer
    from databases.records.record import PUBLISHED_MEAN
    from databases.records.store import Store

    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tables.db"
    means = tuple(run for run in importer._RUNS if run.seed == PUBLISHED_MEAN or "ninapro" in run.task)
    with FileLock(place.with_suffix(".lock")):
        if not place.exists():
            begun = place.with_suffix(".begun")
            begun.unlink(missing_ok=True)
            with pytest.MonkeyPatch.context() as patch, Store(begun) as store:
                patch.setattr(importer, "_RUNS", means)
                importer.import_nasbench201_csv(store, shared / "nasbench201" / "accuracy.csv.gz")
            begun.rename(place)
    return str(place)


@pytest.fixture
def few_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes of untrained cells look at a tenth of the images: for tests of what else is done with a task."""
    monkeypatch.setattr(probes, "TRAIN_IMAGES", 64)
    monkeypatch.setattr(probes, "VALIDATION_IMAGES", 40)


@pytest.fixture(name="home")
def home_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, for commands."""
    from cli_world import own_home

    own_home(tmp_path / "home", monkeypatch)
    return tmp_path / "home"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """In the place of the shipped meta-model."""
    from cli_world import FakeModel

    fake = FakeModel()
    monkeypatch.setattr("metad2a.recommend.model.load", lambda path=None: fake)
    return fake


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Three classes that differ in brightness."""
    from cli_world import three_classes

    return three_classes(tmp_path)


@pytest.fixture
def search_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, for searches."""
    from search_world import own_home

    own_home(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def store(search_home: Path) -> Iterator[Store]:
    """The database of that home."""
    from databases.records.store import Store

    with Store(search_home / "database.db") as opened:
        yield opened


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """The architectures that searches train, in order."""
    from search_world import counting

    return counting(monkeypatch)


@pytest.fixture(scope="module")
def insects(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An exported network, which no test changes."""
    from exporting import a_task, exported

    return exported(tmp_path_factory.mktemp("insects"), a_task())


@pytest.fixture(scope="module")
def images() -> Task:
    """Noise in three classes."""
    from made_up import noisy_images

    return noisy_images()


@pytest.fixture
def lawful(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is expected of pipelines follows a made-up law."""
    from outcome_world import told_by_the_law

    told_by_the_law(monkeypatch)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests, each of which makes a database of its own."""
    from postgres_server import started

    server = started()
    yield server
    server.close()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Questions that the helper processes were asked; they answer at once, and always the same."""
    from service_world import answering_at_once

    return answering_at_once(monkeypatch)


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound uploads are understood in this process."""
    from service_world import reading_here

    reading_here(monkeypatch)


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Settings]]:
    """A service for tests that leave nothing behind."""
    from service_world import answering_at_once, asking, settings_in

    settings = settings_in(tmp_path_factory.mktemp("service"))
    with pytest.MonkeyPatch.context() as patch:
        answering_at_once(patch)
        with asking(settings) as client:
            yield client, settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of a service whose home is the test's own."""
    from service_world import settings_in

    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))
    return settings_in(tmp_path)


@pytest.fixture
def client(settings: Settings, answers: list[dict[str, Any]]) -> Iterator[TestClient]:
    """Asks a service on this machine."""
    from service_world import asking

    with asking(settings) as client:
        yield client
