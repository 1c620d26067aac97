"""What others wrote is never replaced: refused before any work is done, and left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_world import FakeModel, data_fixture, home_fixture, model_fixture, run  # noqa: F401
from records_world import says

from databases.errors import UserError, unknown
from metad2a.export.onnx import ONNX, check_onnx
from metad2a.reports.pipeline_figures import MISTAKES
from metad2a.runtime.files import LEDGER, ours, refuse_foreign, write_folder
from metad2a.runtime.mlflow_models import check_replaceable

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


def test_a_list_of_others_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_bytes(b"\xff\xfe nothing\n")
    (tmp_path / "x").write_text(MINE)
    with pytest.raises(UserError):
        refuse_foreign(tmp_path, ["x"])
    (tmp_path / LEDGER).write_text(f"{'0' * 64} ../x\n")
    assert ours(tmp_path) == set()


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


def test_exports_in_other_forms_refuse_before_any_work(tmp_path: Path) -> None:
    (tmp_path / ONNX).write_text(MINE)
    (tmp_path / "mlflow").mkdir()
    with pytest.raises(UserError, match="was not written by metad2a"):
        check_onnx(tmp_path)
    with pytest.raises(UserError, match="no MLflow model"):
        check_replaceable(tmp_path / "mlflow")
    (tmp_path / ONNX).write_bytes(b"pytorch ... fingerprint")
    check_onnx(tmp_path)


def test_predictions_replace_predictions_alone(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,class\na.png,cat\n")
    result = run("predict", "no-such-run", str(tmp_path), "--output", str(tmp_path / "labels.csv"))
    assert result.exit_code == 2 and "no CSV of predictions" in result.stderr
    (tmp_path / "labels.csv").write_text("file,class,probability\n")
    assert "unknown run" in run("predict", "no-such-run", ".", "--output", str(tmp_path / "labels.csv")).stderr


def test_a_name_that_is_nearly_known_is_answered_with_it() -> None:
    assert str(unknown("device", "rasp4", ["pixel2", "raspi4"], more=", or none")) == (
        "unknown device 'rasp4': did you mean raspi4? choose one of pixel2, raspi4, or none"
    )
    assert "did you mean" not in str(unknown("device", "toaster", ["pixel2", "raspi4"]))
    told = run("search", "nowhere", "--space", "nasbench20").stderr
    assert "did you mean nasbench201? choose one of nasbench201" in told
