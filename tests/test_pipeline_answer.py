"""What `metad2a search` answers in the space of pipelines, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from pipeline_world import begin, long_searches, stripes

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import Task
from metad2a.cli.output import print_json
from metad2a.cli.pipeline_answer import MATRIX, NONE, plain, tell
from metad2a.search.pipelines.search import PipelineResult, search_pipelines
from metad2a.train.pipeline import Effort

SLOW = Pipeline("own", 32, "all", 0.03)


@pytest.fixture(autouse=True)
def efforts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Effort]:
    return long_searches(monkeypatch, tmp_path / "home")


def searched(task: Task) -> PipelineResult:
    return search_pipelines(task, seconds=500)


def test_the_answer_is_one_json_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    begin(monkeypatch, SLOW)
    result = searched(stripes(60))
    print_json(plain(result, result.exported, stripes(60)))
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == result.folder.name and told["architecture"] == str(SLOW)
    assert told["classes"] == ["level", "upright", "checks"]
    assert told["report"]["confusion"] == result.report.confusion.tolist()


def test_the_lines_that_are_told_use_the_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(monkeypatch, SLOW)
    task = stripes(60)
    result = searched(task)
    tell(result, result.exported, task)
    lines = [each.strip() for each in capsys.readouterr().out.splitlines()]
    Image.fromarray(task.images[0].squeeze()).save(tmp_path / "a.png")
    program = "; ".join(each.removeprefix(">>> ") for each in lines if each.startswith(">>> "))
    program = program.replace("PICTURE", str(tmp_path / "a.png")).replace("model.load()", "print(model.load()", 1) + ")"
    folder = next(each for each in lines if each.startswith("cd ")).removeprefix("cd ")
    for way in (["-c", program], ["model.py", str(tmp_path / "a.png")]):
        found = subprocess.run([sys.executable, *way], cwd=folder, capture_output=True, text=True, check=True)
        assert any(name in found.stdout for name in task.class_names)
    assert f"metad2a predict {result.folder.name} PICTURES" in lines


@pytest.mark.parametrize(("length", "fits"), [(5, True), (50, False)])
def test_the_confusion_matrix_is_told_where_it_fits(
    length: int, fits: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(monkeypatch, SLOW)
    names = tuple(f"{letter * length}" for letter in "abc")
    task = replace(stripes(60), class_names=names)
    result = searched(task)
    tell(result, result.exported, task)
    told = " ".join(capsys.readouterr().out.split())
    assert (MATRIX in told) == fits and "Test images by class" in told
    row = " ".join([names[1], *(str(each or NONE) for each in result.report.confusion[1])])
    assert (row in told) == fits
