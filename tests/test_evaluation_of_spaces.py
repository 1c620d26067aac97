"""`metad2a evaluate --space`: what is told of pipelines and of subnets, on planted measurements."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from cli_world import answer, run
from made_up import episode, task

from databases.architectures.catalogue import Catalogue
from databases.architectures.spaces.pipeline import Pipeline
from databases.architectures.spaces.subnets import RESIDUAL_SUBNETS
from databases.datasets.sampler import TaskSpec
from databases.errors import UserError
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.evaluate import regret
from metad2a.evaluate.of_spaces import REPORTS, report_of
from metad2a.evaluate.subnet_figures import EVOLUTION, FIRST, RANDOM, level, order, reaching
from metad2a.evaluate.subnets import FLOPS, MEAN, OURS, Judged, SubnetRows
from predictors.scale import to_logit, to_percent

PROBES = (Pipeline("own", 32, "probe"), Pipeline("own", 48, "probe"))
TUNED = tuple(
    Pipeline("own", 48, part, rate, slim=slim)
    for part, rate, slim in (("all", 0.03, False), ("all", 0.1, False), ("half", 0.03, False), ("all", 0.03, True))
)
STEPS = (50, 100, 400)
WORSE = {TUNED[1]: -0.9, TUNED[2]: -0.4}  # which pipelines are worse than the first, in logits


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six sources, on which each doubling of the steps adds as much, half of the channels are as good; seeds vary."""
    folder, rng = tmp_path_factory.mktemp("records"), np.random.default_rng(0)
    with Store(folder / "own.db") as store:
        for number in range(6):
            probe = float(rng.uniform(40, 70))
            store.add_task(TaskEntry(f"task{number}", f"task{number}", f"source{number}"))
            found = [(each, 0, 0, probe) for each in PROBES]
            for each, steps, seed in ((p, s, d) for p in TUNED for s in STEPS for d in range(3 if number < 2 else 1)):
                gain = 0.3 * math.log(steps / 10) + WORSE.get(each, 0.0) + rng.normal(0, 0.05)
                found.append((each, steps, seed, float(to_percent(to_logit(probe) + gain))))
            for each, steps, seed, accuracy in found:
                extra = {"classes": 5.0, "train_images": 300.0, "flops": 4e7 if each.slim else 8e7}
                key = (f"task{number}", "pipeline", str(each), each.recipe(steps), seed, "own")
                store.add([Record(*key, valid_accuracy=accuracy, test_accuracy=accuracy, extra=extra)])
        store.export_csv(folder / "own.csv.gz")
    return folder / "own.csv.gz"


def test_what_is_foretold_and_lost_of_planted_pipelines(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regret, "milliseconds", lambda pipeline: 1.0 if pipeline.slim else 2.0)
    told: list[str] = []
    report = report_of("pipeline", records, fast=False, say=told.append)
    assert told == [each.title for each in report.tables] == list(report.figures)
    foretold, within_100, _, saved, *_, seeds, _ = report.figures.values()
    assert foretold["error"]["mean"] < 3 < foretold["probe alone"]["mean"]  # the law is learnt, seeds are noise
    assert within_100["ours"]["regret"]["mean"] < within_100["random"]["regret"]["mean"]
    assert within_100["random"]["above ours"]["low"] > 0
    assert saved["time less, %"]["mean"] == 50 and saved["multiply-adds less, %"]["mean"] == 50
    assert seeds["standard deviation between seeds, points"]["mean"] > 0
    holds = {each.claim: each.holds for each in report.verdicts}
    assert holds["mean error of what is foretold"] and holds["within 100 steps ours loses less than: random"]
    assert holds["within 400 steps less time for an image, %"]
    json.dumps(report.to_json(), allow_nan=False)


def test_what_saves_no_time_fails(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regret, "milliseconds", lambda pipeline: 2.0)
    tasks, model = regret.measured(records)
    (verdict,) = regret.saved(tasks, {each.source: model for each in tasks}, 400).verdicts
    assert not verdict.holds and "at least 40" in verdict.target


@pytest.mark.usefixtures("home")
def test_the_command_prints_and_writes_it(records: Path, tmp_path: Path) -> None:
    asked = ("evaluate", "--space", "pipeline", "--fast", "--records", str(records))
    plain = run(*asked, "--output", str(tmp_path / "out"))
    assert plain.exit_code == 0 and "| source | trainings |" in plain.stdout and "## Verdicts" in plain.stdout
    assert {each.name for each in (tmp_path / "out").iterdir()} >= {"report.json", "tables.md"}
    assert len(answer(*asked, "--json")["tables"]) == 1


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--space", "pipeline", "--final"), "given --final with the space 'pipeline'"),
        (("--records", "mine.csv.gz"), "given --records with the space 'nasbench201'"),
        (("--space", "pipeline", "--records", "nowhere.csv.gz"), "nowhere.csv.gz"),
        (("--space", "residual-subnets", "--records", "{records}"), "no rows of the space residual-subnets"),
    ],
)
def test_what_cannot_be_told_is_refused_in_a_line(
    options: tuple[str, ...], words: str, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    monkeypatch.setenv("METAD2A_SHARED", str(tmp_path))
    refused = run("evaluate", *(each.format(records=records) for each in options))
    assert refused.exit_code == 2 and words in refused.stderr
    assert sum(line.startswith("error: ") for line in refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"pipeline"}))
def test_a_file_without_rows_of_the_space_is_refused(
    name: str, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAD2A_SHARED", str(tmp_path))
    with pytest.raises(UserError, match=f"no rows of the space {name}; give a file"):
        report_of(name, records, fast=True, say=print)


def test_the_order_of_subnets_is_told_beside_its_rivals() -> None:
    catalogue, rng = Catalogue(RESIDUAL_SUBNETS.name), np.random.default_rng(0)
    cells, folds = catalogue.add(catalogue.some(16, rng)).tolist(), ("a", "b", "c")
    tasks = tuple(episode(task(i), cells, [50.0] * 16, recipe="inherited", family=fold) for i, fold in enumerate(folds))
    price = np.full(16, 1e6)
    rows = SubnetRows(tasks, (TaskSpec("made up", (0, 1, 2), 5),) * 3, catalogue, price, price)
    true = [rng.uniform(30, 70, (2, 16)) for _ in folds]
    found = [
        Judged(fold, {OURS: to_logit(t), FLOPS: -t, MEAN: t}, t, price) for fold, t in zip(folds, true, strict=True)
    ]
    told = order(found, np.arange(16) % 4 == 0, rows)
    assert told.figures[OURS]["never seen"]["mean"] == 1 and told.figures[FLOPS]["never seen"]["mean"] == -1
    assert [each.holds for each in told.verdicts] == [True, False]
    assert "cannot be told apart" in told.table.rows[2][-1]
    assert level(found).figures["ours"]["mean"] == pytest.approx(0, abs=1e-9)


def test_the_generator_is_judged_beside_random_search_and_evolution() -> None:
    fixed = {RANDOM: 59.0, EVOLUTION: 61.0}
    reached = {(fold, key, FIRST): 60.0 for fold in "abc" for key in "xy"}
    reached |= {(*where[:2], name): value for where in list(reached) for name, value in fixed.items()}
    told = reaching(reached, "made up")
    assert [each.holds for each in told.verdicts] == [True, False]  # above random search, below evolution
    assert told.figures[EVOLUTION]["generator above it"]["mean"] == -1
