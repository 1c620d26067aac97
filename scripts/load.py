"""Prints what a service bears: `python scripts/load.py` starts one on a home of its own and measures it.

Start to ready, recommendations on a cached dataset by 50 clients, memory over thousands of requests, predictions,
memory over a large upload, idle load. Processor time stands beside what a busy machine makes longer. Needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MEBIBYTE = 2**20


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8137)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--upload", type=int, default=200, metavar="MIB")
    parser.add_argument("--idle", type=float, default=20.0, metavar="SECONDS")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        measure(Path(home), options)
    return 0


def measure(home: Path, options: argparse.Namespace) -> None:
    """Starts the service, asks it, and ends it."""
    address = f"http://127.0.0.1:{options.port}"
    environment = {**os.environ, "METAD2A_HOME": str(home)}
    command = [sys.executable, "-m", "metad2a", "--no-tracking", "serve", "--port", str(options.port)]
    begin = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    try:
        wait_for(f"{address}/readyz")
        took, computed = time.monotonic() - begin, processor_time(process.pid)
        line("start to readyz", f"{took:.1f} s, {computed:.1f} s of processor time", "under 6 s")
        idle(process.pid, options.idle)
        dataset = send(address, pictures(200, 16))["id"]
        begin = time.monotonic()
        ask(f"{address}/v1/recommendations", {"dataset": dataset})
        line("a first recommendation", f"{time.monotonic() - begin:.2f} s")
        begin, computed = time.monotonic(), processor_time(process.pid)
        ask(f"{address}/v1/recommendations", {"dataset": dataset, "seconds": 30})
        took, computed = time.monotonic() - begin, processor_time(process.pid) - computed
        line("another one, features cached", f"{took:.2f} s, {computed:.2f} s of processor time", "under 1 s")
        recommendations(address, dataset, process.pid, options)
        predictions(address, dataset, process.pid)
        upload(address, process.pid, options.upload)
    finally:
        process.terminate()
        process.wait(30)


def idle(pid: int, seconds: float) -> None:
    """Processor time of all the service's processes while nobody asks."""
    time.sleep(5)
    before = processor_time(pid)
    time.sleep(seconds)
    line("idle, web and worker", f"{100 * (processor_time(pid) - before) / seconds:.1f}% of a core", "under 2%")


def recommendations(address: str, dataset: str, pid: int, options: argparse.Namespace) -> None:
    """Many clients ask for a cached recommendation."""
    body = json.dumps({"dataset": dataset}).encode()
    asyncio.run(storm(address, body, clients=options.clients, requests=500))  # warm
    memory, computed = resident(pid), processor_time(pid)
    seconds, waits, errors = asyncio.run(storm(address, body, clients=options.clients, requests=options.requests))
    rate, slow = options.requests / seconds, statistics.quantiles(waits, n=20)[-1]
    line(f"recommendations, {options.clients} clients", f"{rate:.0f} a second", "at least 50")
    line("p95 of their waits", f"{slow:.2f} s", "under 1.5 s")
    each = (processor_time(pid) - computed) / options.requests
    line("processor time of one", f"{1000 * each:.1f} ms")
    line("errors among them", str(errors), "0")
    grown = (resident(pid) - memory) / MEBIBYTE
    line(f"memory over {options.requests:,} requests", f"{grown:+.1f} MB", "flat")


def predictions(address: str, dataset: str, pid: int, count: int = 50) -> None:
    """A found network looks at one picture at a time."""
    job = ask(f"{address}/v1/searches", {"dataset": dataset, "seconds": 8})["id"]
    while (state := ask(f"{address}/v1/jobs/{job}")["state"]) in ("queued", "running"):
        time.sleep(0.5)
    if state != "succeeded":
        raise SystemExit(f"the search {state}")
    head = '--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
    content = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), dtype=np.uint8)).save(content, "PNG")
    body = head.encode() + content.getvalue() + b"\r\n--x--\r\n"
    waits = []
    for number in range(count + 1):
        if number == 1:  # the first one loads the network
            computed = processor_time(pid)
        begin = time.perf_counter()
        ask(f"{address}/v1/models/{job}/predict", body, kind="multipart/form-data; boundary=x")
        waits.append(time.perf_counter() - begin)
    p50, each = 1000 * statistics.median(waits[1:]), 1000 * (processor_time(pid) - computed) / count
    line("prediction of a picture", f"p50 {p50:.0f} ms, {each:.0f} ms of processor time; the first {waits[0]:.1f} s")


def upload(address: str, pid: int, size: int) -> None:
    """A large archive: how much the web process grows at its peak, and all of them together."""
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(pictures(size * MEBIBYTE // (3 * 400 * 400), 400))
        file.flush()
        reset_peak(pid)
        before = resident(pid)
        begin = time.monotonic()
        told = subprocess.run(
            ["curl", "-s", "-F", f"file=@{file.name}", f"{address}/v1/datasets"], capture_output=True, check=True
        )
        images = json.loads(told.stdout)["images"]
        took = time.monotonic() - begin
        name = f"upload of {os.path.getsize(file.name) / MEBIBYTE:.0f} MB, {images} images"
        line(name, f"{took:.1f} s, web process {(peak(pid) - before) / MEBIBYTE:+.0f} MB", "under 300 MB")


async def storm(address: str, body: bytes, *, clients: int, requests: int) -> tuple[float, list[float], int]:
    """Seconds, waits and errors of requests over kept connections."""
    host, port = address.removeprefix("http://").split(":")
    head = f"POST /v1/recommendations HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    waits: list[float] = []
    errors = 0

    async def client(count: int) -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(count):
            begin = time.perf_counter()
            writer.write(message)
            header = await reader.readuntil(b"\r\n\r\n")
            length = int(header.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            waits.append(time.perf_counter() - begin)
            errors += not header.startswith(b"HTTP/1.1 200")
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(client(requests // clients) for _ in range(clients)))
    return time.perf_counter() - begin, waits, errors


def pictures(count: int, px: int) -> bytes:
    """A zip of class folders of noise, which no packing makes smaller."""
    rng, content = np.random.default_rng(0), io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(count):
            picture = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (px, px, 3), dtype=np.uint8)).save(picture, "BMP")
            archive.writestr(f"set/class{number % 4}/{number}.bmp", picture.getvalue())
    return content.getvalue()


def wait_for(address: str) -> None:
    """Until it answers with success."""
    for _ in range(1200):
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the service did not become ready in two minutes")


def send(address: str, archive: bytes) -> Any:
    """Uploads a dataset."""
    return ask(f"{address}/v1/datasets", archive, kind="application/zip")


def ask(address: str, body: Any = None, *, kind: str = "application/json") -> Any:
    """The JSON of an answer."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data, {"content-type": kind}), timeout=600) as answer:
        return json.loads(answer.read())


def family(pid: int) -> list[int]:
    """A process and all below it."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")  # each thread has its own
    children = [int(child) for task in tasks for child in task.read_text(encoding="utf-8").split()]
    return [pid, *(each for child in children for each in family(child))]


def processor_time(pid: int) -> float:
    """Seconds that a family of processes has computed."""
    ticks = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory of one process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def reset_peak(pid: int) -> None:
    """Lets the peak begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(pid: int) -> int:
    """Most bytes of memory since then."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(each.split()[1]) * 1024 for each in lines if each.startswith("VmHWM"))


def line(what: str, value: str, wanted: str = "") -> None:
    """One row of the answer."""
    print(f"{what:<40} {value:<36} {wanted}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
