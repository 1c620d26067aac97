"""Searchers compared on a benchmark table: the same look-ups, the same seeds, test regret of what validation chose."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, space
from databases.errors import Say, UserError, did_you_mean
from databases.records.benchmark_table import BenchmarkTable
from metad2a.reports.publish import log_report
from metad2a.reports.report import Panel, Report, Table, band, paired, with_interval
from metad2a.runtime.executors import processes as executor
from metad2a.runtime.tracking import Tracker
from metad2a.search.controllers import CONTROLLERS, controller, options
from metad2a.search.controllers.controller import Setting
from metad2a.search.loop import Measure, run
from predictors.metrics import median_interval

SEEDS_A_JOB = 5
FOR_A_VERDICT = 20  # seeds below which nobody is called better or worse
RANDOM, CONTROL = "random", "control"  # in every comparison; the control is evolution that is told shuffled values
Rows = npt.NDArray[np.int64]  # (seeds, trials), rows of the table in the order they were looked up
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """One searcher in a comparison.

    Attributes:
        label: its name in tables. searcher: its name in CONTROLLERS. options: what it is made with, picklable.
        batch: architectures between two tells. shuffled: tell it values of other architectures: a negative control.
    """

    label: str
    searcher: str
    options: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 1
    shuffled: bool = False


@dataclass(frozen=True)
class Searched:
    """What a searcher looked up.

    Attributes:
        rows: (seeds, trials). seconds: CPU-seconds a seed.
    """

    rows: Rows
    seconds: float


@dataclass(frozen=True)
class _Job:
    table: BenchmarkTable
    entry: Entry
    seeds: tuple[int, ...]
    trials: int


def search_table(
    table: BenchmarkTable,
    entries: Sequence[Entry],
    *,
    seeds: Sequence[int],
    trials: int,
    workers: int = 2,
    say: Say = lambda line: None,
) -> dict[str, Searched]:
    """Label -> the rows that each searcher looked up, seed by seed; seeds are spread over processes.

    The same seed means the same stream of random numbers, not the same architectures.
    """
    parts = [tuple(seeds[i : i + SEEDS_A_JOB]) for i in range(0, len(seeds), SEEDS_A_JOB)]
    jobs = [_Job(table, entry, part, trials) for entry in entries for part in parts]
    found: dict[str, dict[int, Rows]] = {each.label: {} for each in entries}
    seconds = {each.label: 0.0 for each in entries}
    for label, of_job, spent in executor.run(_search, jobs, workers=min(workers, len(jobs))):
        found[label] |= of_job
        seconds[label] += spent / len(seeds)
        if len(found[label]) == len(seeds):
            say(f"{label}: {len(seeds)} seeds, {seconds[label]:.2f} CPU-seconds each")
    return {
        label: Searched(np.stack([of_entry[seed] for seed in seeds]), seconds[label])
        for label, of_entry in found.items()
    }


def _search(job: _Job) -> tuple[str, dict[int, Rows], float]:
    """The label, seed -> (trials,) the rows looked up, and the CPU-seconds of all."""
    begin = time.process_time()
    chosen = space(job.table.architectures[0].space)
    rows = {}
    for seed in job.seeds:
        searcher = controller(job.entry.searcher, chosen, seed=seed, **job.entry.options)
        told = shuffled(job.table, seed) if job.entry.shuffled else job.table
        asked = run(searcher, told, trials=job.trials, batch=job.entry.batch).architectures
        if len(asked) < job.trials:
            raise UserError(f"{job.entry.label} had nothing to propose after {len(asked)} of {job.trials} look-ups")
        rows[seed] = job.table.rows(asked)
    return job.entry.label, rows, time.process_time() - begin


def shuffled(table: BenchmarkTable, seed: int) -> Measure:
    """A measure that tells each architecture the value of another."""
    values = np.random.default_rng([seed, 1]).permutation(table.valid)

    def tell(architectures: Sequence[Architecture]) -> list[float]:
        return [float(each) for each in values[table.rows(architectures)]]

    return tell


def incumbents(table: BenchmarkTable, rows: Rows) -> Rows:
    """After each look-up the row of the best validation value so far, the first of equals: (seeds, trials)."""
    valid = table.valid[rows]
    better = np.ones_like(valid, dtype=bool)
    better[:, 1:] = valid[:, 1:] > np.maximum.accumulate(valid, axis=1)[:, :-1]
    place = np.maximum.accumulate(np.where(better, np.arange(rows.shape[1]), 0), axis=1)
    return np.take_along_axis(rows, place, axis=1)


def entries(names: Sequence[str], setting: Setting, space_name: str) -> tuple[list[Entry], dict[str, str]]:
    """Random search, the named searchers and the control; and why a searcher was left out of ``all``.

    Raises:
        UserError: an unknown searcher, or a named one that cannot be had for this task.
    """
    wanted = [each for each in (CONTROLLERS if list(names) == ["all"] else dict.fromkeys(names)) if each != RANDOM]
    unknown = [each for each in wanted if each not in CONTROLLERS]
    if unknown:
        meant = did_you_mean(unknown[0], CONTROLLERS)
        raise UserError(f"unknown searcher {unknown[0]!r}: {meant}choose all, or some of {', '.join(CONTROLLERS)}")
    found, left_out = [Entry(RANDOM, RANDOM)], {}
    for name in wanted:
        try:
            found.append(Entry(name, name, options(name, space(space_name), setting)))
        except UserError as problem:
            if list(names) != ["all"]:
                raise
            left_out[name] = str(problem)
    return [*found, Entry(CONTROL, "evolution", shuffled=True)], left_out


def compare(
    table: BenchmarkTable,
    searchers: Sequence[Entry],
    *,
    budgets: Sequence[int],
    seeds: int = FOR_A_VERDICT,
    seed: int = 0,
    workers: int = 2,
    say: Say = lambda line: None,
) -> Report:
    """One table and one figure of all searchers; ``random`` must be among them. Few seeds give no verdicts.

    Raises:
        UserError: a budget or a number of seeds that is impossible.
    """
    budgets = _checked(table, sorted(set(budgets)), seeds)
    runs = search_table(table, searchers, seeds=range(seed, seed + seeds), trials=budgets[-1], workers=workers, say=say)
    test = {label: table.test[incumbents(table, found.rows)] for label, found in runs.items()}
    regret = {label: table.test.max() - values for label, values in test.items()}
    figures: dict[str, Any] = {"best": float(table.test.max()), "predictor": table.predictor, "searchers": {}}
    system, searched, told = f"compare {table.task}", table.task, "validation"
    if table.predictor:
        figures["best_by_predictor"] = float(table.test[table.valid.argmax()])
        system, told = f"{system} by {table.predictor}", f"{table.predictor}, which all are told,"
        searched = f"{table.task} by {table.predictor} (its best: {figures['best_by_predictor']:.2f})"
    rows: list[tuple[str, ...]] = []
    for label in runs:
        of_label = {str(n): _figures(test[label], test[RANDOM], regret[label], n) for n in budgets}
        figures["searchers"][label] = {"cpu_seconds_a_seed": runs[label].seconds, "budgets": of_label}
        rows += [_row(label if n == budgets[0] else "", n, of_label[str(n)], label == RANDOM) for n in budgets]
    short = "" if seeds >= FOR_A_VERDICT else f"\nverdicts need {FOR_A_VERDICT} seeds; {seeds} were run"
    headings = ("Searcher", ">Look-ups", ">Test", ">Regret, median [95%]", ">Above random, mean [95%]", "")
    steps = np.arange(budgets[0], budgets[-1] + 1)  # the first look-ups would hide the others
    curves = tuple(band(label, steps, values[:, steps - 1]) for label, values in regret.items())
    return Report(
        system,
        f"recipe {table.recipe}",
        f"{len(table.architectures):,} architectures, {seeds} paired seeds from {seed}, the best by {told} "
        f"is judged by test; control: evolution that is told other architectures' values{short}",
        (Table(f"{searched}: best test value {table.test.max():.2f}", headings, tuple(rows)),),
        (),
        (Panel("Median and 10% to 90% of seeds", "look-ups", "test regret", curves, log_x=True),),
        figures,
        seeds=tuple(range(seed, seed + seeds)),
    )


def track_comparison(report: Report, tracker: Tracker, folder: Path, *, parameters: dict[str, object]) -> None:
    """A run of the whole, and under it one a searcher with its regret at every look-up."""
    with tracker.run(report.system, "evaluation", parameters=parameters) as whole:
        log_report(report, whole, folder)
        for curve in report.panels[0].curves:
            told = {**parameters, "searcher": curve.label}
            with tracker.run(f"{report.system}: {curve.label}", "evaluation", parameters=told, parent=whole) as run:
                run.curves({"regret_median": curve.middle, "regret_10": curve.low, "regret_90": curve.high})
                for budget, found in report.figures["searchers"][curve.label]["budgets"].items():
                    run.metrics(
                        {f"test_{budget}": found["test"], f"above_random_{budget}": found["above_random"]["mean"]}
                    )


def _figures(test: Values, random: Values, regret: Values, budget: int) -> dict[str, Any]:
    """What a searcher reached with a budget."""
    middle = median_interval(regret[:, budget - 1])
    return {
        "test": float(np.median(test[:, budget - 1])),
        "regret": {"median": middle.mean, "low": middle.low, "high": middle.high},
        "above_random": paired(test[:, budget - 1], random[:, budget - 1]),
        "test_of_seeds": test[:, budget - 1].tolist(),
    }


def _row(label: str, budget: int, found: dict[str, Any], is_random: bool) -> tuple[str, ...]:
    regret, above = found["regret"], found["above_random"]
    return (
        label,
        f"{budget:,}",
        f"{found['test']:.2f}",
        f"{regret['median']:.2f} [{regret['low']:.2f}, {regret['high']:.2f}]",
        "" if is_random else with_interval(above),
        "" if is_random else _verdict(above),
    )


def _verdict(above: dict[str, float]) -> str:
    """Better or worse where the interval of a paired difference excludes zero, a dash where seeds are too few."""
    if above["seeds"] < FOR_A_VERDICT:
        return "-"
    return "better" if above["low"] > 0 else "worse" if above["high"] < 0 else ""


def _checked(table: BenchmarkTable, budgets: Sequence[int], seeds: int) -> Sequence[int]:
    if not budgets or budgets[0] < 1 or budgets[-1] > len(table.architectures):
        raise UserError(f"budgets {', '.join(map(str, budgets))}: give 1 to {len(table.architectures):,} look-ups")
    if seeds < 2:
        raise UserError(f"seeds {seeds}: an interval needs 2 or more, a verdict {FOR_A_VERDICT}")
    return budgets
