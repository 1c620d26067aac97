"""The demonstration of graph search spaces: both forms say the same, its arithmetic, and a small run of every part."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.graph_space import demonstration as graph_space
from metad2a.reproduce.graph_space.demonstration import (
    CONTROL,
    DIGITS,
    FLAT,
    GRAPH,
    RANDOM,
    WINDOW,
    Job,
    Size,
    policy,
    times_fewer,
    trials_until_good,
)
from metad2a.reproduce.graph_space.digit_networks import KNOBS, accuracy, named, network, problem
from metad2a.reproduce.graph_space.graph_problems import PROBLEMS, TYPES, layered, layers
from metad2a.reproduce.simulated import ProgramSpace

SMALL = Size({"iterative": (4, 5), "branching": (2, 3), "nested": (2,)}, depth=1, seeds=2, most=WINDOW + 10)


def test_a_graph_decides_what_there_is_and_a_list_every_place() -> None:
    graph = ProgramSpace("graph", layered(TYPES, 2, form=GRAPH)).architecture((1, 3, 1, 2, 0, 2))
    flat = ProgramSpace("flat", layered(TYPES, 2, form=FLAT)).architecture((1, 1, 0, 0, 0, 3, 0, 0, 2, 1, 1, 2, 3, 0, 2))  # fmt: skip # noqa: E501
    assert layers(graph.walk, TYPES, form=GRAPH) == [("pooling", (3,)), ("dense", (0, 2))]
    assert layers(flat.walk, TYPES, form=FLAT) == [("pooling", (3,)), ("dense", (0, 2))]
    assert layers((0, *flat.walk[1:]), TYPES, form=FLAT) == [("pooling", (3,))]


@pytest.mark.parametrize("name", PROBLEMS)
def test_rewards_are_shares_and_chance_is_far_from_good(name: str) -> None:
    for form in (GRAPH, FLAT):
        found, rng = PROBLEMS[name](6, 3, form=form), np.random.default_rng(0)
        rewards = [found.reward(found.space.sample(rng).walk) for _ in range(200)]
        assert 0 <= min(rewards) and max(rewards) <= 1 and np.mean(rewards) < found.good - 0.15


def test_the_policy_becomes_good_in_a_graph_and_random_search_does_not() -> None:
    case = ("iterative", 4)
    assert WINDOW <= trials_until_good(Job(case, GRAPH, 3, 900))[1] < 900
    assert trials_until_good(Job(case, RANDOM, 3, 900))[1] == 900
    assert trials_until_good(Job(("branching", 1), RANDOM, 3, 900))[1] == 900  # although it has no more than 16 walks
    same, other = (str(policy(PROBLEMS["nested"](2, 0, form=GRAPH).space, Job(case, form, 3, 1)).draw(5)) for form in (GRAPH, CONTROL))  # fmt: skip # noqa: E501
    assert same != other


def test_networks_of_any_layers_are_built_and_learn() -> None:
    found = (("dense", ("16",)), ("pooling", ("max",)), ("convolution", ("8", "3")), ("dense", ("64",)))
    assert network(found)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    shrunk = network((("pooling", ("average",)), ("convolution", ("8", "3")), ("pooling", ("max",))))
    assert shrunk[:-3](torch.zeros(2, 1, 8, 8)).shape == (2, 8, 2, 2)
    assert named((2, 1, 1, 0, 0, 1), form=GRAPH) == (("dense", ("64",)), ("convolution", ("8", "3")))
    good = (("convolution", ("16", "3")), ("dense", ("64",)))
    assert accuracy(good) == accuracy(good) > 60


def test_the_real_problem_is_a_look_up_and_asks_for_the_best_tenth() -> None:
    every = [named(each.walk, form=GRAPH) for each in ProgramSpace("", layered(KNOBS, 1, form=GRAPH)).enumerate()]
    values = {each: float(i) for i, each in enumerate(every)}
    found = problem(1, values, form=FLAT)
    assert len(every) == 8 and found.good == pytest.approx(0.063)
    assert found.reward((0, 2, 0, 0, 0, 1)) == values[("dense", ("64",)),] / 100


def test_times_fewer_is_the_geometric_mean_of_paired_ratios() -> None:
    case = ("iterative", 5)
    trials = {(case, GRAPH): np.array([100.0, 200.0]), (case, FLAT): np.array([200.0, 1600.0])}
    found = times_fewer(trials, case)
    assert found["mean"] == pytest.approx(4) and 2 - 1e-9 < found["low"] < found["high"] < 8 + 1e-9


@pytest.mark.slow
def test_a_small_run_shows_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_space, "FAST", SMALL)
    report = graph_space.run(Context(fast=True, workers=1, say=lambda line: None))
    assert report.figures["digits"]["networks"] == 8
    assert all(set(report.figures[f"branching {size}"]) == {GRAPH, FLAT, CONTROL, RANDOM} for size in (2, 3))
    assert len(report.figures[f"{DIGITS} 1"][FLAT]["trials"]) == 2
    assert [len(each.curves) for each in report.panels] == [4] * 6
    assert all(curve.middle[0] == 0 and curve.x[-1] == SMALL.most for each in report.panels for curve in each.curves)
    assert len(report.verdicts) == 8
