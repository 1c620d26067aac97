"""A budget counts reading too: it is refused early where it cannot read the images, and never charged twice."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import numpy as np
import pytest
from cli_world import OF_CELLS, FakeModel, answer, run
from PIL import Image
from records_world import says

from databases.datasets import archives, loading, pace, room
from databases.datasets.archives import Folder
from databases.datasets.features import extract
from databases.datasets.loading import load_task
from databases.datasets.room import Room
from databases.errors import UserError
from metad2a.cli import options
from metad2a.search.run_state import State, write_state
from metad2a.search.runs import RunFolder, run_name, runs_folder

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(name="pictures")
def pictures_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of 40 pictures, each of which takes a second to read by the clock of the pace."""
    clock = iter(range(10**6))
    monkeypatch.setattr(pace, "time", type("Clock", (), {"monotonic": staticmethod(lambda: float(next(clock)))}))
    rng = np.random.default_rng(0)
    for index in range(80):
        path = tmp_path / "pictures" / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(path)
    return tmp_path / "pictures"


def test_reading_that_cannot_end_in_time_is_refused_early_with_what_it_takes(pictures: Path) -> None:
    with pytest.raises(UserError) as error:
        load_task(pictures, deadline=40.0)
    assert "80 pictures: reading alone takes about" in says(error) and " s more" in says(error)
    assert pace.time.monotonic() < 40  # type: ignore[attr-defined]  # it was not waited for


def test_reading_that_ends_in_time_goes_on(pictures: Path) -> None:
    assert len(load_task(pictures, deadline=200.0).images) == len(load_task(pictures).images) == 80


def test_what_passes_before_the_first_picture_tells_nothing_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(pace, "time", type("Clock", (), {"monotonic": staticmethod(lambda: now)}))
    reading = pace.Pace(1000, deadline=40.0)
    now = 20.0  # processes were started
    reading.check(64, "x")
    now = 21.0
    reading.check(128, "x")  # of which the rest take 14 s
    now = 31.0
    with pytest.raises(UserError, match="reading alone takes about 55 s"):
        reading.check(264, "x")


@pytest.mark.parametrize("command", ["search --space nasbench201", "search", "train --architecture CELL"])
def test_each_command_with_a_budget_leaves_time_to_train(
    command: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "reading_ends", lambda seconds, again: seconds - 10.0)
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    words = [cell if word == "CELL" else word for word in command.split()]
    refused = run("--no-tracking", words[0], str(pictures), *words[1:], "--budget", "45s")
    assert refused.exit_code == 2 and "reading alone takes about" in refused.stderr


def test_time_is_kept_for_what_follows_reading() -> None:
    assert options.reading_ends(None) == math.inf
    assert options.reading_ends(30.0) < time.monotonic() + 30.0


def test_earlier_tries_are_charged_for_their_work_and_not_for_reading(tmp_path: Path) -> None:
    for reading in (100.0, 200.0):
        with RunFolder(tmp_path / "run", {"a": 1}, begin=time.monotonic() - reading) as run_folder:
            assert reading <= run_folder.spent < reading + 10
            assert round(run_folder.prepared) == reading


def test_ranking_that_cannot_end_in_time_is_refused_before_it_is_done() -> None:
    rng = np.random.default_rng(0)
    task = load_task((rng.integers(0, 255, (150, 8, 8), dtype=np.uint8), np.arange(150) % 3))
    begin = time.monotonic()
    with pytest.raises(UserError, match="over before the images are looked at and architectures are ranked"):
        extract(task, deadline=begin)
    assert extract(task, deadline=begin + 600).statistics.tolist() == extract(task).statistics.tolist()


def test_a_search_ranks_within_its_budget(model: FakeModel, data: str) -> None:
    begin = time.monotonic()
    assert run("search", data, *OF_CELLS, "--recipe", "quick", "--train", "1", "--budget", "99s").exit_code == 0
    assert begin < model.asked["deadline"] < time.monotonic() + 99
    assert run("search", data, *OF_CELLS, "--recipe", "quick", "--train", "1").exit_code == 0
    assert model.asked["deadline"] == math.inf


def test_a_finished_search_answers_under_a_budget_that_its_start_alone_takes(model: FakeModel, data: str) -> None:
    asked = ("search", data, *OF_CELLS, "--recipe", "quick", "--train", "1")
    first = answer(*asked, "--budget", "99s")
    again = answer(*asked, "--budget", "1s")
    assert model.asked["deadline"] == math.inf  # nobody is refused before what is there was looked at
    assert again == {**first, "resumed": 1}  # and takes none of the run's seconds
    np.savez(data, x=np.random.default_rng(1).integers(0, 255, (60, 8, 8, 1), dtype=np.uint8), y=np.arange(60) % 3)
    run(*asked, "--budget", "1s")
    assert model.asked["deadline"] < math.inf  # other images of that name


def test_reading_may_take_again_what_it_took_a_finished_run_of_that_name(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[float] = []

    def stop(data: str, *, deadline: float, **given: object) -> None:
        ends.append(deadline - time.monotonic())
        raise UserError("enough")

    monkeypatch.setattr(loading, "load_task", stop)
    (tmp_path / "other").mkdir()
    for name, took, tested in (("toy", 1e3, (0, 90.0)), ("toy-2", 1e6, (0, 90.0)), ("other", 2e3, None)):
        write_state(runs_folder() / run_name(name, "pipeline", {}), State({}, prepared=took, tested=tested))
    for path in (data, str(tmp_path / "other")):
        assert run("search", path, "--budget", "20s").stderr.endswith("enough\n")
    assert 1e3 < ends[0] < 1e6 and ends[1] <= 10


def with_clock(monkeypatch: pytest.MonkeyPatch, *, step: float) -> None:
    """Lets each look at the clock take so many seconds."""
    clock = itertools.count()
    monkeypatch.setattr(pace, "time", type("Clock", (), {"monotonic": staticmethod(lambda: step * next(clock))}))


@pytest.mark.parametrize("table", [False, True])
def test_two_copies_are_compared_in_time_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, table: bool
) -> None:
    for place in ("", "copy/"):
        for index in range(600):
            path = tmp_path / f"{place}class{index % 2}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{index}".encode())
        if table:
            rows = "\n".join(f"class{index % 2}/{index}.png,{index % 2}" for index in range(600))
            (tmp_path / place / "labels.csv").write_text(f"file,class\n{rows}\n")
    marked, mark = list[str](), Folder.mark

    def marking(self: Folder, name: str) -> str:
        marked.append(name)
        return mark(self, name)

    monkeypatch.setattr(Folder, "mark", marking)
    with_clock(monkeypatch, step=0.1)
    with pytest.raises(UserError, match=r"60\d pictures: comparing two copies of them alone takes about 6\d") as error:
        load_task(tmp_path, deadline=10.0)
    assert " s more" in says(error) and 0 < len(marked) < 400


def test_changes_are_looked_for_in_time_or_not_at_all(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BETWEEN", 1)
    with pytest.raises(UserError, match=r"80 pictures: looking for changes of them alone takes about 8[0-9] s"):
        load_task(pictures, deadline=30.0, room=Room(tmp_path / "room", held=0))


@pytest.mark.parametrize("deadline", [0.0, 12.0, math.inf])
def test_files_are_listed_in_time_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadline: float
) -> None:
    for index in range(200):
        path = tmp_path / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.setattr(archives, "CHECKED", 10)
    with_clock(monkeypatch, step=1.0)
    if deadline == math.inf:
        assert len(Folder(tmp_path).names) == 200
        return
    with pytest.raises(UserError, match=f"with {130 if deadline else 90} files or more: listing and sorting them took"):
        Folder(tmp_path, deadline=deadline)
