"""`reproduce metad2a`: what rivals need is counted right, on a made-up table and on the published one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from databases.architectures.space import space
from databases.records.benchmark_table import BenchmarkTable
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.metad2a_system import _ablation_verdicts, _ablations, _needed, _trained, run


def small_table() -> BenchmarkTable:
    cells = tuple(each for each, _ in zip(space("nasbench201").enumerate(), range(5), strict=False))
    return BenchmarkTable("made up", "r", cells, np.array([1.0, 5, 3, 4, 2]), np.array([10.0, 50, 40, 60, 20]))


def test_the_pick_is_by_validation_and_judged_on_the_test_set() -> None:
    assert _trained([0, 2, 3, 1, 4], small_table()).tolist() == [10, 40, 60, 50, 50]


def test_look_ups_and_seconds_are_counted_until_the_pick_is_good_enough() -> None:
    cost = np.array([1.0, 2, 4, 8, 16])
    assert _needed([0, 2, 3, 1], small_table(), cost, 55.0) == {"lookups": 3, "seconds": 13.0, "reached": True}
    assert _needed([0, 2], small_table(), cost, 55.0) == {"lookups": 2, "seconds": 5.0, "reached": False}


def test_a_part_is_worth_something_where_the_interval_over_paired_seeds_says_so() -> None:
    whole = np.random.default_rng(0).normal(94, 1, (12, 4))
    near = whole - 0.02 + np.tile([[0.1], [-0.1]], (6, 1))  # worse on average, on half of the seeds
    found = _ablation_verdicts({"all parts": whole, "without a": whole - 0.2, "without b": near, "c": whole + 0.2})
    assert [each.holds for each in found] == [True, False, False]
    assert found[0].reached == "+0.20 [+0.20, +0.20]" and found[0].target == "interval above 0"


def test_what_is_left_is_measured_for_each_seed() -> None:
    answers = [{"all parts": [1, 3], "c": [0, 2]}, {"all parts": [3, 1], "c": [2, 0]}]
    found = _ablations(answers, small_table())
    assert found["all parts"].tolist() == [[50, 55, 50, 80], [60, 55, 50, 80]]
    assert found["c"].tolist() == [[10, 25, 40, 30], [40, 25, 40, 30]]


@pytest.mark.slow
def test_on_the_published_table_the_answer_is_worth_many_trainings(tables: str, shared: Path, few_probed: None) -> None:
    report = run(Context(fast=True, database=tables, images=shared / "images", workers=1, say=lambda line: None))
    assert all(each.holds for each in report.verdicts if "longer" in each.claim)
    assert all(each.holds for each in report.verdicts if each.claim.endswith("random cells"))
    found = report.figures["ablations"]
    assert found["all parts"]["mean percentile of ten"] > 95 > found["random cells"]["mean percentile of ten"]
