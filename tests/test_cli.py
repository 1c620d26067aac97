"""The command line: help, JSON, and words for people."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_world import CELLS, OF_CELLS, FakeModel, answer, run
from PIL import Image

from databases.architectures.space import space
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.build import build, shipped
from metad2a.build.build import Built
from metad2a.cli import demo
from metad2a.cli.options import duration, shown
from metad2a.evaluate import evaluation
from metad2a.export.export import load_exported
from metad2a.generate.generator import Generator, GeneratorConfig
from metad2a.recommend.amounts import amount
from metad2a.recommend.limits import Limits
from metad2a.retrain import retrain
from metad2a.runtime.home import home
from metad2a.runtime.place import Place

pytestmark = pytest.mark.usefixtures("home")


def test_recommend_answers_the_contract_and_writes_nothing(model: FakeModel, data: str, home: Path) -> None:
    value = answer("recommend", data, *OF_CELLS)
    assert {"recipe", "nearest", "unlike", "seed", "fingerprint", "weights", "versions"} <= value.keys()
    first = value["candidates"][0]
    assert first["architecture"] == CELLS[0] and first["origin"] == "generator"
    assert (first["expected_accuracy"], first["interval"]) == (90.0, [85.0, 93.0])
    assert (first["parameters"], first["flops"]) == (12_345, 1_500_000)
    assert value["unlike"] is True and value["nearest"][0]["distance"] == 0.25
    assert not home.exists()


def test_recommend_hands_every_option_on(model: FakeModel, data: str) -> None:
    options = "--top all --max-params 300k --max-flops 1.5M --seed 7 --images-per-class 3 --candidates all"
    run("recommend", data, *OF_CELLS, *options.split(), "--recipe", "small")
    wanted = {"top": None, "limits": Limits(params=300_000, flops=1_500_000), "seed": 7, "images_per_class": 3}
    assert {**wanted, "candidates": "all", "recipe": "small"}.items() <= model.asked.items()


def test_recommend_and_search_keep_named_groups_together(model: FakeModel, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 9, 9), dtype=np.uint8)
    for index, image in enumerate(noise):
        place = tmp_path / "images" / "ab"[index % 2] / f"track{index // 4}_{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    run("recommend", str(tmp_path / "images"), *OF_CELLS, "--groups", "prefix")
    grouped = model.asked["data"]
    assert grouped.groups is not None and len(set(grouped.groups.tolist())) == 10
    assert "40 images in 10 groups" in grouped.notes[-1]
    told = run(
        "search", str(tmp_path / "images"), *OF_CELLS, "--groups", "prefix", "--recipe", "quick", "--no-tracking"
    )
    assert "40 images in 10 groups" in told.stderr


def test_recommend_tells_people_everything(model: FakeModel, data: str) -> None:
    text = run("recommend", data, *OF_CELLS).stdout
    told = ["90.0%", "85.0 to 93.0", "12.3k", "1.5M", "generator", "Because."]
    told.append(space("nasbench201").brief(space("nasbench201").parse(CELLS[2])))
    told += ["leaves [red] (0.25)", "2 images were skipped", "unlike all that was learnt", "8 channels"]
    assert [each for each in told if each not in text] == []
    assert max(map(len, text.splitlines())) <= 110


def test_an_unknown_level_is_null_and_a_dash(model: FakeModel, data: str) -> None:
    model.level_known = False
    first = answer("recommend", data, *OF_CELLS)["candidates"][0]
    assert first["expected_accuracy"] is None and first["interval"] is None
    assert "%" not in run("recommend", data, *OF_CELLS).stdout.splitlines()[4]


def test_recommend_writes_its_files_where_it_is_told(model: FakeModel, data: str, tmp_path: Path) -> None:
    value = answer("recommend", data, *OF_CELLS, "--output", str(tmp_path / "out"))
    written = json.loads((tmp_path / "out" / "recommendation.json").read_text())
    assert written == value and (tmp_path / "out" / "cell-1.svg").exists()
    told = run("recommend", data, *OF_CELLS, "--output", str(tmp_path / "out")).stderr
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert f"Written to {tmp_path / 'out'}: cell-1.svg to cell-3.svg, overview.svg" in told
    assert all(name in told for name in names - {"cell-2.svg"})


def test_search_trains_exports_and_goes_on(model: FakeModel, data: str, tmp_path: Path, home: Path) -> None:
    command = ("--no-tracking", "search", data, *OF_CELLS, "--train", "2", "--recipe", "quick", "--on", "cpu")
    first = answer(*command, "--output", str(tmp_path / "mine"))
    assert [each["architecture"] for each in first["trained"]] == list(CELLS[:2])
    assert first["test_accuracy"] is not None and first["resumed"] == 0
    assert Path(first["weights"]) == tmp_path / "mine" / "model.safetensors"
    assert not (home / "mlflow.db").exists()
    listed = answer("runs")["runs"]
    assert [each["name"] for each in listed] == [first["run"]] and listed[0]["trained"] == 2
    assert listed[0]["valid_accuracy"] == first["valid_accuracy"] and first["run"][:20] in run("runs").stdout
    again = run(*command)
    assert "known from before" in again.stderr and first["run"] in again.stdout
    exported = answer("export", first["run"], "--output", str(tmp_path / "out"))
    assert load_exported(tmp_path / "out").card.architecture == exported["architecture"] == first["architecture"]
    assert answer("database", "info")["sources"][0]["records"] == 2
    ranked = answer(*command, "--searcher", "zero-shot", "--train-all")
    assert ranked["run"] != first["run"] and ranked["resumed"] == 0
    assert [each["valid_accuracy"] for each in ranked["trained"]] == [
        each["valid_accuracy"] for each in first["trained"]
    ]
    assert all(each["checks"] for each in (*ranked["trained"], *first["trained"]))


@pytest.mark.parametrize("searcher", ["generator", "warm-start"])
def test_search_begins_as_the_models_generator(
    searcher: str, model: FakeModel, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("--no-tracking", "search", data, *OF_CELLS, "--train", "2", "--recipe", "quick", "--on", "cpu")
    refused = run(*command, "--searcher", searcher)
    assert refused.exit_code == 2 and "error: given a model without a generator: choose another" in refused.stderr
    config = GeneratorConfig(features=192, width=8, latent=4, state=16, recipes=("quick",))
    monkeypatch.setattr(model, "generator", Generator(config), raising=False)
    found = answer(*command, "--searcher", searcher)
    assert len({each["architecture"] for each in found["trained"]}) == 2
    assert found["resumed"] == 0 and found["architecture"] in {each["architecture"] for each in found["trained"]}


def test_train_trains_the_given_cell(data: str) -> None:
    command = (
        "train",
        data,
        "--architecture",
        CELLS[1],
        "--recipe",
        "quick",
        "--no-tracking",
        "--budget",
        "5m",
    )
    value = answer(*command)
    assert value["architecture"] == CELLS[1] and value["complete"] and value["stopped_by"] == "trainings"


def test_records_go_out_and_in_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, file = str(tmp_path / "one.db"), str(tmp_path / "records.csv.gz")
    with Store(place) as store:
        store.add_task(TaskEntry("t", "a task"))
        store.add([Record("t", "nasbench201", CELLS[0], "tiny", 0, "own", 50.0)])
    assert answer("--database", place, "database", "export", file)["records"] == 1
    assert answer("database", "import", "records", file)["new"] == 1
    assert answer("database", "import", "records", file)["new"] == 0
    monkeypatch.setattr(shipped, "MEASUREMENTS", Path(file))
    assert answer("--database", str(tmp_path / "two.db"), "database", "import", "records")["new"] == 1
    info = answer("database", "info")
    assert info["tasks"] == 1 and info["sources"][0]["source"] == "own"
    assert "own" in run("database", "info", "--database", place).stdout


def test_build_is_told_what_to_measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def fake(store: Store, folder: Path, *, on_progress: Callable[[Built], None], **options: Any) -> Built:
        asked.update(options, folder=folder)
        on_progress(Built(1, 2, 0))
        return Built(1, 2, 0)

    monkeypatch.setattr(build, "build", fake)
    options = "--tasks 3 --per-task 4 --recipe small --workers 1 --judged 2 --seeds 5 --seed 6"
    assert answer("database", "build", *options.split()) == {"measured": 1, "known": 2, "left": 0}
    wanted = {"tasks": 3, "per_task": 4, "recipe": "small", "place": Place(), "judged": 2, "seeds": 5, "seed": 6}
    assert callable(asked.pop("on_death"))
    there = {"folder": tmp_path / "images", "cache": home() / "features"}
    assert asked == {**wanted, **there}
    assert "3 of 3 measured" in run("database", "build").stderr


def test_retrain_says_where_the_model_is(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    def fake(store: Store, *, output: Path, on_progress: Callable[[str], None], **_: Any) -> Any:
        on_progress("stage 1")
        header = {"held_out": {"tau": 0.5}, "tasks": {"tiny": 30}, "architectures": {"tiny": 400}, "seed": 0}
        return retrain.RetrainResult(output, "abc", header, 0.5)

    monkeypatch.setattr(retrain, "retrain", fake)
    value = answer("retrain")
    assert value["model"] == str(home / "meta.safetensors") and value["held_out"] == {"tau": 0.5}
    result = run("retrain")
    assert "stage 1" in result.stderr and "0.500" in result.stdout


def test_evaluate_gives_its_figures_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {
        "tau": {"ours": {"mean": 0.4, "low": 0.3, "high": float("nan"), "tasks": 9}},
        "tasks": [{"a": 1}],
    }
    monkeypatch.setattr(evaluation, "evaluate", lambda **options: {**figures, "final": options["final"]})
    assert answer("evaluate", "--final") == {
        "tau": {"ours": {"mean": 0.4, "low": 0.3, "high": None, "tasks": 9}},
        "tasks": [{"a": 1}],
        "final": True,
    }


def test_info_shows_versions_places_and_card(model: FakeModel, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@server")
    value = answer("info")
    assert value["home"] == str(home) and value["card"] == model.card and "torch" in value["versions"]
    assert value["tracking"] == "https://server"
    assert model.card not in run("info").stdout and model.card in run("info", "--card").stdout


def test_info_asks_for_no_home_that_can_be_written(model: FakeModel, home: Path) -> None:
    home.write_text("a file")
    assert answer("info")["home"] == str(home)


def test_the_demo_finds_a_network_beside_a_plain_one_and_uses_no_home(tmp_path: Path, home: Path) -> None:
    result = demo.demo(tmp_path / "out", seconds=1.0)
    card = load_exported(tmp_path / "out").card
    assert (card.space, card.test_accuracy) == ("pipeline", result.test_accuracy)
    assert result.rivals[0].name == "plain residual network from scratch" and not home.exists()
    assert f"against the best of the others ({max(result.rivals, key=lambda each: each.test_accuracy or 0).name})" in (
        demo.verdict(result, 360)
    )


def test_few_of_each_class_are_left_to_learn_from_and_none_is_lost() -> None:
    task = load_task("sklearn:digits")
    few = demo.few_of_each(task, 10)
    for part in (TRAIN, VALIDATION):
        assert np.bincount(few.labels[few.parts == part], minlength=10).tolist() == [10] * 10
    assert len(few.labels) == len(task.labels) and (few.parts[task.parts == TEST] == TEST).all()


@pytest.mark.parametrize(
    ("text", "wanted"), [("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("0.5h", 1800.0), (None, None)]
)
def test_durations_have_units(text: str | None, wanted: float | None) -> None:
    assert duration(text) == wanted


@pytest.mark.parametrize(("text", "wanted"), [("300k", 300_000), ("1.5M", 1_500_000), ("250000", 250_000)])
def test_amounts_may_be_short(text: str, wanted: int) -> None:
    assert amount(text, "--max-params") == wanted


def test_passwords_are_not_shown() -> None:
    assert "secret" not in shown("postgresql://me:secret@server/base")


def test_the_package_runs_as_the_program() -> None:
    found = subprocess.run([sys.executable, "-m", "metad2a", "--help"], capture_output=True, text=True, check=True)
    assert "Usage: metad2a " in found.stdout
