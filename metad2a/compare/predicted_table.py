"""Search on predicted accuracy: a benchmark's table in which a predictor stands in for the trainings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from databases.architectures.space import space
from databases.errors import UserError, unknown
from databases.records.benchmark_table import BenchmarkTable, Values
from metad2a.search.controllers.controller import Setting
from metad2a.search.controllers.meta_prediction import predicted_logits
from metad2a.search.controllers.training_free import SIZE, Published, published_scores
from predictors.metrics import percentiles
from predictors.scale import to_percent

RESOLUTION = 32  # of the images whose multiply-adds are counted
Scores = Callable[[BenchmarkTable, Setting], Values]  # (n,) in percent, in the order of the table's architectures


def predicted(table: BenchmarkTable, name: str, setting: Setting) -> BenchmarkTable:
    """The table with a predictor's scores for validation values; the test values stay.

    Searchers expect percent: they are told predicted accuracies, and of a score that is none its percentile.

    Raises:
        UserError: an unknown predictor (lists the known ones), or one that cannot be had for the task.
    """
    check_predictor(name)
    return replace(table, valid=PREDICTORS[name](table, setting), predictor=name)


def check_predictor(name: str) -> None:
    """Raises `UserError` that lists the known predictors for any other."""
    if name not in PREDICTORS:
        raise unknown("predictor", name, PREDICTORS)


def _meta_predictor(table: BenchmarkTable, setting: Setting) -> Values:
    """Accuracies as the shipped model predicts them from the task's images."""
    chosen = space(table.architectures[0].space)
    return to_percent(predicted_logits(chosen, setting)(table.architectures))


def _published(score: str) -> Scores:
    def scores(table: BenchmarkTable, setting: Setting) -> Values:
        found = published_scores(setting.data, setting.task, score)
        if not found:
            raise UserError(f"no published {score} scores of {setting.task!r}: choose parameters or flops")
        values = Published(found)(table.architectures)
        return percentiles(values, values)

    return scores


def _parameters(table: BenchmarkTable, setting: Setting) -> Values:
    from predictors.zero_cost import parameters

    counts = parameters(table.architectures, SIZE)
    return percentiles(counts, counts)


def _flops(table: BenchmarkTable, setting: Setting) -> Values:
    from predictors.zero_cost import flops

    counts = flops(table.architectures, SIZE, resolution=RESOLUTION)
    return percentiles(counts, counts)


PREDICTORS: dict[str, Scores] = {
    "meta-predictor": _meta_predictor,
    "naswot": _published("naswot"),
    "synflow": _published("synflow"),
    "parameters": _parameters,
    "flops": _flops,
}
