"""Looking at many pictures: a sample is decoded, what is told of it holds for all, and it is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_world import FakeModel, run
from made_up import meta_model
from PIL import Image
from pipeline_world import random_base, stripes

from databases.datasets import loading
from databases.datasets.backbone import WIDTHS
from databases.datasets.decoding import decode_run
from databases.datasets.loading import load_task
from databases.datasets.task import TRAIN
from metad2a.recommend import pipelines
from metad2a.recommend.chances import Chance, MeasuredProbe, chances
from metad2a.service import library

pytestmark = pytest.mark.usefixtures("home")


def write(path: Path, *, count: int = 40) -> Path:
    """Two class folders with so many pictures in all."""
    rng = np.random.default_rng(0)
    for index in range(count):
        place = path / f"class{index % 2}" / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)).save(place)
    return path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each reading decodes; 20 are enough to look at."""
    seen, really = list[int](), decode_run

    def spied(contents: Any, start: int, pixels: Any, deep: Any) -> Any:
        seen.append(len(pixels))
        return really(contents, start, pixels, deep)

    monkeypatch.setattr("databases.datasets.pictures.decode_run", spied)
    monkeypatch.setattr(loading, "ENOUGH", 20)
    return seen


@pytest.fixture
def small_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny random network in place of our weights, and no other."""
    monkeypatch.setattr("metad2a.train.pipeline.open_base", lambda name, **given: random_base(given["channels"]))
    monkeypatch.setattr("metad2a.recommend.looking.installed", lambda: {"own": True})


def test_looking_decodes_enough_and_knows_how_many_training_takes(tmp_path: Path, decoded: list[int]) -> None:
    bare, parted = write(tmp_path / "bare"), tmp_path / "parted"
    for name, count in (("train", 30), ("test", 10)):
        write(parted / name, count=count)
    for folder in (bare, parted):
        whole, looked = load_task(folder), load_task(folder, looking=True)
        assert (
            decoded[-2] == 40
            and decoded[-1] <= 20
            and looked.notes[0].startswith(f"looked at {decoded[-1]} of 40 pictures")
        )
        assert looked.train_images == whole.train_images == (whole.parts == TRAIN).sum() > (looked.parts == TRAIN).sum()
        assert looked.fingerprint != whole.fingerprint and "the fingerprint is that of the sample" in looked.notes[0]
        assert whole.train_in_all is None and not any("looked at" in note for note in whole.notes)


def test_few_pictures_are_the_same_task_as_in_a_search(tmp_path: Path, decoded: list[int]) -> None:
    folder = write(tmp_path, count=20)
    assert load_task(folder, looking=True).fingerprint == load_task(folder).fingerprint


def test_whoever_recommends_looks_at_a_sample(
    tmp_path: Path, home: Path, model: FakeModel, small_base: None, decoded: list[int]
) -> None:
    folder = write(tmp_path / "data")
    for space in ("pipeline", "nasbench201"):
        told = run("recommend", str(folder), "--space", space)
        assert told.exit_code == 0, told.output
    assert meta_model(WIDTHS[-1]).recommend(folder, top=1).notes[0].startswith("looked at 20 of 40 pictures")
    library.load_data(str(folder), "mine")
    assert decoded == [20] * 4


def test_what_is_expected_of_a_sample_is_expected_of_training_with_all(
    small_base: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on, really = set[int](), chances

    def spied(measured: list[MeasuredProbe], *, images: int, **given: Any) -> list[Chance]:
        trained_on.add(images)
        return really(measured, images=images, **given)

    monkeypatch.setattr(pipelines, "chances", spied)
    task = replace(stripes(90), train_in_all=7_000)
    pipelines.recommend_pipelines(task, seconds=60)
    assert trained_on == {7_000} and task.statistics()["train_images"] == 7_000
