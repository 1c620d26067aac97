"""What the pages show of jobs and models in cases that are rare."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from service_world import send
from starlette.testclient import TestClient

from databases.architectures.spaces.pipeline import Pipeline
from metad2a.service import jobs, pipelines
from metad2a.service.drawings import front_svg, network_svg
from metad2a.service.library import Workplace
from metad2a.service.state import Service
from metad2a.train.loop import Epoch


def answer(*points: tuple[float, float]) -> dict[str, Any]:
    """Networks of these costs and accuracies, all of them along the front."""
    found = [{"title": "a", "cost": cost, "level": level, "expected_accuracy": level} for cost, level in points]
    return {"candidates": found, "front": found}


def test_one_network_makes_no_picture_and_equal_ones_have_a_scale() -> None:
    assert front_svg(answer((5.0, 70.0))) == ""
    for level in (0.0, 70.0):
        shown = front_svg(answer((5.0, level), (9.0, level)))
        ticks = re.findall(r'text-anchor="end">([-\d.e]+)<', shown)
        assert len(ticks) == len(set(ticks)) >= 3, ticks


def test_the_page_of_very_many_classes_tells_how_well_each_is_known(client: TestClient) -> None:
    count = 70
    key = client.post("/v1/searches", json={"dataset": send(client)["id"]}).json()["id"]
    result = {
        "classes": [f"kind {number}" for number in range(count)],
        "per_class": [{"images": 4, "right": number % 5} for number in range(count)],
        "confusion": None,
        "judged_part": "test",
        "judged_on": 4 * count,
        "trained": [],
        **dict.fromkeys(("test_accuracy", "valid_accuracy"), 50.0),
        **dict.fromkeys(("parameters", "flops"), 1000),
        **{"seconds": 9.0, "notes": [], "architecture": "a", "title": "a", "recipe": "pipeline"},
    }
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    assert jobs.begin(service.database, key, "somebody") is not None
    assert jobs.end(service.database, key, "somebody", state="succeeded", result=result)
    shown = client.get(f"/models/{key}").text
    row = r'<th scope="row">kind 69</th><td class="number">4</td><td class="number">100.0%</td>'
    assert re.search(row, shown) and "Confusion matrix" not in shown


def test_the_list_of_jobs_tells_what_each_was_told(client: TestClient) -> None:
    key = send(client)["id"]
    client.post("/v1/searches", json={"dataset": key, "seconds": 30})
    assert "networks" not in client.get("/jobs").text, "a search of pipelines is told of time alone"
    client.post("/v1/searches", json={"dataset": key, "train": 1})
    assert re.search("small, 1 network<", client.get("/jobs").text)
    client.post("/v1/retrainings", json={})
    assert client.get("/jobs").status_code == 200


def test_a_search_tells_the_points_of_its_curves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def search(task: Any, *, on_epoch: Any, **named: Any) -> None:
        on_epoch(Pipeline("own", 48, "half", 0.03), Epoch(1, 0.75, 3, 0.25, 2.0))

    monkeypatch.setattr("metad2a.search.pipelines.search.search_pipelines", search)
    told: list[tuple[str, dict[str, Any]]] = []
    place = Workplace(cast(Any, None), tmp_path, tmp_path, cast(Any, None), time.monotonic())
    options = {"seconds": 9.0, "augment": "auto", "seed": 0}
    task = cast(Any, SimpleNamespace(channels=3))
    pipelines.search(task, options, place, lambda event, data: told.append((event, data)))
    ((event, data),) = told
    assert event == "curve" and data.items() >= {"progress": 0.25, "loss": 0.75}.items()
    assert data["title"] == str(Pipeline("own", 48, "half", 0.03)) and "25%, loss 0.750" in data["text"]


@pytest.mark.parametrize(
    ("pipeline", "said", "bars", "learn"),
    [
        ("own 48px all rate0.1 slim", "own: 8 blocks, half of their channels; all of it learns", 8, 8),
        ("own 32px half rate0.03 whole", "own: 8 blocks; its second half learns", 8, 4),
        ("own 32px all rate0.03 slim-short", "own: 4 blocks, half of their channels; all of it learns", 4, 4),
        ("lite0 64px probe whole", "lite0: 16 blocks; its linear layer learns", 16, 0),
        ("hog 64px", "hog: no network; its linear layer learns", 0, 0),
        ("scratch 32px rate0.1 whole", "scratch: 8 blocks; all of it learns", 8, 8),
        ("other 64px probe", "other: no network; its linear layer learns", 0, 0),
    ],
)
def test_a_pipeline_is_drawn_by_the_blocks_it_keeps_and_trains(pipeline: str, said: str, bars: int, learn: int) -> None:
    drawn = network_svg(pipeline)
    assert said in drawn and drawn.count("<rect") == bars
    assert drawn.count('class="learns"') == learn + 1  # the linear layer
