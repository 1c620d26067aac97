"""Where commands write to, and what an empty word means there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_world import run
from PIL import Image
from test_cli_mistakes import refused

from databases.errors import UserError
from metad2a.runtime.home import home_path, shared_data

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    """Two classes of two pictures."""
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for shade in (9, 90):
            Image.new("L", (8, 8), shade).save(tmp_path / "data" / name / f"{shade}.png")
    return tmp_path / "data"


@pytest.mark.parametrize("command", ["search", "recommend", "train", "search --space nasbench201"])
@pytest.mark.parametrize("place", [".", "answer", "a", "b/deeper", "../link/answer"])
def test_nothing_is_written_into_the_images(command: str, place: str, folder: Path, home: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    more = ["--architecture", "x"] if command == "train" else []
    before = sorted(folder.rglob("*"))
    told = refused(run(*command.split(), str(folder), *more, "--output", str(folder / place)))
    if command != "train":  # which reads its architecture first
        assert "lies in the folder of the images" in told
    assert sorted(folder.rglob("*")) == before


def test_predictions_among_the_images_may_not_be_called_as_what_a_search_reads(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    for place in ("labels.csv", "a/Labels.CSV", "../link/labels.csv", "b/found.png", "found.heic"):
        told = refused(
            run("predict", "none", str(folder / "a" / "9.png"), str(folder), "--output", str(folder / place))
        )
        assert "lies in the folder of the images" in told and ("labels" in told) == ("abels" in place)
    for place in ("found.csv", "a/found.csv", ".found/labels.csv", "../labels.csv", "../found.png"):
        assert "unknown run" in refused(run("predict", "none", str(folder), "--output", str(folder / place)))


def test_a_home_within_the_images_is_refused_unless_it_is_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(folder / "home"))
    assert "METAD2A_HOME" in refused(run("search", str(folder), "--budget", "1s"))
    monkeypatch.setenv("METAD2A_HOME", str(folder / ".home"))
    assert "lies in the folder" not in run("search", str(folder), "--budget", "1s").stderr


@pytest.mark.parametrize(
    "line",
    [
        "search ~nobody-here/x --budget 1s",
        "search DATA --output ~nobody-here/x",
        "search DATA --groups ~nobody-here/x",
        "serve --database ~nobody-here/x",
        "database info --database ~nobody-here/x",
        "database export ~nobody-here/x",
        "database import table ~nobody-here/x",
    ],
)
def test_the_home_of_no_user_is_told_in_one_line(line: str, folder: Path) -> None:
    told = refused(run(*line.replace("DATA", str(folder)).split()))
    assert "~nobody-here/x', where '~nobody-here' is the home folder of no user" in told


@pytest.mark.parametrize("variable", ["METAD2A_HOME", "METAD2A_SHARED"])
def test_a_variable_with_the_home_of_no_user_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "~nobody-here/x")
    with pytest.raises(UserError, match=f"given {variable} '~nobody-here/x', where"):
        home_path() if variable == "METAD2A_HOME" else shared_data()


def test_links_that_lead_in_a_circle_are_told_in_one_line(folder: Path) -> None:
    (loop := folder.parent / "loop").symlink_to(loop)
    refused(run("search", str(folder), "--output", str(loop), "--budget", "1s"))
    refused(run("search", str(loop), "--budget", "1s"))


@pytest.mark.parametrize(
    "line",
    [
        "predict RUN EMPTY",
        "predict EMPTY IMAGES",
        "search DATA --output EMPTY",
        "search DATA --output=",
        "recommend EMPTY",
        "export RUN --output EMPTY",
        "--database EMPTY info",
        "runs EMPTY",
    ],
)
def test_an_empty_word_is_no_folder(
    line: str, data: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["" if word == "EMPTY" else data if word == "DATA" else word for word in line.split()]
    assert "given an empty text" in refused(run(*words))
    assert not (tmp_path / "model.py").exists()


def test_a_name_that_the_registry_would_not_take_is_refused_before_anything_is_written(home: Path) -> None:
    told = refused(run("export", "none", "--format", "mlflow", "--register", "a/b", "--output", str(home / "new")))
    assert "--register 'a/b'" in told and not (home / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["0", "5", "20", "-3", "x", ""])
def test_a_narrow_or_odd_width_hides_nothing(columns: str, home: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "metad2a", "device", "list"],
        env={**os.environ, "COLUMNS": columns},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0 and "raspi4" in told.stdout and "1080ti" in told.stdout.lower(), told


@pytest.mark.slow
def test_a_closed_stream_is_no_mistake_of_ours(home: Path) -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        ended = subprocess.run(
            ["sh", "-c", f"'{sys.executable}' -m metad2a device list {closed}"], capture_output=True, text=True
        )
        assert ended.returncode == 0 and "Traceback" not in ended.stderr
