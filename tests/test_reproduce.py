"""`metad2a reproduce`: what a demonstration shows is printed, written, drawn and tracked; failures are said."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli_world import answer, run

from databases.errors import UserError
from metad2a.reports.publish import markdown, summary, track_report, write_report
from metad2a.reports.report import (
    Panel,
    Report,
    Table,
    Verdict,
    band,
    jsonable,
    judged,
    not_refuted,
    paired,
    ratio,
    with_interval,
)
from metad2a.reproduce import DEMONSTRATIONS, LINES
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.runtime.tracking import NullTracker

pytestmark = pytest.mark.usefixtures("home")


def toy(context: Context) -> Report:
    context.say(f"seed {context.seed}")
    if context.seed == 13:
        context.table("nasbench201/cifar10")
    gain = paired([2.0, 3.0, 4.0], [1.0, 1.0, 1.0], seed=context.seed)
    return Report(
        "toy",
        "Doe, 2020",
        f"three seeds, fast={context.fast}",
        (Table("Scores | all", ("Searcher", ">Score"), (("random|x", "1.0"),)),),
        (Verdict("better than random", "> 0", "2.0", True), Verdict("as good as perfect", "0", "3", False)),
        (Panel("Regret", "look-ups", "points", (band("toy", [1, 2], [[1, 2], [3, 4]]),), log_x=True),),
        {"gain": gain, "unknown": float("nan"), "array": np.arange(2)},
    )


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEMONSTRATIONS, "toy", Demonstration("toy", "A toy.", "Doe, 2020", toy))


def test_a_demonstration_prints_tables_and_says_which_verdict_fails(home: Path) -> None:
    result = run("reproduce", "toy", "--no-tracking", "--seed", "3")
    assert result.exit_code == 0
    assert "random|x" in result.stdout and "three seeds, fast=False" in result.stdout
    assert "1 of 2 verdicts FAIL: as good as perfect." in result.stdout
    assert "seed 3" in result.stderr
    folder = home / "reproduce" / "toy"
    assert sorted(path.name for path in folder.iterdir()) == ["figure.png", "figure.svg", "report.json", "tables.md"]
    assert not (home / "mlflow.db").exists()


def test_json_and_files_agree(tmp_path: Path) -> None:
    found = answer("reproduce", "toy", "--fast", "--no-tracking", "--output", str(tmp_path / "out"))
    assert found["figures"]["gain"]["mean"] == 2.0 and found["figures"]["gain"]["seeds"] == 3
    assert found["figures"]["unknown"] is None and found["figures"]["array"] == [0, 1]
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written == {name: value for name, value in found.items() if name not in ("folder", "files")}
    assert "fast=True" in (tmp_path / "out" / "tables.md").read_text()


def test_the_report_lists_its_seeds(tmp_path: Path) -> None:
    def both(context: Context) -> Report:
        assert list(context.seeds(2)) == [8, 9] and list(context.seeds(4)) == [8, 9, 10, 11]
        return toy(context)

    for run_, seeds in ((both, [8, 9, 10, 11]), (toy, [8])):
        context = Context(fast=True, seed=8, say=lambda line: None)
        write_report(Demonstration("toy", "A toy.", "Doe, 2020", run_).report(context), tmp_path)
        assert json.loads((tmp_path / "report.json").read_text())["seeds"] == seeds


class Recorder(NullTracker):
    """Remembers what would be tracked."""

    metrics: dict[str, float]

    @contextmanager
    def run(self, name: str, kind: Any, *, parameters: Any = None, tags: Any = None, parent: Any = None) -> Any:
        self.name, self.parameters, self.files = name, parameters, list[str]()
        yield SimpleNamespace(
            metrics=lambda values: setattr(self, "metrics", values),
            artifact=lambda path: self.files.append(path.name),
        )


def test_a_run_keeps_parameters_numbers_and_files(tmp_path: Path) -> None:
    report, tracker = toy(Context(fast=True, say=lambda line: None)), Recorder()
    write_report(report, tmp_path)
    track_report(report, tracker, tmp_path, parameters={"seed": 0})
    assert (tracker.name, tracker.parameters) == ("reproduce toy", {"seed": 0})
    assert tracker.metrics["gain/mean"] == 2.0 and "unknown" not in tracker.metrics
    assert (tracker.metrics["verdicts_that_hold"], tracker.metrics["verdicts"]) == (1, 2)
    assert sorted(tracker.files) == ["figure.png", "figure.svg", "report.json", "tables.md"]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words, line in {
        ("nothing",): "unknown demonstration 'nothing': choose one of",
        ("toy", "--output", str(tmp_path / "file")): "name a folder",
        ("toy", "--seed", "13"): "metad2a database import nasbench201 FILE",
    }.items():
        result = run("reproduce", *words, "--no-tracking")
        assert result.exit_code == 2 and result.stdout == "" and line in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: ")


def test_the_help_lists_every_demonstration_with_its_line() -> None:
    from metad2a.cli.reproduce import listing

    shown = " ".join(listing().split())
    assert set(LINES) == set(DEMONSTRATIONS) - {"toy"}
    for name, line in LINES.items():
        assert f"{name} {line}" in shown and len(line) <= 90
    assert "Demonstrations:" in run("reproduce", "--help").stdout


def test_markdown_keeps_its_columns() -> None:
    text = markdown(toy(Context(fast=True, say=lambda line: None)))
    assert "| Searcher | Score |\n| --- | ---: |\n| random\\|x | 1.0 |" in text
    assert "| FAILS | as good as perfect | 0 | 3 |" in text


def test_without_failures_the_summary_says_so() -> None:
    report = toy(Context(fast=True, say=lambda line: None))
    assert summary(replace(report, verdicts=report.verdicts[:1])) == "All 1 verdicts hold."


def test_a_short_run_does_not_fail_what_its_interval_leaves_open() -> None:
    wide, low, few = paired([3, -2, 4, -1, 2], [0] * 5), paired([-1, -2, -1, -2, -3], [0] * 5), paired([-1, -2], [0, 0])
    verdicts = tuple(judged(claim, "> 0", of, above=0) for claim, of in {"wide": wide, "low": low, "few": few}.items())
    report = replace(toy(Context(fast=True, say=lambda line: None)), verdicts=verdicts)
    whole, short = (markdown(replace(report, short=each)) for each in (False, True))
    assert whole.count("| FAILS |") == 3 and "3 of 3 verdicts FAIL: wide; low; few." in whole
    assert "| too short to tell | wide |" in short and "| FAILS | low |" in short
    assert short.endswith("1 of 3 verdicts FAIL: low. 2 of 3 cannot be told by so short a run: wide; few.\n")
    assert judged("", "", low, below=0).holds and not judged("", "", wide, below=0).holds


def test_a_short_run_refutes_nothing_of_what_searching_or_learning_reaches() -> None:
    low = paired([-1, -2, -1, -2, -3], [0] * 5)
    report = toy(Context(fast=True, say=lambda line: None))
    verdicts = [judged("found", "> 0", low, above=0, learnt=learnt) for learnt in (True, False)]
    said = [replace(report, verdicts=(each,)) for each in verdicts]
    assert [summary(replace(each, short=True)) for each in said] == [
        "1 of 1 cannot be told by so short a run: found.",
        "1 of 1 verdicts FAIL: found.",
    ]
    assert all(summary(replace(each, short=False)) == "1 of 1 verdicts FAIL: found." for each in said)


def test_few_seeds_refute_only_what_lies_far_on_the_wrong_side() -> None:
    near, far, alone, alike = (paired(each, [0] * len(each)) for each in ([-1, -2], [-10, -10.1], [-1], [-1, -1]))
    assert [judged("", "", each, above=0).open for each in (near, far, alone, alike)] == [True, False, True, True]
    assert [each["seeds"] for each in (near, far, alone)] == [2, 2, 1]
    assert not judged("", "", paired([-1] * 5, [0] * 5), above=0).open


def test_a_control_fails_only_where_its_whole_interval_is_beyond_the_bound() -> None:
    wide, low = paired([3, -2, 4, -1, 2], [0] * 5), paired([-1, -2, -1, -2, -3], [0] * 5)
    assert not_refuted("", "", wide, below=0).holds and not_refuted("", "", low, above=0).holds
    failed = not_refuted("", "", low, below=0)
    assert not failed.holds and not failed.open


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="database import nasbench201 FILE"):
        Context(fast=True).table("nasbench201/cifar10")
    with pytest.raises(UserError, match="METAD2A_SHARED"):
        Context(fast=True).image_source("cifar10")


def test_plain_values_have_no_numpy() -> None:
    assert jsonable({1: (np.float64("inf"), np.int64(2), [True])}) == {"1": [None, 2, [True]]}


def test_a_difference_of_logarithms_is_shown_as_a_ratio_with_its_interval() -> None:
    found = ratio(paired(np.log([2.0, 8.0]), np.log([1.0, 1.0])))
    assert found["mean"] == pytest.approx(4.0) and found["seeds"] == 2
    assert with_interval(found, ".1f") == "4.0 [2.0, 8.0]"
    assert with_interval({"mean": 1.0, "low": -0.5, "high": 2.0}) == "+1.00 [-0.50, +2.00]"
