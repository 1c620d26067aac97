"""Jobs in a real service: they are done, cancelled, and survive what kills their workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PostgresServer
from service_process import ROOT, Processes, until
from service_world import pictures, zipped

from databases.records.store import Store

pytestmark = pytest.mark.slow
CELL = "|skip_connect~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"


MEMORY = ("--job-memory", "20000")  # of the service's jobs, which need far less


def training(dataset: str, **more: Any) -> dict[str, Any]:
    """A request that takes a second or two, of the smallest network: most of it is the start of the job's process."""
    return {"dataset": dataset, "architecture": CELL, "recipe": "tiny", **more}


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """With a worker. Tests leave it as they met it, and no job behind."""
    with Processes(tmp_path_factory.mktemp("service"), onnx=False) as service:
        service.serve(*MEMORY)
        yield service


@pytest.fixture(name="without_worker", scope="module")
def without_worker_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Tests start workers of their own, and end them."""
    with Processes(tmp_path_factory.mktemp("without"), onnx=False) as service:
        service.serve("--no-worker")
        yield service


def records(service: Processes) -> int:
    with Store(service.home / "database.db") as store:
        return len(store.records(source="user"))


def test_the_whole_way_from_pictures_to_a_prediction(service: Processes) -> None:
    dataset = service.send(zipped(pictures(each=20)))
    told = service.ask("/v1/recommendations", {"dataset": dataset, "top": 2})
    names = [each["pipeline"] for each in told["choices"]]
    assert {told["knee"], told["equal"], *told["front"]} <= set(names) and len(names) < told["ranked"]
    cells = service.ask("/v1/recommendations", {"dataset": dataset, "top": 2, "space": "nasbench201"})
    assert len(cells["candidates"]) == 2 and cells["front"] and cells["ranked"] > 1000
    job = service.ask("/v1/searches", {"dataset": dataset, "train": 1, "recipe": "tiny"})["id"]
    ended = service.ended(job)
    assert ended["state"] == "succeeded", ended["reason"]
    assert sum(map(sum, ended["result"]["confusion"])) == ended["result"]["judged_on"] > 0
    model = service.ask(f"/v1/models/{job}")
    assert {"safetensors", "python"} <= set(model["formats"])
    picture = pictures(each=20)["set/class2/3.png"]
    body = (
        b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + picture + b"\r\n--x--\r\n"
    )
    answer = service.ask(f"/v1/models/{job}/predict", body, kind="multipart/form-data; boundary=x")
    assert answer["predictions"][0]["best"] == "class2"
    assert sum(answer["predictions"][0]["probabilities"]) == pytest.approx(1.0, abs=1e-5)


def test_a_search_of_pipelines_goes_on_when_web_and_worker_are_killed(service: Processes) -> None:
    """The budget is kept over both lives, and the page of the winner shows all that is known of it."""
    dataset = service.send(zipped(pictures(each=20)))
    job = service.ask("/v1/searches", {"dataset": dataset, "seconds": 8})["id"]
    until(lambda: list(service.home.glob(f"runs/job-{job}/candidates/*.safetensors")), what="the first probe")
    for process in (*service.processes("metad2a --no-tracking serve"), *service.processes("metad2a worker")):
        os.kill(process, signal.SIGKILL)
    until(lambda: not service.processes("service.job"), seconds=10, what="the end of the job's process")
    with service.exporting():
        service.serve(*MEMORY)
        ended = service.ended(job)
    assert ended["state"] == "succeeded", ended["reason"]
    result = ended["result"]
    assert ended["attempts"] == 2 and result["resumed"] >= 1 and result["seconds"] < 16
    right = sum(row[number] for number, row in enumerate(result["confusion"]))
    assert 100 * right / result["judged_on"] == pytest.approx(result["test_accuracy"])
    assert result["seen"]["front"] and len(result["trained"]) == len(result["seen"]["candidates"])
    page = service.text(f"/models/{job}")
    several = len({each["level"] for each in result["seen"]["candidates"]}) > 1  # a busy machine tries one alone
    drawn = ['class="plot"'] if several else []
    for part in (*drawn, 'class="confusion"', "Try it", "model.onnx", "import model", "Macro F1"):
        assert part in page, part
    assert not service.processes("service.job")


def test_a_killed_worker_costs_only_what_was_running(service: Processes) -> None:
    before = records(service)
    dataset = service.send(zipped(pictures(each=20)))
    job = service.ask("/v1/trainings", training(dataset, recipe="small"))["id"]
    (process,) = until(lambda: service.processes("service.job"), what="the job's process")
    time.sleep(2)
    limit = re.search(r"Max address space +(\d+)", Path(f"/proc/{process}/limits").read_text())
    assert limit is not None and int(limit[1]) == int(MEMORY[1]) * 2**20, "what the service was told"
    for process in service.processes("metad2a worker"):
        os.kill(process, signal.SIGKILL)
    until(lambda: service.job(job)["attempts"] == 2, what="a second attempt")
    assert len(service.processes("service.job")) == 1, "the first attempt must not go on"
    assert service.ask(f"/v1/jobs/{job}", method="DELETE")["state"] == "cancelled"
    until(lambda: not service.processes("service.job"), seconds=2, what="the end of what was cancelled")
    again = service.ask("/v1/trainings", training(dataset))["id"]
    assert service.ended(again)["state"] == "succeeded"
    assert records(service) == before + 1


def test_jobs_run_by_priority_and_at_most_as_many_at_once_as_is_told(without_worker: Processes) -> None:
    service = without_worker
    dataset = service.send(zipped(pictures(each=20)))
    asked = {
        name: service.ask("/v1/trainings", training(dataset, priority=name, seed=seed))["id"]
        for seed, name in enumerate(("low", "normal", "high"))
    }
    worker = service.start("worker", "--jobs", "1")
    try:
        ended = {name: service.ended(job, seconds=240) for name, job in asked.items()}
    finally:
        leave([worker])
    assert {each["state"] for each in ended.values()} == {"succeeded"}
    order = sorted(ended, key=lambda name: str(ended[name]["started"]))
    assert order == ["high", "normal", "low"]
    for first, second in pairwise(order):
        assert ended[first]["finished"] <= ended[second]["started"], "one at a time"


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_another_worker_finishes_what_a_frozen_or_killed_one_had(
    without_worker: Processes, how: signal.Signals
) -> None:
    """And one that thaws changes nothing."""
    service, before = without_worker, records(without_worker)
    frozen = service.start("worker")
    workers = [frozen]
    try:
        dataset = service.send(zipped(pictures(each=20)))
        job = service.ask("/v1/trainings", training(dataset, seed=10 + how))["id"]  # a record of its own
        until(lambda: service.job(job)["state"] == "running", what="the job")
        frozen.send_signal(how)
        workers.append(service.start("worker"))
        ended = service.ended(job)
        assert (ended["state"], ended["attempts"]) == ("succeeded", 2), service.logs()
        frozen.send_signal(signal.SIGCONT)
        time.sleep(2)
        assert service.job(job) == ended
        assert records(service) == before + 1
        assert not service.processes("service.job")
    finally:
        leave(workers)


def leave(workers: list[subprocess.Popen[bytes]]) -> None:
    """Ends workers, frozen ones too."""
    for each in workers:
        each.send_signal(signal.SIGCONT)
        each.terminate()
        each.wait(20)


def test_a_job_that_runs_out_of_memory_fails_with_a_reason(without_worker: Processes) -> None:
    service = without_worker
    worker = service.start("worker", "--job-memory", "600")
    try:
        dataset = service.send(zipped(pictures(each=20)))
        ended = service.ended(service.ask("/v1/trainings", training(dataset, seed=5))["id"])
        assert ended["state"] == "failed" and "memory" in ended["reason"], ended["reason"]
    finally:
        leave([worker])


def test_the_readmes_walk_through_works_as_it_stands(service: Processes) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(each for each in text.split("```bash\n") if each.startswith("SERVICE=")).split("```")[0]
    (service.home / "images.zip").write_bytes(zipped(pictures(each=20)))
    (service.home / "picture.png").write_bytes(pictures()["set/class1/0.png"])
    assert block.count("http://127.0.0.1:8000") == block.count('\\"seconds\\": 30') == 1
    shorter = block.replace('\\"seconds\\": 30', '\\"seconds\\": 3')
    lines = f"set -euo pipefail\n{shorter.replace('http://127.0.0.1:8000', service.address)}"
    done = subprocess.run(["bash", "-c", lines], cwd=service.home, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout[-500:]
    assert "event: end" in done.stdout and '"best"' in done.stdout
    assert (service.home / "model.py").read_text().startswith('"""')


def test_jobs_outlive_a_database_that_is_stopped_hard_and_a_service_ends_as_a_whole(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    with Processes(tmp_path, database=postgres.database(), onnx=False) as service:
        web = service.serve()
        dataset = service.send(zipped(pictures(each=20)))
        job = service.ask("/v1/trainings", training(dataset))["id"]
        until(lambda: service.job(job)["state"] == "running", what="the job")
        postgres.stop_hard()
        time.sleep(3)
        postgres.start()
        until(lambda: service.ask("/v1/jobs", quiet=True), what="the web process")
        ended = service.ended(job, seconds=240)
        assert ended["state"] == "succeeded", service.logs()
        with Store(str(service.database)) as store:
            assert len(store.records(source="user")) == 1
        assert len(service.processes("metad2a worker")) == 1
        web.terminate()
        assert web.wait(20) == 0
        until(lambda: not service.processes("metad2a"), seconds=15, what="an empty process table")
