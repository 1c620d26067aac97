"""What others wrote is never replaced: refused before any work is done, and left as it was."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from cli_world import FakeModel, run
from records_world import says

from databases.errors import UserError, unknown
from metad2a.export.onnx import ONNX
from metad2a.reports.pipeline_figures import MISTAKES
from metad2a.runtime.files import LEDGER, ours, refuse_foreign, replace_results, write_folder

pytestmark = pytest.mark.usefixtures("home")

MINE = "mine, and of nobody else"


def put(folder: Path, text: str, *names: str) -> None:
    """Writes results of that text."""

    def write(beside: Path) -> list[str]:
        for name in names:
            (beside / name).write_text(text)
        return list(names)

    write_folder(folder, write)


def test_results_replace_earlier_results_alone(tmp_path: Path) -> None:
    folder = tmp_path / "answer"
    put(folder, "first", "a.svg", "a.json")
    put(folder, "second", "a.json")
    assert (folder / "a.json").read_text() == "second" and ours(folder) == {"a.svg", "a.json"}
    (folder / "a.svg").write_text(MINE)
    (folder / "b.svg").symlink_to(folder / "a.svg")
    for name in ("a.svg", "b.svg"):
        with pytest.raises(UserError) as error:
            put(folder, "third", "a.json", name)
        assert "was changed since" in says(error) and name in says(error)
    assert (folder / "a.svg").read_text() == MINE and (folder / "a.json").read_text() == "second"


def test_a_list_of_others_is_neither_believed_nor_changed(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(MINE)
    digest = hashlib.sha256(MINE.encode()).hexdigest()
    for text in (b"\xff\xfe nothing\n", f'{digest} "x"\n'.encode()):
        (tmp_path / LEDGER).write_bytes(text)
        with pytest.raises(UserError):
            refuse_foreign(tmp_path, ["x"])
        with pytest.raises(UserError, match="the name of our list"):
            put(tmp_path, "new", "y")
        assert (tmp_path / LEDGER).read_bytes() == text and not (tmp_path / "y").exists()
    (tmp_path / LEDGER).unlink()
    put(tmp_path, "new", "y")
    listed = (tmp_path / LEDGER).read_text()
    (tmp_path / LEDGER).write_text(f'{listed}{digest} "../x"\n{digest} "x"{digest[:9]}')
    assert ours(tmp_path) == {"y"}


def test_names_that_no_line_holds_are_known_again(tmp_path: Path) -> None:
    for name in ("a b", "two\nlines", os.fsdecode(b"\xff.csv"), "\u69f2"):
        put(tmp_path, "first", name)
        put(tmp_path, "second", name)
        assert (tmp_path / name).read_text() == "second" and name in ours(tmp_path)


def test_two_commands_that_begin_a_list_at_once_lose_none(tmp_path: Path) -> None:
    listed = []
    for name in ("a", "b"):
        put(tmp_path, "first", name)
        listed.append((tmp_path / LEDGER).read_text())
        (tmp_path / LEDGER).unlink()
    (tmp_path / LEDGER).write_text("".join(listed))
    assert ours(tmp_path) == {"a", "b"}


def test_a_killed_command_owns_what_it_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "first", "a")

    class Killed(BaseException):
        pass

    def killed(*given: object) -> None:
        raise Killed

    for move in (killed, os.replace):
        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(os, "replace", move)
            put(tmp_path, "second", "a")
        assert ours(tmp_path) == {"a"}
    assert (tmp_path / "a").read_text() == "second"


def test_an_empty_file_and_a_changed_folder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    put(tmp_path, "first", "a")
    for folder in ("one", "two"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "file").write_text(folder)
    with pytest.raises(UserError, match="was not written by"):
        replace_results(tmp_path / "one", tmp_path / "two")
    replace_results(tmp_path / "one", tmp_path / "model")
    (tmp_path / "model" / "__pycache__").mkdir()
    (tmp_path / "model" / "__pycache__" / "code.pyc").touch()
    assert "model" in ours(tmp_path)
    (tmp_path / "model" / "notes").write_text(MINE)
    assert "model" not in ours(tmp_path)


def test_the_list_lies_beside_the_home_folder(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / ".metad2a"))
    (tmp_path / ".metad2a").mkdir()
    put(tmp_path, "first", "a")
    put(tmp_path, "second", "a")
    assert (tmp_path / "a").read_text() == "second"


def test_what_stands_in_the_home_folder_is_ours(home: Path) -> None:
    (home / "runs" / "one").mkdir(parents=True)
    (home / "runs" / "one" / MISTAKES).write_text("of an older version")
    put(home / "runs" / "one", "new", MISTAKES)
    assert (home / "runs" / "one" / MISTAKES).read_text() == "new"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("recommend DATA --space nasbench201", "overview.svg"),
        ("recommend DATA", "front.svg"),
        ("search DATA", "model.py"),
        ("search DATA", MISTAKES),
        ("search DATA --space nasbench201", "model.safetensors"),
        ("reproduce naswot --fast", "report.json"),
        ("evaluate --fast", "evaluation-fast.json"),
    ],
)
def test_commands_refuse_before_any_work(model: FakeModel, tmp_path: Path, command: str, name: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text(MINE)
    words = command.replace("DATA", "nowhere").split()  # what is not there would be refused next
    result = run(*words, "--output", str(folder))
    assert result.exit_code == 2 and name in result.stderr and "was not written by" in result.stderr
    assert (folder / name).read_text() == MINE and [each.name for each in folder.iterdir()] == [name]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("export no-such-run --output FOLDER", "model.py"),
        ("export no-such-run --output FOLDER --format onnx", ONNX),
        ("export no-such-run --output FOLDER --format mlflow", "mlflow"),
        ("predict no-such-run . --output FILE", "labels.csv"),
        ("retrain --output FILE", "notes.txt"),
        ("pretrain nowhere --output FILE", "notes.txt"),
        ("database export FILE", "notes.txt"),
        ("device calibrate mine --timings nowhere --ranking FILE", "notes.txt"),
    ],
)
def test_commands_that_write_one_file_refuse_before_any_work(
    home: Path, tmp_path: Path, command: str, name: str
) -> None:
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / name
    file.write_text(MINE)
    places = {"FILE": str(file), "FOLDER": str(file.parent)}
    result = run(*(places.get(each, each) for each in command.split()))
    assert result.exit_code == 2 and "was not written by" in result.stderr, result.output
    assert file.read_text() == MINE and [each.name for each in file.parent.iterdir()] == [name]


def test_a_form_whose_packages_are_missing_is_refused_before_anything_is_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    result = run("export", "no-such-run", "--output", str(tmp_path / "out"), "--format", "onnx")
    assert result.exit_code == 2 and "ONNX needs the package onnxscript" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_file_of_records_is_replaced_by_another(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "records.csv.gz"
    for _ in range(2):
        assert run("database", "export", str(file)).exit_code == 0
        assert sorted(each.name for each in tmp_path.iterdir() if each != home) == [LEDGER, "records.csv.gz"]
    file.write_text(MINE)
    assert run("database", "export", str(file)).exit_code == 2 and file.read_text() == MINE


def test_a_name_that_is_nearly_known_is_answered_with_it() -> None:
    assert str(unknown("device", "rasp4", ["pixel2", "raspi4"], more=", or none")) == (
        "unknown device 'rasp4': did you mean raspi4? choose one of pixel2, raspi4, or none"
    )
    assert "did you mean" not in str(unknown("device", "toaster", ["pixel2", "raspi4"]))
    told = run("search", "nowhere", "--space", "nasbench20").stderr
    assert "did you mean nasbench201? choose one of pipeline, nasbench201" in told
    told = run("recommend", "nowhere", "--space", "pipelin").stderr
    assert "did you mean pipeline? choose one of pipeline, nasbench201\n" in told
    assert "did you mean pipeline?" in run("search", "nowhere", "--space", "pipelne").stderr
    assert "did you mean residual-subnets?" in run("database", "build", "--space", "residul-subnets").stderr
