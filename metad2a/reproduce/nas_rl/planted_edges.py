"""Planted skip connections: the subset head must find which earlier layers an artificial reward wants read.

Each layer of a chain decides, by attention over the earlier layers, which of them it reads (Zoph, Le, 2017). The
reward is the share of pairs of layers that are connected, or not, as planted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from databases.architectures.decisions import Chain, Decision
from databases.architectures.space import Architecture
from metad2a.reports.report import Curve, Table, Verdict, band, undecided
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.simulated import ProgramSpace
from metad2a.search.loop import run
from predictors.metrics import bootstrap_interval

METHODS = ("random", "REINFORCE, one pass", "four passes (PPO)", "four passes, shuffled rewards (control)")
SHARE = 0.4  # of the pairs that are planted
DRAWS = 50  # walks drawn from a policy to judge it
TARGET = 0.95
Edge = tuple[int, int]


@dataclass(frozen=True)
class EdgeSize:
    """How much is run: layers of the chain, samples that are rewarded, seeds, and samples between two looks."""

    layers: int = 8
    samples: int = 2000
    seeds: int = 20
    every: int = 200


FAST_EDGES = EdgeSize(layers=4, samples=400, seeds=3, every=100)


@dataclass(frozen=True)
class Found:
    """F1 of a method and seed. looks: (looks,) mean of the policy's draws. last: of its likeliest walk at the end."""

    method: str
    seed: int
    looks: tuple[float, ...]
    last: float


def skips(layers: int) -> ProgramSpace:
    """A chain of so many layers, each of which decides only what it reads."""
    reads = (Decision(f"layer {i} reads", kind="subset", adds_node=True) for i in range(layers))
    return ProgramSpace(f"skips-{layers}", Chain(*reads))


def edges(architecture: Architecture) -> frozenset[Edge]:
    """Every pair of layers of which the later reads the earlier."""
    return frozenset((j, i) for i, read in enumerate(architecture.walk) for j in range(i) if read >> j & 1)


def plant(layers: int, *, seed: int) -> frozenset[Edge]:
    """A random set of edges, at least one."""
    rng = np.random.default_rng([seed, 5])
    drawn = frozenset((j, i) for i in range(layers) for j in range(i) if rng.random() < SHARE)
    return drawn or frozenset({(0, layers - 1)})


def f1(found: frozenset[Edge], planted: frozenset[Edge]) -> float:
    """Harmonic mean of precision and recall, 0 to 1."""
    return 2 * len(found & planted) / (len(found) + len(planted))


def find(job: tuple[str, int, EdgeSize]) -> Found:
    """Lets one method learn from the rewards of its samples; `METHODS` names them."""
    from metad2a.search.controllers.learning_rule import Rule
    from metad2a.search.controllers.policy_gradient import PolicyGradient
    from metad2a.search.controllers.random_search import RandomSearch

    method, seed, size = job
    chosen, planted = skips(size.layers), plant(size.layers, seed=seed)
    pairs = size.layers * (size.layers - 1) / 2
    order = np.random.default_rng([seed, 6])

    def reward(architectures: Sequence[Architecture]) -> list[float]:
        values = [100 * (1 - len(edges(each) ^ planted) / pairs) for each in architectures]
        return order.permutation(values).tolist() if "control" in method else values

    if method == "random":
        drawn = run(RandomSearch(chosen, seed=seed), reward, trials=min(size.samples, chosen.size), batch=DRAWS)
        mean = float(np.mean([f1(edges(each), planted) for each in drawn.architectures[:DRAWS]]))
        return Found(method, seed, (mean,) * (size.samples // size.every), f1(edges(drawn.best), planted))
    rule = Rule(batch=50, learning_rate=5e-3, entropy=0.05)
    rule = rule if method == METHODS[1] else replace(rule, epochs=4)
    policy, looks = PolicyGradient(chosen, seed=seed, rule=rule, repeats=True), []
    for _ in range(size.samples // size.every):
        run(policy, reward, trials=size.every, batch=rule.batch)
        looks.append(float(np.mean([f1(edges(each), planted) for each in policy.draw(DRAWS, seed=seed)])))
    return Found(method, seed, tuple(looks), f1(edges(policy.likeliest()), planted))


def show_edges(context: Context) -> tuple[Table, Verdict, tuple[Curve, ...], dict[str, Any]]:
    """The table, the verdict, the curves and the figures of all methods."""
    size = FAST_EDGES if context.fast else EdgeSize()
    seeds = context.seeds(size.seeds)
    jobs = [(method, seed, size) for method in METHODS for seed in seeds]
    done = {(each.method, each.seed): each for each in context.run(find, jobs)}
    context.say(f"planted edges: {len(done)} runs of {size.samples:,} samples")
    rows, curves, figures = [], [], dict[str, Any]()
    for method in METHODS:
        looks = np.array([done[method, seed].looks for seed in seeds])  # (seeds, looks)
        last = np.array([done[method, seed].last for seed in seeds])
        drawn, likeliest = (bootstrap_interval(values, list(seeds)) for values in (looks[:, -1], last))
        rows.append((method, str(drawn), str(likeliest), f"{(last >= TARGET).sum()} of {len(last)}"))
        figures[method] = {
            "drawn": {**drawn.to_json(), "of_seeds": looks[:, -1]},
            "likeliest": {**likeliest.to_json(), "of_seeds": last},
        }
        curves.append(band(method, np.arange(1, looks.shape[1] + 1) * size.every, looks))
    title = (
        f"Planted skip connections: {size.layers} layers, {size.samples:,} samples, {size.seeds} seeds; "
        "F1, mean and 95% interval"
    )
    headings = ("Method", ">F1 of the policy's samples", ">F1 of its likeliest (random: best)", f">F1 >= {TARGET}")
    best = figures[METHODS[2]]["drawn"]
    verdict = Verdict(
        "the policy's samples have the planted skip connections (four passes)",
        f"F1 >= {TARGET}",
        rows[2][1],
        best["mean"] >= TARGET,
        undecided(best, TARGET),
    )
    return Table(title, headings, tuple(rows)), verdict, tuple(curves), figures
