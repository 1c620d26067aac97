"""A service over a made-up dataset and a home of its own, asked in this process; its meta-model is no real one."""

from __future__ import annotations

import asyncio
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from databases.errors import UserError
from metad2a.service import reading, receiving
from metad2a.service.app import create_app
from metad2a.service.helper import Helper
from metad2a.service.settings import Allowances, Settings

CELLS: dict[str, Any] = {
    "candidates": [
        {
            "title": f"cell {rank}",
            "architecture": "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
            "key": "bmFzYmVuY2gyMDEgfG5vbmV-MHwrfG5vbmV-MHxub25lfjF8K3xza2lwX2Nvbm5lY3R-MHxub25lfjF8bm9uZX4yfA",
            "expected_accuracy": 80.0 - rank,
            "interval": [70.0 - rank, 88.0],
            "parameters": 1000 * rank,
            "flops": 10_000 * rank,
            "cost": 10_000.0 * rank,
            "level": 80.0 - rank,
            "expected_seconds": 3.0,
            "latency_ms": None,
        }
        for rank in (1, 2, 3)
    ],
    "front": [],
    "cloud": [[5_000.0, 60.0], [50_000.0, 81.0]],
    "cost_unit": "FLOPs",
    "ranked": 3,
    "recipe": "tiny",
    "unlike": True,
    "reason": "Because.",
    "notes": [],
    "nearest": [{"name": "leaves", "source": "plants", "distance": 0.25}],
    "device": None,
}
PIPELINES: dict[str, Any] = {
    "choices": [
        {
            "pipeline": name,
            "expected_accuracy": expected,
            "interval": [expected - 9.0, expected + 6.0],
            "seconds": seconds,
            "measured": name.startswith("hog"),
            "parameters": 250_000,
            "megabytes": 1.0,
            "flops": 9_000_000,
            "latency_ms": latency,
        }
        for name, expected, seconds, latency in (
            ("own 48px half rate0.03 whole", 81.0, 60.0, 4.0),
            ("own 32px half rate0.03 slim", 80.5, 60.0, 1.5),
            ("hog 64px", 40.0, 2.0, 0.5),
        )
    ],
    "front": ["hog 64px", "own 32px half rate0.03 slim", "own 48px half rate0.03 whole"],
    "knee": "own 32px half rate0.03 slim",
    "equal": "own 32px half rate0.03 slim",
    "cloud": [[5.0, 60.0], [6.0, 61.0]],
    "ranked": 5,
    "seconds": 60.0,
    "reason": "Because.",
    "seed": 0,
    "notes": [],
}


def pictures(*, classes: int = 3, each: int = 8, px: int = 12, seed: int = 0) -> dict[str, bytes]:
    """PNG files in class folders, each class of another brightness."""
    rng = np.random.default_rng(seed)
    made = {}
    for label in range(classes):
        for number in range(each):
            pixels = rng.integers(0, 80, (px, px, 3)) + 60 * label
            made[f"set/class{label}/{number}.png"] = png(pixels.astype(np.uint8))
    return made


def png(pixels: np.ndarray) -> bytes:
    """An image file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def settings_in(folder: Path, **changes: Any) -> Settings:
    """A service whose files are all in a folder, without MLflow."""
    limits = Allowances(
        upload_bytes=2**20, upload_files=500, unpacked_bytes=2**22, reading_seconds=20, uploads_a_minute=1000
    )
    made = Settings(
        database=str(folder / "database.db"),
        folder=folder / "service",
        runs=folder / "runs",
        tracking=False,
        limits=limits,
    )
    return replace(made, **changes)


def answering_at_once(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Puts made-up answers in the place of the helper processes."""
    asked: list[dict[str, Any]] = []

    async def call(self: Helper, question: str, **arguments: Any) -> Any:
        if question == "recommend":
            asked.append(arguments)
            return PIPELINES if arguments["options"]["space"] == "pipeline" else CELLS
        return True

    monkeypatch.setattr(Helper, "call", call)
    return asked


def reading_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound uploads are understood in this process, a second sooner; what fails is told by one of its own."""
    really = receiving.understand

    async def understand(
        draft: Path, file: str, *, name: str, limits: Allowances, groups: str = "auto"
    ) -> dict[str, Any]:
        most = {"max_files": limits.upload_files, "max_bytes": limits.unpacked_bytes}
        try:
            return await asyncio.to_thread(reading.read, draft, file, name=name, groups=groups, **most)
        except UserError:
            return await really(draft, file, name=name, limits=limits, groups=groups)

    monkeypatch.setattr(receiving, "understand", understand)


def asking(settings: Settings) -> TestClient:
    """A client of a service."""
    return TestClient(create_app(settings), base_url="http://localhost:8000", raise_server_exceptions=False)


def send(client: TestClient, content: bytes | None = None, **more: Any) -> dict[str, Any]:
    """Uploads a dataset, which must succeed."""
    body = zipped(pictures()) if content is None else content
    answer = client.post("/v1/datasets", files={"file": ("leaves.zip", body)}, **more)
    assert answer.status_code in (200, 201), answer.text
    told: dict[str, Any] = answer.json()
    return told


def refused(answer: Any, *statuses: int) -> str:
    """The sentence of a problem with one of these statuses."""
    assert answer.status_code in statuses, f"{answer.status_code}: {answer.text[:300]}"
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code and "\n" not in told["detail"] and told["detail"]
    return str(told["detail"])
