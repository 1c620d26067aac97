"""Searchers are compared at the same look-ups and seeds, by the test value of what validation chose."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli_world import answer, run
from made_up import WIDTH, Tiny, meta_model, task

from databases.architectures.space import SPACES, finite_space
from databases.errors import UserError
from databases.records.benchmark_table import BenchmarkTable, read_table
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.compare import comparison
from metad2a.compare.comparison import Entry, compare, entries, incumbents, search_table, track_comparison
from metad2a.runtime.tracking import NullTracker
from metad2a.search import controllers
from metad2a.search.controllers import meta_prediction
from metad2a.search.controllers.controller import Setting
from metad2a.search.controllers.training_free import OwnNaswot, Published, area_options, noise_images

pytestmark = pytest.mark.usefixtures("home")

CELLS = finite_space("nasbench201")
ALL = tuple(CELLS.enumerate())
TWO = [Entry("random", "random"), Entry("evolution", "evolution"), Entry("control", "evolution", shuffled=True)]


@pytest.fixture(scope="module")
def table() -> BenchmarkTable:
    """Every 3x3 convolution is worth a point; validation is a noisy look at it."""
    truth = np.array([sum(choice == 3 for choice in each.walk) for each in ALL], dtype=np.float64)
    noisy = truth + np.random.default_rng(0).normal(0, 0.2, len(truth))
    return BenchmarkTable("made/up", "tiny", ALL, noisy, truth)


@pytest.fixture(name="tiny")
def tiny_fixture(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    monkeypatch.setitem(SPACES, "tiny", Tiny())
    return Tiny()


@pytest.fixture(name="database")
def database_fixture(tiny: Tiny, tmp_path: Path) -> str:
    """A user's table of a space of their own, one with holes, one without accuracies, and one as it is imported."""
    walks = [each.walk for each in tiny.enumerate()]
    place = str(tmp_path / "mine.db")
    with Store(place) as store:
        store.add_tasks(TaskEntry(f"mine/{name}", name) for name in ("whole", "holes", "empty"))
        for name, some in (("whole", walks), ("holes", walks[:-1]), ("empty", walks)):
            known = name != "empty"
            store.add(
                Record(f"mine/{name}", "tiny", "-".join(map(str, walk)), "own", 0, "user",
                       valid_accuracy=10.0 + sum(walk) if known else None)
                for walk in some
            )  # fmt: skip
        store.add_task(TaskEntry("table/leaves", "leaves"))
        store.add([Record("table/leaves", "nasbench201", str(ALL[0]), "own", 0, "user", valid_accuracy=10.0)])
    return place


def test_the_incumbent_is_the_first_of_the_best_by_validation() -> None:
    made = BenchmarkTable("t", "r", ALL[:4], np.array([1.0, 3.0, 2.0, 3.0]), np.array([9.0, 1.0, 5.0, 7.0]))
    assert incumbents(made, np.array([[0, 2, 1, 3], [3, 1, 0, 2]])).tolist() == [[0, 2, 1, 1], [3, 3, 3, 3]]


def test_a_seed_looks_up_the_same_whatever_runs_beside_it(table: BenchmarkTable) -> None:
    whole = search_table(table, TWO, seeds=range(7), trials=40, workers=1)
    alone = search_table(table, TWO[1:2], seeds=[6], trials=40, workers=1)
    assert np.array_equal(whole["evolution"].rows[6], alone["evolution"].rows[0])
    assert not np.array_equal(whole["evolution"].rows[5], whole["evolution"].rows[6])
    assert all(len(set(row)) == 40 for row in whole["random"].rows.tolist())


def test_a_job_reaches_another_process_whole(table: BenchmarkTable) -> None:
    job = comparison._Job(table, TWO[1], (0, 1), 5)
    here, there = comparison._search(job), comparison._search(pickle.loads(pickle.dumps(job)))
    assert here[0] == there[0] and all(np.array_equal(here[1][seed], there[1][seed]) for seed in (0, 1))


def test_evolution_beats_random_where_there_is_something_to_learn_and_the_control_does_not(
    table: BenchmarkTable,
) -> None:
    report = compare(table, TWO, budgets=[60, 5], seeds=20, workers=1)
    found = report.figures["searchers"]
    assert found["evolution"]["budgets"]["60"]["above_random"]["low"] > 0
    assert found["control"]["budgets"]["60"]["above_random"]["low"] <= 0
    assert found["random"]["budgets"]["60"]["above_random"]["mean"] == 0
    assert found["evolution"]["budgets"]["60"]["regret"]["median"] == pytest.approx(
        6 - found["evolution"]["budgets"]["60"]["test"]
    )
    rows = report.tables[0].rows
    assert [row[:2] for row in rows[:4]] == [("random", "5"), ("", "60"), ("evolution", "5"), ("", "60")]
    assert rows[3][-1] == "better" and rows[5][-1] != "better" and "verdict" not in report.setting
    assert report.panels[0].curves[0].x == tuple(range(5, 61))


def test_few_seeds_give_figures_and_no_verdict(table: BenchmarkTable) -> None:
    report = compare(table, TWO, budgets=[60], seeds=4, workers=1)
    assert report.figures["searchers"]["evolution"]["budgets"]["60"]["above_random"]["low"] > 0
    assert [row[-1] for row in report.tables[0].rows] == ["", "-", "-"]
    assert report.setting.splitlines()[1:] == ["verdicts need 20 seeds; 4 were run"]
    assert "better" not in str(report.to_json())


@pytest.mark.parametrize(("budgets", "seeds"), [([0], 5), ([15_626], 5), ([], 5), ([5], 1)])
def test_impossible_budgets_and_seeds_are_refused(table: BenchmarkTable, budgets: list[int], seeds: int) -> None:
    with pytest.raises(UserError, match=r"give 1 to 15,625|2 or more"):
        compare(table, TWO, budgets=budgets, seeds=seeds, workers=1)


def test_all_leaves_out_what_cannot_be_had_and_a_name_insists(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *_: object) -> dict[str, Any]:
        if name == "area":
            raise UserError("no images")
        return {}

    monkeypatch.setattr(comparison, "options", refuse)
    monkeypatch.setattr(comparison, "CONTROLLERS", {name: ("", "") for name in ("random", "evolution", "area")})
    found, left_out = entries(["all"], Setting("t"), "nasbench201")
    assert [each.label for each in found] == ["random", "evolution", "control"] and left_out == {"area": "no images"}
    with pytest.raises(UserError, match="no images"):
        entries(["area"], Setting("t"), "nasbench201")


class Recorder(NullTracker):
    """Remembers the runs and their parents."""

    runs: list[tuple[str, str | None, set[str]]]

    @contextmanager
    def run(
        self, name: str, kind: Any, *, parameters: Any = None, tags: Any = None, parent: Any = None
    ) -> Iterator[Any]:
        told: set[str] = set()
        self.runs.append((name, parent and parent.id, told))
        yield SimpleNamespace(id=name, curves=told.update, metrics=told.update, artifact=lambda path: None)


def test_every_searcher_has_a_run_of_its_own(table: BenchmarkTable, tmp_path: Path) -> None:
    report, tracker = compare(table, TWO, budgets=[5], seeds=2, workers=1), Recorder()
    tracker.runs = []
    track_comparison(report, tracker, tmp_path, parameters={"seeds": 2})
    assert [each[:2] for each in tracker.runs] == [
        ("compare made/up", None),
        *((f"compare made/up: {name}", "compare made/up") for name in ("random", "evolution", "control")),
    ]
    assert {"regret_median", "test_5", "above_random_5"} <= tracker.runs[2][2]


def test_a_table_of_ones_own_is_compared_on_the_command_line(database: str, home: Path) -> None:
    words = "compare --table mine/whole --space tiny --recipe own --searchers evolution --budgets 3,12 --seeds 3"
    found = answer(*words.split(), "--database", database, "--workers", "1", "--no-tracking")
    of_all = found["figures"]["searchers"]["evolution"]["budgets"]["12"]
    assert of_all["test_of_seeds"] == [14.0] * 3 and of_all["regret"]["median"] == 0
    assert sorted(path.name for path in (home / "compare" / "mine-whole").iterdir()) == sorted(found["files"])
    text = run(*words.split(), "--database", database, "--workers", "1", "--no-tracking").stdout
    assert "best test value 14.00" in text and "control" in text and "\nverdicts need 20 seeds; 3 were run\n" in text


@pytest.mark.parametrize(
    ("words", "line"),
    {
        "--table mine/holes --space tiny --recipe own": "has holes: it holds 11 of 12 architectures of the space 'tiny' and not 2-1-1",  # noqa: E501
        "--table mine/empty --space tiny --recipe own": "holds no accuracies",
        "--table mine/whole --space tiny --recipe big": "with the recipe 'big' in the database: it holds own",
        "--table mine/other --space tiny": "it holds mine/empty, mine/holes, mine/whole",
        "--table mine/whole --space big": "unknown space 'big': choose one of nasbench201",
        "--benchmark nasbench301": "'nasbench301': did you mean nasbench201? choose one of nasbench201",
        "--table leaves --recipe own": "has holes: it holds 1 of 15,625 architectures of the space 'nasbench201'",
        "--table bark --recipe own": "no table of 'bark' in the database: it holds table/leaves",
        "--dataset cifar11": "metad2a database import nasbench201 FILE",
        "--table mine/whole --space tiny --recipe own --searchers evolution,luck": "unknown searcher 'luck'",
        "--table mine/whole --space tiny --recipe own --searchers evolutoin": "did you mean evolution? choose all",
        "--table mine/whole --space tiny --recipe own --searchers evolution --budgets 13": "give 1 to 12 look-ups",
        "--budgets ten": "--budgets 'ten': give whole numbers",
        "--budgets 0": "--budgets '0': give whole numbers",
        "--seeds 1": "--seeds",
    }.items(),
)
def test_mistakes_are_one_line(words: str, line: str, database: str, home: Path) -> None:
    result = run("compare", *words.split(), "--database", database, "--no-tracking")
    assert result.exit_code == 2 and result.stdout == "" and result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ") and line in result.stderr
    assert not (home / "compare").exists()


def test_a_flat_prior_is_said(database: str, home: Path) -> None:
    words = "compare --table mine/whole --space tiny --recipe own --budgets 3 --seeds 2 --workers 1 --no-tracking"
    told = run(*words.split(), "--searchers", "surrogate", "--database", database).stderr
    assert "surrogate: nothing predicts the accuracies of 'mine/whole' here, its prior is flat\n" in told
    assert "flat" not in run(*words.split(), "--searchers", "evolution", "--database", database).stderr


def test_published_scores_stand_for_what_they_name_and_the_rest_is_last() -> None:
    score = Published({str(ALL[3]): 7.0})
    assert score([ALL[3], ALL[4]]) == [7.0, -np.inf]


def test_without_published_scores_area_scores_noise_itself() -> None:
    score = area_options(CELLS, Setting("mine/whole"))["score"]
    assert isinstance(score, OwnNaswot)
    few, many = (CELLS.architecture(walk) for walk in ((1, 1, 1, 1, 1, 1), (3, 3, 3, 3, 3, 3)))
    first, second = OwnNaswot(noise_images(images=24), resolution=8, batch=12)([few, many])
    assert second > first
    assert pickle.loads(pickle.dumps(score)).batch == score.batch


def test_published_scores_are_taken_where_they_are(shared: Path) -> None:
    found = area_options(CELLS, Setting("nasbench201/cifar10", data=shared))["score"]
    assert isinstance(found, Published) and len(found.values) == 15_625
    assert isinstance(area_options(CELLS, Setting("nasbench201/ninapro", data=shared))["score"], OwnNaswot)


def test_options_are_those_of_the_entry() -> None:
    assert controllers.options("evolution", CELLS, Setting("t")) == {}
    assert set(controllers.options("area", CELLS, Setting("t"))) == {"score", "pool"}


@pytest.mark.slow
def test_the_tables_of_the_benchmark_are_read(tables: str) -> None:
    with Store(tables) as store:
        found = read_table(store, "nasbench201/cifar10")
        assert len(found.architectures) == 15_625 and round(float(found.test.max()), 2) == 94.37
        assert found(found.architectures[:2]) == found.valid[:2].tolist()
        assert np.array_equal(*(getattr(read_table(store, "nasbench201/ninapro"), part) for part in ("valid", "test")))


def test_the_meta_model_gives_a_prior_where_the_images_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from metad2a.recommend import model as recommend

    monkeypatch.setattr(recommend, "load", lambda: meta_model(WIDTH))
    monkeypatch.setattr(meta_prediction, "task_features", lambda setting: task(width=WIDTH))
    setting = Setting("made/up", recipe="tiny")
    order = controllers.options("zero-shot", CELLS, setting)["order"]
    found = controllers.options("surrogate", CELLS, setting)
    assert sorted(each.walk for each in order) == sorted(each.walk for each in CELLS.classes)
    assert found["pool"] == order[: len(found["pool"])]
    values = found["prior"](order)
    assert values == sorted(values, reverse=True)
    same = CELLS.parse("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|")
    twin = CELLS.parse("|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|avg_pool_3x3~2|")
    assert found["prior"]([same]) == found["prior"]([twin])
    assert pickle.loads(pickle.dumps(found))["prior"](order[:3]) == values[:3]


def test_without_images_the_prior_is_flat_and_there_is_no_zero_shot() -> None:
    setting = Setting("mine/whole")
    assert controllers.options("surrogate", CELLS, setting) == {}
    with pytest.raises(UserError, match=r"images/whole\.npz"):
        controllers.options("zero-shot", CELLS, setting)
