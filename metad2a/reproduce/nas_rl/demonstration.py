"""NAS with reinforcement learning: a recurrent policy on a table, planted skip connections, a recurrent cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.space import space
from databases.records.benchmark_table import BenchmarkTable
from databases.records.importers.nasbench201 import CIFAR10
from metad2a.compare.comparison import Rows, incumbents, shuffled
from metad2a.reports.report import Panel, Report, Table, Verdict, band, judged, paired, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.nas_rl.planted_edges import show_edges
from metad2a.reproduce.nas_rl.recurrent_cell import show_cells
from metad2a.search.loop import run as search
from predictors.metrics import bootstrap_interval, percentiles

SOURCE = "Zoph, Le, ICLR 2017"
POLICY, RANDOM, CONTROL = "REINFORCE", "random", "REINFORCE, shuffled accuracies (control)"
METHODS = {POLICY: "reinforce", RANDOM: "random", CONTROL: "reinforce"}
DRAWS = 100  # cells drawn from a policy to judge it
TARGET = 95.0  # percentile
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is run on the table: look-ups, paired seeds, and look-ups between two looks at the policy."""

    trials: int = 300
    seeds: int = 60  # with 20 the control was better than random search by chance, with 60 it is not
    every: int = 30


FAST = Size(trials=120, seeds=6, every=40)


@dataclass(frozen=True, eq=False)
class Walked:
    """One method and seed. rows: (trials,) looked up. looks: (looks,) mean test percentile of the policy's draws."""

    method: str
    seed: int
    rows: Rows
    looks: Values


def walk(job: tuple[str, int, BenchmarkTable, Size]) -> Walked:
    """Searches the table with one method, and looks at what its policy draws as it learns."""
    from metad2a.search.controllers import controller
    from metad2a.search.controllers.policy_gradient import PolicyGradient

    method, seed, table, size = job
    chosen = space(table.architectures[0].space)
    searcher = controller(METHODS[method], chosen, seed=seed)
    told = shuffled(table, seed) if method == CONTROL else table
    trace, looks, rng = None, [], np.random.default_rng([seed, 3])
    for trials in range(size.every, size.trials + 1, size.every):
        trace = search(searcher, told, trials=trials, batch=10, trace=trace)
        if isinstance(searcher, PolicyGradient):
            drawn = searcher.draw(DRAWS, seed=seed)
        else:
            drawn = [chosen.sample(rng) for _ in range(DRAWS)]
        looks.append(percentiles(table.test[table.rows(drawn)], table.test).mean())
    assert trace is not None
    return Walked(method, seed, table.rows(trace.architectures), np.array(looks))


def run(context: Context) -> Report:
    """All three parts."""
    size = FAST if context.fast else Size()
    table = context.table(CIFAR10)
    seeds = context.seeds(size.seeds)
    jobs = [(method, seed, table, size) for method in METHODS for seed in seeds]
    walked = {(each.method, each.seed): each for each in context.run(walk, jobs)}
    context.say(f"table: {len(walked)} searches of {size.trials} look-ups")
    rows = {method: np.stack([walked[method, seed].rows for seed in seeds]) for method in METHODS}
    test = {method: table.test[incumbents(table, found)] for method, found in rows.items()}  # (seeds, trials)
    looks = {method: np.stack([walked[method, seed].looks for seed in seeds]) for method in METHODS}
    figures = _figures(test, looks)
    planted, edge_verdict, edge_curves, edge_figures = show_edges(context)
    cells, cell_verdicts, cell_curves, cell_figures = show_cells(context)
    return Report(
        "nas-rl",
        SOURCE,
        f"{size.trials} look-ups in CIFAR-10's table of NAS-Bench-201, {size.seeds} paired seeds, the best by "
        "validation is judged by test; an artificial reward for skip connections; recurrent cells on the topics of "
        f"Python {cell_figures['python']}, split by document",
        (_table(figures, size, float(table.test.max())), planted, *cells),
        (*_verdicts(figures, size), edge_verdict, *cell_verdicts),
        (
            *_panels({method: table.test.max() - found for method, found in test.items()}, looks, size),
            Panel("Planted skip connections", "samples", "F1", edge_curves, least=0, most=1),
            Panel("Best recurrent cell so far", "children", "validation perplexity", cell_curves),
        ),
        {"table": figures, "planted_edges": edge_figures, "recurrent_cells": cell_figures},
    )


def _figures(test: dict[str, Values], looks: dict[str, Values]) -> dict[str, Any]:
    """The best look-up and the policy's samples of each method."""
    figures = {}
    for method in METHODS:
        best, drawn = test[method][:, -1], looks[method][:, -1]
        mean = bootstrap_interval(drawn)
        figures[method] = {
            "best": best.tolist(),
            "above_random": paired(best, test[RANDOM][:, -1]),
            "percentile": {**mean.to_json(), "of_seeds": drawn.tolist()},
        }
    return figures


def _table(figures: dict[str, Any], size: Size, most: float) -> Table:
    rows = [
        (
            method,
            f"{np.median(found['best']):.2f}",
            "" if method == RANDOM else with_interval(found["above_random"]),
            with_interval(found["percentile"], ".1f"),
        )
        for method, found in figures.items()
    ]
    headings = ("Searcher", ">Test, median", ">Above random, mean [95%]", ">Percentile of its samples, mean [95%]")
    title = f"{CIFAR10}: best of {size.trials} look-ups (best of all {most:.2f}); the policy's samples after them"
    return Table(title, headings, tuple(rows))


def _verdicts(figures: dict[str, Any], size: Size) -> tuple[Verdict, ...]:
    gain, drawn = figures[POLICY]["above_random"], figures[POLICY]["percentile"]
    control = figures[CONTROL]["above_random"]
    return (
        judged(f"the best of {size.trials} look-ups is better than random search's", "interval above 0", gain, above=0),
        judged(
            "the policy's mean sample reaches the 95th percentile",
            f"at least {TARGET:.0f}",
            drawn,
            above=TARGET,
            form=".1f",
            learnt=True,
        ),
        Verdict(
            "told shuffled accuracies, it is not better than random search (control)",
            "interval not above 0",
            with_interval(control),
            control["low"] <= 0,
        ),
    )


def _panels(regret: dict[str, Values], looks: dict[str, Values], size: Size) -> tuple[Panel, Panel]:
    steps, at = np.arange(10, size.trials + 1), np.arange(1, looks[POLICY].shape[1] + 1) * size.every
    best = tuple(band(method, steps, regret[method][:, steps - 1]) for method in METHODS)
    samples = tuple(band(method, at, looks[method]) for method in METHODS)
    return (
        Panel("Best of so many look-ups", "look-ups", "test regret", best, log_x=True, least=0),
        Panel("The policy's samples", "look-ups", "mean test percentile", samples, least=0, most=100),
    )


DEMONSTRATION = Demonstration("nas-rl", "NAS with reinforcement learning", SOURCE, run)
