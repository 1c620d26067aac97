"""A predictor stands in for the trainings: searchers are told its scores and judged by the test values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_world import answer, run
from made_up import WIDTH, Tiny, meta_model, task

from databases.architectures.space import SPACES, Architecture, finite_space
from databases.errors import UserError
from databases.records.benchmark_table import BenchmarkTable
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.compare import predicted_table
from metad2a.compare.comparison import Entry, compare
from metad2a.compare.predicted_table import PREDICTORS, predicted
from metad2a.recommend import model as recommend
from metad2a.runtime import tracking
from metad2a.search.controllers import meta_prediction
from metad2a.search.controllers.controller import Setting

pytestmark = pytest.mark.usefixtures("home")

CELLS = finite_space("nasbench201")
ALL = tuple(CELLS.enumerate())
TASK = "mine/whole"
TWO = [Entry("random", "random"), Entry("evolution", "evolution"), Entry("reinforce", "reinforce")]
WORDS = f"compare --table {TASK} --space tiny --recipe own --searchers evolution --budgets 3,12 --seeds 3 --workers 1"


@pytest.fixture(scope="module")
def table() -> BenchmarkTable:
    """Every 3x3 convolution is worth a point; validation is a noisy look at it."""
    truth = np.array([sum(choice == 3 for choice in each.walk) for each in ALL], dtype=np.float64)
    return BenchmarkTable(TASK, "own", ALL, truth + np.random.default_rng(0).normal(0, 0.2, len(truth)), truth)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's table of a small space, in which 1x1 convolutions, the only weights there, are bad."""
    monkeypatch.setitem(SPACES, "tiny", Tiny())
    place = str(tmp_path / "mine.db")
    with Store(place) as store:
        store.add_tasks([TaskEntry(TASK, "whole")])
        store.add(
            Record(TASK, "tiny", str(each), "own", 0, "user", valid_accuracy=20.0 - sum(each.walk))
            for each in Tiny().enumerate()
        )
    return place


def test_told_a_predictor_that_equals_the_table_a_searcher_does_as_well(
    table: BenchmarkTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(told: BenchmarkTable) -> list[list[float]]:
        found = compare(told, TWO, budgets=[40], seeds=2, workers=1).figures["searchers"]
        return [found[name]["budgets"]["40"]["test_of_seeds"] for name in ("evolution", "reinforce")]

    monkeypatch.setitem(PREDICTORS, "oracle", lambda table, setting: table.valid.copy())
    monkeypatch.setitem(PREDICTORS, "liar", lambda table, setting: -table.valid)
    measured = reached(table)
    assert reached(predicted(table, "oracle", Setting(TASK))) == measured
    misled = reached(predicted(table, "liar", Setting(TASK)))
    assert np.max(misled) < np.min(measured)


def test_only_what_searchers_are_told_is_predicted(table: BenchmarkTable) -> None:
    found = predicted(table, "parameters", Setting(TASK))
    assert found.predictor == "parameters" and found.test is table.test
    assert 0 <= found.valid.min() and found.valid.max() <= 100
    largest = [each.walk for each, told in zip(ALL, found.valid, strict=True) if told == found.valid.max()]
    assert largest == [(3,) * 6]
    few, many = CELLS.architecture((1,) * 6), CELLS.architecture((2,) * 6)
    assert np.diff(predicted(table, "flops", Setting(TASK))([few, many])) > 0


def test_a_published_score_is_told_as_its_percentile(table: BenchmarkTable, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {"naswot": -np.inf, "synflow": 1e48}
    monkeypatch.setattr(predicted_table, "published_scores", lambda data, task, score: {str(ALL[3]): scores[score]})
    assert predicted(table, "synflow", Setting(TASK))([ALL[3]])[0] > 99.9
    assert set(predicted(table, "naswot", Setting(TASK)).valid) == {50.0}  # singular, and missing: all the last


def test_the_meta_predictor_tells_accuracies(table: BenchmarkTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommend, "load", lambda: meta_model(WIDTH))
    monkeypatch.setattr(meta_prediction, "task_features", lambda setting: task(width=WIDTH))
    setting = Setting("made/predicted", recipe="tiny")
    found = predicted(table, "meta-predictor", setting)
    best = meta_prediction.zero_shot_options(CELLS, setting)["order"][0]
    assert found([best]) == [found.valid.max()] and 0 < found.valid.min() < found.valid.max() < 100


def test_the_output_says_what_searchers_were_told(database: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[tuple[str, Any]] = []

    class Told(tracking.NullTracker):
        def run(self, name: str, kind: Any, *, parameters: Any = None, **rest: Any) -> Any:
            runs.append((name, parameters))
            return super().run(name, kind, parameters=parameters, **rest)

    monkeypatch.setattr(tracking, "NullTracker", Told)
    given = [*WORDS.split(), "--database", database, "--no-tracking"]
    found = answer(*given, "--predictor", "flops")
    assert found["figures"]["predictor"] == "flops" and found["system"] == f"compare {TASK} by flops"
    assert found["figures"]["best_by_predictor"] == 18 and found["figures"]["searchers"].keys() >= {"random", "control"}
    assert found["tables"][0]["title"] == f"{TASK} by flops (its best: 18.00): best test value 20.00"
    assert "the best by flops" in found["setting"]
    assert runs[0][0] == found["system"] and all(each["predictor"] == "flops" for _, each in runs)
    assert json.loads((home / "compare" / "mine-whole-flops" / "report.json").read_text())["system"] == found["system"]
    assert answer(*given)["figures"]["predictor"] is None and "predictor" not in runs[-1][1]


@pytest.mark.parametrize(
    ("name", "line"),
    {
        "luck": "unknown predictor 'luck': choose one of meta-predictor, naswot, synflow, parameters, flops",
        "meta-predictor": "no images of 'mine/whole'",
        "naswot": "no published naswot scores of 'mine/whole'",
        "synflow": "no published synflow scores of 'mine/whole'",
    }.items(),
)
def test_a_predictor_that_cannot_be_had_is_one_line(name: str, line: str, database: str, home: Path) -> None:
    result = run(*WORDS.split(), "--database", database, "--no-tracking", "--predictor", name)
    assert result.exit_code == 2 and result.stdout == "" and result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ") and line in result.stderr
    assert not (home / "compare").exists()


def test_a_space_without_image_networks_has_no_costs() -> None:
    recurrent = BenchmarkTable("t", "r", (Architecture("enas-recurrent", (0,)),), np.ones(1), np.ones(1))
    with pytest.raises(UserError, match="holds no image classifiers"):
        predicted(recurrent, "flops", Setting("t"))


def test_help_and_readme_name_every_predictor() -> None:
    told = " ".join(run("compare", "--help").stdout.replace("│", " ").split())
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "meta-predictor, naswot, synflow, parameters or flops" in told
    assert f"`--predictor NAME` ({', '.join(f'`{each}`' for each in PREDICTORS)})" in " ".join(readme.split())
    assert all(each in told for each in PREDICTORS)
