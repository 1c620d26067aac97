"""MetaD2A (Lee, Hyung, Hwang, 2021): an answer at once, against searchers that have to measure for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, space
from databases.datasets.features import TaskFeatures, extract
from databases.datasets.loading import load_task
from databases.records.benchmark_table import BenchmarkTable
from databases.records.importers.nasbench201 import CIFAR10
from databases.records.store import Store
from metad2a.recommend.model import MetaD2A, load
from metad2a.reports.report import Curve, Panel, Report, Table, Verdict, band, judged, paired
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.search.controllers import CONTROLLERS, controller
from metad2a.search.loop import run as search
from predictors.metrics import bootstrap_interval, percentiles

Values = npt.NDArray[np.float64]
RIVALS = ("random", "evolution", "reinforce")
RECIPE = "nasbench201"
WHOLE = "all parts"
MEASURES = ("first pick", "mean of ten", "best of ten by validation", "mean percentile of ten")
DRAWN = 500  # cells, where no dataset is asked
TRAINED = 3  # how many of the recommended are trained, the best taken by validation
PUBLISHED = "5,500 times faster than NSGANetV2 (published for MobileNetV3 on other datasets: another setting)"


@dataclass(frozen=True)
class _Search:
    """One rival's search: which, its seed, how long, and where the table is."""

    name: str
    seed: int
    trials: int
    table: BenchmarkTable


def _rows(job: _Search) -> tuple[str, int, list[int]]:
    """The rows of the table in the order in which the rival looked them up."""
    made = controller(job.name, space("nasbench201"), seed=job.seed)
    trace = search(made, job.table, trials=job.trials)
    return job.name, job.seed, _list(job.table.rows(trace.architectures))


def run(context: Context) -> Report:
    """Look-ups and training seconds that each rival needs until its best by validation is as good as our answer."""
    table = context.table(CIFAR10)
    with Store(context.database or "") as store:
        seconds = store.values(CIFAR10, RECIPE, metric="train_seconds")
    cost = np.array([seconds[str(each)] for each in table])
    context.say("recommending for CIFAR-10's images")
    begin = time.perf_counter()
    model = load()
    features = extract(load_task(context.image_source("cifar10"), as_stored=True))
    ours = _ranked(model, features, model.generate(features, recipe=RECIPE, seed=context.seed), table)
    answered = time.perf_counter() - begin
    count, trials = (5, 200) if context.fast else (20, 300)
    seeds = context.seeds(count)
    ablations = _ablations([_answers(model, features, table, seed) for seed in seeds], table)
    context.say(f"answered without parts, {count} draws each")
    names = [name for name in RIVALS if name in CONTROLLERS]
    jobs = [_Search(name, seed, trials, table) for name in names for seed in seeds]
    looked: dict[str, list[list[int]]] = {name: [] for name in names}
    for name, _, rows in context.run(_rows, jobs):
        looked[name].append(rows)
    wanted = float(_trained(ours[:TRAINED], table)[-1])
    needed = {name: [_needed(rows, table, cost, wanted) for rows in looked[name]] for name in names}
    spent = float(cost[ours[:TRAINED]].sum()) + answered
    return Report(
        system="metad2a",
        source="Lee, Hyung, Hwang, 2021 (ICLR)",
        setting=(
            f"NAS-Bench-201 table of CIFAR-10 (never trained on; published training seconds), {count} seeds, at most "
            f"{trials} look-ups; our answer takes {answered:.1f} s and then trains {TRAINED}; without parts: "
            f"{count} paired draws from one meta-model"
        ),
        tables=(_speed_table(needed, spent, trials), _ablation_table(ablations, table)),
        verdicts=(*_speed_verdicts(needed, spent, trials), *_ablation_verdicts(ablations)),
        panels=(_panel(looked, ours, table, trials),),
        figures={"answer_seconds": answered, "needed": needed, "ablations": _figures(ablations)},
    )


def _ranked(model: MetaD2A, features: TaskFeatures, pool: Sequence[Architecture], table: BenchmarkTable) -> list[int]:
    """Rows of the table, best expected first."""
    score = model.score(features, pool, recipe=RECIPE).mean
    return _list(table.rows([pool[i] for i in np.argsort(-score, kind="stable")]))


def _answers(model: MetaD2A, features: TaskFeatures, table: BenchmarkTable, seed: int) -> dict[str, list[int]]:
    """Rows of the table, best expected first, by the whole and by what is left of it without a part."""
    import torch

    drawn = model.generate(features, recipe=RECIPE, seed=seed)
    nothing = model.generator.generate(torch.zeros(model.generator.config.latent), DRAWN, seed=seed)
    unseen = list(dict.fromkeys(model.predictor_space.canonical(each) for each in nothing))
    cells = list(model.predictor_space.enumerate())
    some = [cells[i] for i in np.random.default_rng(seed).permutation(len(cells))[:DRAWN]]
    return {
        WHOLE: _ranked(model, features, drawn, table),
        f"without the generator ({DRAWN} random cells ranked)": _ranked(model, features, some, table),
        "without the predictor (draws as they come)": _list(table.rows(drawn)),
        "generator without the dataset (zero z)": _ranked(model, features, unseen, table),
        "random cells": _list(table.rows(some)),
    }


def _list(rows: npt.NDArray[np.int64]) -> list[int]:
    return [int(each) for each in rows]


def _trained(rows: Sequence[int], table: BenchmarkTable) -> Values:
    """Test accuracy of the best by validation after each look-up, (n,)."""
    picked, best = [], rows[0]
    for row in rows:
        best = row if table.valid[row] > table.valid[best] else best
        picked.append(table.test[best])
    return np.array(picked)


def _needed(rows: Sequence[int], table: BenchmarkTable, cost: Values, wanted: float) -> dict[str, Any]:
    """Look-ups and their training seconds until the pick is as good as ``wanted``; all of them where it never is."""
    reached = np.flatnonzero(_trained(rows, table) >= wanted)
    count = int(reached[0]) + 1 if len(reached) else len(rows)
    return {"lookups": count, "seconds": float(cost[list(rows[:count])].sum()), "reached": bool(len(reached))}


def _speed_table(needed: dict[str, list[dict[str, Any]]], spent: float, trials: int) -> Table:
    rows = [("ours", f"{TRAINED}", f"{spent / 3600:.1f}", "1", "all")]
    for name, runs in needed.items():
        times = [each["seconds"] for each in runs]
        reached = sum(each["reached"] for each in runs)
        rows.append(
            (
                name,
                f"{np.median([each['lookups'] for each in runs]):.0f}",
                f"{np.median(times) / 3600:.1f}",
                f"{np.median(times) / spent:.0f}",
                f"{reached} of {len(runs)} within {trials}",
            )
        )
    title = f"Trainings until as good as our best of {TRAINED} (medians). The paper: {PUBLISHED}"
    return Table(title, ("", ">trainings", ">GPU hours of the table", ">times ours", "reached"), tuple(rows))


def _ablations(answers: Sequence[dict[str, list[int]]], table: BenchmarkTable) -> dict[str, Values]:
    """What is left -> the `MEASURES` of its answers, test accuracies and a percentile: (seeds, 4)."""
    ranks = percentiles(table.test, table.test)

    def measured(rows: Sequence[int]) -> tuple[float, ...]:
        ten = rows[:10]
        return table.test[rows[0]], table.test[ten].mean(), _trained(ten, table)[-1], ranks[ten].mean()

    return {name: np.array([measured(each[name]) for each in answers]) for name in answers[0]}


def _lost(ablations: dict[str, Values], name: str) -> dict[str, float]:
    """How many points the first ten lose without the part, on average, paired by seed."""
    ten = MEASURES.index("mean of ten")
    return paired(ablations[WHOLE][:, ten], ablations[name][:, ten])


def _figures(ablations: dict[str, Values]) -> dict[str, Any]:
    return {
        name: {
            **dict(zip(MEASURES, values.mean(axis=0), strict=True)),
            "by seed": values,
            "mean of ten lost": None if name == WHOLE else _lost(ablations, name),
        }
        for name, values in ablations.items()
    }


def _ablation_table(ablations: dict[str, Values], table: BenchmarkTable) -> Table:
    rows = [(name, *(f"{value:.2f}" for value in values.mean(axis=0))) for name, values in ablations.items()]
    title = f"Test accuracy without parts, mean over seeds (optimum {table.test.max():.2f})"
    return Table(title, ("", *(f">{name}" for name in MEASURES)), tuple(rows))


def _speed_verdicts(needed: dict[str, list[dict[str, Any]]], spent: float, trials: int) -> list[Verdict]:
    found = []
    for name, runs in needed.items():
        log = np.log([each["seconds"] / spent for each in runs])
        interval = bootstrap_interval(log)
        low, middle, high = (float(np.exp(each)) for each in (interval.low, interval.mean, interval.high))
        more = "" if all(each["reached"] for each in runs) else f" (at least: some never did within {trials})"
        reached = f"{middle:.0f} times [{low:.0f}, {high:.0f}]{more}"
        times = {"mean": middle, "low": low, "high": high, "seeds": len(log)}
        claim = f"{name} needs longer than recommend and {TRAINED} trainings"
        found.append(judged(claim, "> 1", times, above=1, reached=reached))
    return found


def _ablation_verdicts(ablations: dict[str, Values]) -> list[Verdict]:
    found = []
    for name in ablations:
        if name != WHOLE:
            lost = _lost(ablations, name)
            claim = f"mean of the first ten is better than {name}"
            found.append(judged(claim, "interval above 0", lost, above=0))
    return found


def _panel(looked: dict[str, list[list[int]]], ours: Sequence[int], table: BenchmarkTable, trials: int) -> Panel:
    """Regret on the test set against look-ups, ours beside."""
    best = float(table.test.max())
    x = np.unique(np.geomspace(1, trials, 60).astype(int))
    curves: list[Curve] = []
    for name, runs in looked.items():
        regrets = [best - _trained(rows, table) for rows in runs]
        curves.append(band(name, x, [each[np.minimum(x, len(each)) - 1] for each in regrets]))
    line = best - _trained(ours[: max(x)], table)
    places = x[x <= len(line)]
    values = tuple(map(float, line[places - 1]))
    curves.append(Curve("ours, as recommended", tuple(map(float, places)), values, values, values))
    title, x_label = "CIFAR-10, NAS-Bench-201", "trainings (look-ups)"
    return Panel(title, x_label, "regret in points", tuple(curves), log_x=True, least=0)


DEMONSTRATION = Demonstration(
    "metad2a", "An answer at once, against searchers that measure; without its parts", "Lee et al., 2021", run
)
