"""What commands print can be believed, given again and read by a program."""

from __future__ import annotations

import csv
import json
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_world import run
from pipeline_world import stripes

from metad2a.cli import pipeline
from metad2a.recommend import pipelines
from metad2a.reports.words import percent
from metad2a.search import predict
from metad2a.search.predict import Predicted


@pytest.mark.parametrize("output", [False, True])
def test_predict_writes_its_file_also_beside_json_whose_numbers_are_numbers(
    output: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Predicted("a.png", "1.0", 0.75), Predicted("b,.png", '=x","', 1.0)]
    monkeypatch.setattr(predict, "open_network", lambda name: name)
    monkeypatch.setattr(predict, "predictions", lambda network, images, **told: iter(found))
    file = tmp_path / "new" / "found.csv"
    text = run("predict", "toy", "x.png", *(["--output", str(file)] if output else []), "--json").stdout
    told = json.loads(text)["predictions"]
    assert [(each["file"], each["class"], each["probability"]) for each in told] == [
        (each.file, each.name, each.probability) for each in found
    ]
    if output:
        rows = list(csv.DictReader(StringIO(file.read_text())))
        assert [(row["file"], row["class"]) for row in rows] == [(each.file, each.name) for each in found]
    else:
        assert not file.parent.exists()


@pytest.mark.parametrize("unknown", [None, float("nan"), np.float32("nan")])
def test_what_is_not_known_is_a_dash(unknown: float | None) -> None:
    assert percent(unknown) == "-" and percent(87.26) == "87.3%"


@pytest.mark.parametrize(
    "given",
    [
        "--budget 1m30s --max-params 2M",
        "--budget 0.4s",
        "--budget 90.5s --max-flops 1.5M --max-latency 15ms --seed 3 --groups prefix",
        "",
    ],
)
def test_the_next_command_asks_for_the_same_and_is_understood(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    class Asked(Exception):
        """What is searched is known."""

    def searched(data: str, options: pipeline.SearchOptions, **more: Any) -> None:
        asked.append({"data": data, "most": options.most, "groups": options.groups, **more})
        raise Asked

    def recommended(*data: Any, seconds: float, limits: Any, seed: int, **more: Any) -> None:
        asked.append({"seconds": seconds, "limits": limits, "seed": seed})

    shown: list[str] = []
    monkeypatch.setattr(pipeline, "_show", lambda answer, data, top, asked: shown.append(pipeline.after(data, asked)))
    monkeypatch.setattr("databases.datasets.loading.load_task", lambda data, **more: stripes(30))
    monkeypatch.setattr(pipelines, "recommend_pipelines", recommended)
    monkeypatch.setattr(pipeline, "search", searched)
    assert run("recommend", "my images", *given.split()).exit_code == 0
    program, *words = shlex.split(shown[0])
    assert program == "metad2a" and isinstance(run(*words).exception, Asked)
    before, later = asked
    assert later["data"] == "my images" and (later["seconds"], later["seed"]) == (before["seconds"], before["seed"])
    limits = before["limits"]
    assert later["most"] == (limits.params, limits.flops, limits.latency)
    assert later["groups"] == ("prefix" if "prefix" in given else "auto")
