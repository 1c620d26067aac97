"""Jobs on a real Ray cluster of two node processes: the same results, and a lost machine costs only what ran there."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from cluster_jobs import LET_GO, broken, deadly, where
from service_process import free_port, until

from databases.datasets.task import Task, split
from databases.errors import UserError
from databases.records.recipe import RECIPES, Recipe
from databases.records.store import Store
from metad2a.runtime.executors import chosen_executor, cluster
from metad2a.runtime.executors.processes import Death, GivenUp
from metad2a.runtime.place import Place
from metad2a.search.search import search

ray = pytest.importorskip("ray", reason="Ray has no wheel here: pip install 'metad2a[ray]'")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
QUICK = Recipe("quick", 4, 1, 8, epochs=3, batch=16, learning_rate=0.05)
MEMORY = 80_000_000  # of a node's object store


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """A cluster of one machine; tests add another one."""
    importlib.import_module("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "tests"))))
        patch.setenv("OMP_NUM_THREADS", "2")  # of the machines; jobs are told another number
        patch.setenv("RAY_DISABLE_USAGE_STATS", "1")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_health_check_failure_threshold", "2")
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": MEMORY}
        made: Any = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            yield made
        finally:
            made.shutdown()


@pytest.fixture
def pair(machines: Any) -> Any:
    """The second machine; it stays until a test loses it."""
    there = [each for each in machines.list_all_nodes() if each is not machines.head_node]
    return there[0] if there else machines.add_node(num_cpus=1, object_store_memory=MEMORY)


def spread(machines: Any) -> Any:
    return chosen_executor(f"ray:{machines.address}")


def test_failures_are_as_in_processes(machines: Any) -> None:
    deaths: list[Death] = []
    found = []
    with cluster._connected(machines.address):  # both use a connection that is there, and leave it
        with pytest.raises(UserError, match=r"^two is too many$"):
            list(spread(machines)(broken, range(9), workers=2))
        with pytest.raises(GivenUp) as problem:
            for each in spread(machines)(deadly, range(4), workers=2, on_death=deaths.append):
                found.append(each)
        assert ray.is_initialized()
    assert sorted(found) == [0, 1, 3] and problem.value.jobs == (2,)
    assert [each.times for each in deaths] == [1, 2, 3]


def test_what_is_no_cluster_of_ours_is_a_user_error(machines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("threads", "ray", "ray:", "ray:ray://somewhere:1", "processes:2"):
        with pytest.raises(UserError, match="ray:HOST:PORT"):
            chosen_executor(text)
    with pytest.raises(UserError, match=r"no Ray cluster can be used at '127\.0\.0\.1:1'"):
        list(chosen_executor("ray:127.0.0.1:1")(broken, [1]))
    monkeypatch.setattr(cluster, "versions", lambda: {"metad2a": "0.0.0-other"})
    with pytest.raises(UserError, match=r"has metad2a .* where this one has 0\.0\.0-other"):
        list(spread(machines)(broken, [1]))
    monkeypatch.delenv("RAY_AUTH_MODE")
    with pytest.raises(UserError, match="RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"):
        list(spread(machines)(broken, [1]))


def a_task() -> Task:
    labels = np.arange(60) % 3
    noise = np.random.default_rng(0).integers(0, 90, (60, 8, 8, 1))
    images = (noise + 60 * labels[:, None, None, None]).astype(np.uint8)
    return Task("Images", images, labels, split(labels, test=0.2), ("dark", "grey", "light"))


def searched(home: Path, **options: Any) -> list[tuple[str, float | None, str]]:
    """Cells, accuracies and weights of a search's trainings."""
    from metad2a.export.weights import load_weights

    with Store(home / "database.db") as store:
        result = search(
            cast(Any, None),  # a space that no meta-model knows asks none
            a_task(),
            store=store,
            space="enas-micro",
            recipe="quick",
            folder=home / "run",
            **options,
        )
        assert len(store.records(source="user")) == len(result.trained)
    weights = [load_weights(path)[1].network.state_dict() for path in sorted((home / "run/candidates").glob("*.s*"))]
    sums = [str(sum(float(each.double().sum()) for each in found.values())) for found in weights]
    return [
        (str(each.architecture), each.valid_accuracy, found) for each, found in zip(result.trained, sums, strict=True)
    ]


def test_a_search_in_the_cluster_finds_what_a_serial_one_finds_seed_for_seed(
    machines: Any, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "quick", QUICK)
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))
    for name in ("serial", "spread"):
        (tmp_path / name).mkdir()
    options = {"train": 3, "searcher": "random", "seed": 7}
    serial = searched(tmp_path / "serial", place=Place("cpu"), **options)
    there = searched(tmp_path / "spread", place=Place("cpu", 2, f"ray:{machines.address}"), **options)
    assert there == serial and len(serial) == 3


def test_jobs_are_spread_and_a_lost_machine_costs_only_what_ran_there(
    machines: Any, pair: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    places = [tmp_path / str(number) for number in range(4)]
    for each in places:
        each.mkdir()
    deaths: list[Death] = []

    def lose() -> None:
        until(lambda: sum(len(list(each.iterdir())) for each in places) >= 2, what="two jobs")
        machines.remove_node(pair, allow_graceful=False)
        (tmp_path / LET_GO).touch()

    losing = threading.Thread(target=lose)
    losing.start()
    jobs = [(str(each), number < 2) for number, each in enumerate(places)]
    handler = signal.getsignal(signal.SIGTERM)
    found = sorted(spread(machines)(where, jobs, workers=2, on_death=deaths.append))
    losing.join()
    assert [name for name, _, _ in found] == ["0", "1", "2", "3"]
    assert {threads for _, _, threads in found} == {"1"}
    begun = {each.name: len(list(each.iterdir())) for each in places}
    assert [each.times for each in deaths] == [1] and sorted(begun.values()) == [1, 1, 1, 2], (deaths, begun)
    assert begun[Path(deaths[0].job[0]).name] == 2
    assert signal.getsignal(signal.SIGTERM) is handler
    assert capfd.readouterr().out == "" and not ray.is_initialized()


PROGRAM = """
from metad2a.runtime.executors import chosen_executor
try:
    print(sorted(chosen_executor("ray:{address}")(abs, [-1, 3])))
except ValueError as problem:
    print(problem)
"""


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name leaves room for those of Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def test_a_cluster_that_was_started_by_hand_asks_for_its_token(short_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
        "RAY_DISABLE_USAGE_STATS": "1",
        "RAY_raylet_start_wait_time_s": "60",
    }
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", f"--port={address.split(':')[1]}"]
    command += ["--node-ip-address=127.0.0.1", "--num-cpus=1", "--include-dashboard=false", "--block"]
    command += [f"--object-store-memory={MEMORY}", f"--temp-dir={short_path}"]
    with (
        (short_path / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as head,
    ):
        try:
            until(lambda: b"--block" in (short_path / "log").read_bytes(), what="the head")
            run = [sys.executable, "-c", PROGRAM.format(address=address)]
            done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=120)
            assert done.stdout == "[1, 3]\n", done.stderr
            stranger = {**environment, "RAY_AUTH_TOKEN": "f" * 32}
            done = subprocess.run(run, env=stranger, capture_output=True, text=True, timeout=120)
            assert "no Ray cluster can be used" in done.stdout and "RAY_AUTH_TOKEN" in done.stdout, done.stderr
        finally:
            head.kill()  # its processes end with it
