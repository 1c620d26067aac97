"""What the service needs goes away: a dead MLflow server, a full disk. Jobs end with a word, and it still answers."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_server import end, start
from service_process import Processes, free_port, until
from service_world import pictures, refused, zipped
from starlette.testclient import TestClient
from test_service_jobs import training

from metad2a.service.settings import Settings

pytestmark = pytest.mark.slow


@pytest.fixture(name="small_disk")
def small_disk_fixture(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """Leaves no room on a disk."""
    path = disk / "filler"
    with path.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(2**12)):
                pass
        except OSError as problem:
            assert problem.errno == errno.ENOSPC
    return path


def test_jobs_are_done_without_an_mlflow_server_with_one_and_when_it_dies_meanwhile(tmp_path: Path) -> None:
    """They tell where their run is, or that it is nowhere."""
    port = free_port()
    with Processes(tmp_path, tracking=f"http://127.0.0.1:{port}", onnx=False) as service:
        service.serve()
        dataset = service.send(zipped(pictures(each=20)))
        done_all_the_same(service, service.ask("/v1/trainings", training(dataset))["id"])
        address, server = start(tmp_path, port)
        try:
            ended = service.ended(service.ask("/v1/searches", {"dataset": dataset, "seconds": 5})["id"])
            assert ended["state"] == "succeeded", ended["reason"]
            assert ended["result"]["tracking"].startswith(f"{address}/#/experiments/")
            assert "The run in MLflow" in service.text(f"/models/{ended['id']}")
            job = service.ask("/v1/trainings", training(dataset, seed=1))["id"]
            until((service.home / "runs" / f"job-{job}" / "state.json").exists, what="the training")
            os.killpg(server.pid, signal.SIGKILL)
            done_all_the_same(service, job)
        finally:
            end(server)


def done_all_the_same(service: Processes, job: str) -> None:
    """Within bounded time, and with a word on what was missing."""
    ended = service.ended(job, seconds=300)
    assert ended["state"] == "succeeded", ended["reason"]
    assert any("MLflow could not be used" in each for each in ended["result"]["notes"]), ended["result"]["notes"]


def test_a_full_disk_ends_jobs_with_a_reason_and_refuses_what_needs_room(small_disk: Path) -> None:
    with Processes(small_disk, onnx=False) as service:
        service.serve()
        dataset = service.send(zipped(pictures(each=20)))
        job = service.ask("/v1/trainings", training(dataset))["id"]
        until(lambda: service.processes("service.job"), what="the job")  # whose start alone takes seconds
        filler = fill(small_disk)
        for path, body, kind in (
            ("/v1/datasets", zipped(pictures(each=30, px=40)), "application/zip"),
            ("/v1/trainings", training(dataset), "application/json"),
        ):
            told = service.problem(path, body, kind=kind)
            assert told["status"] == 507 and "full" in told["detail"], told
        assert not list((small_disk / "service" / "uploads").iterdir()), "nothing half-written stays"
        assert service.ask("/healthz")["status"] == "ok" and len(service.ask("/v1/datasets")["items"]) == 1
        until(lambda: not service.processes("service.job"), seconds=120, what="the end of the training")
        filler.unlink()
        ended = service.ended(job)
        assert ended["state"] == "failed" and "full" in ended["reason"], ended["reason"]
        again = service.ended(service.ask("/v1/trainings", training(dataset))["id"])
        assert again["state"] == "succeeded", again["reason"]


def test_an_upload_that_meets_a_full_disk_is_refused_and_leaves_nothing(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for headers, body in (
        ({"content-type": "application/zip"}, {"content": zipped(pictures())}),
        ({}, {"files": {"file": ("leaves.zip", zipped(pictures()))}}),
    ):
        detail = refused(client.post("/v1/datasets", headers=headers, **body), 507)
        assert "full" in detail
    monkeypatch.undo()
    assert not list(settings.uploads.iterdir()) and client.get("/v1/datasets").json()["items"] == []
