"""What the demonstrations of policies count: means after updates, chances among few cells, cells of every seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import CLASSES, GENERATOR, episode, task

from databases.architectures.space import Architecture, space
from databases.records.benchmark_table import BenchmarkTable
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.generate.generator import Generator
from metad2a.reproduce import warm_start
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.held_out_tasks import CELLS as CELLS_OF_JUDGED
from metad2a.reproduce.held_out_tasks import RECIPE, _table
from metad2a.reproduce.policies import AmongMeasured, follow
from metad2a.reproduce.warm_start import GENERATOR as ALONE
from metad2a.reproduce.warm_start import OURS, RANDOM, SCRATCH, SHUFFLED, Job, Start, _less, searched
from metad2a.search.controllers.learning_rule import Rule
from metad2a.search.controllers.policy_gradient import PolicyGradient
from metad2a.search.controllers.warm_start import from_generator

NASBENCH = space("nasbench201")
CELLS = CLASSES[1000:1020]
FAST = Rule(batch=5, learning_rate=3e-2, entropy=0.0, epochs=4)


def convolutions(architectures: Sequence[Architecture]) -> list[float]:
    return [float(sum(op == 3 for op in each.walk)) for each in architectures]


def small_table() -> BenchmarkTable:
    values = np.array(convolutions(CELLS))
    return BenchmarkTable("made up", "r", tuple(CELLS), values, 10 * values)


def test_the_mean_is_looked_at_after_each_update_and_the_first_that_is_enough_ends_it() -> None:
    policy, looked = PolicyGradient(NASBENCH, rule=FAST), iter(range(100))
    found = follow(policy, convolutions, lambda: float(next(looked)), trials=12)
    assert found.means.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2] and len(found.asked) == 12
    assert found.needed(1) == 5 and found.needed(0) == 0 and found.needed(3) == 13
    looked = iter(range(100))
    early = follow(PolicyGradient(NASBENCH, rule=FAST), convolutions, lambda: float(next(looked)), trials=40, until=2)
    assert len(early.asked) == 10 and early.needed(2) == 10


def test_chances_among_few_cells_are_the_policys_renormalised() -> None:
    policy = PolicyGradient(NASBENCH, rule=FAST)
    few = AmongMeasured(policy, CELLS, seed=0)
    wide = policy.log_probability(CELLS).exp().numpy()
    np.testing.assert_allclose(few.chances(), wide / wide.sum(), rtol=1e-4)
    drawn = few.ask(2000)
    share = np.array([drawn.count(cell) for cell in CELLS]) / 2000
    assert np.abs(share - few.chances()).max() < 0.03


def test_a_policy_among_few_cells_learns_which_pay_though_they_are_trained_again() -> None:
    few = AmongMeasured(PolicyGradient(NASBENCH, rule=FAST), CELLS, seed=0)
    worth = np.array(convolutions(CELLS))
    found = follow(few, convolutions, lambda: float(few.chances() @ worth), trials=60)
    assert found.means[-1] > found.means[0] + 0.7


def test_regret_of_random_is_constant_and_that_of_the_generator_alone_too() -> None:
    given = from_generator(Generator(GENERATOR).eval(), task(), recipe="tiny")
    table, runs = small_table(), np.repeat(np.array(convolutions(CELLS))[:, None], 3, axis=1)
    start = Start(given["decoder"], given["z"], -given["z"])
    found = {label: searched(Job(label, (0, 1), start, table, runs))[1] for label in (OURS, RANDOM, ALONE, SHUFFLED)}
    assert all(each.shape == (2, 2, 30) for each in found.values())
    np.testing.assert_allclose(found[RANDOM][:, 0], table.test.max() - table.test.mean())
    np.testing.assert_allclose(found[ALONE][:, 0], found[OURS][:, 0, :1].repeat(30, axis=1), rtol=1e-4)
    assert (np.diff(found[OURS][:, 1]) <= 0).all()  # told the truth, the best so far only improves
    assert found[OURS][:, 0, -1].mean() < found[ALONE][:, 0, -1].mean()
    assert found[OURS][:, 0, -1].mean() < found[SHUFFLED][:, 0, -1].mean()
    less = _less({label: each[:, 0] for label, each in found.items()}, range(2))
    assert less[ALONE][-1]["mean"] > 0 == less[OURS][-1]["mean"]


def test_a_task_that_was_trained_often_keeps_the_cells_of_every_seed_another_the_first_of_each(tmp_path: Path) -> None:
    with Store(tmp_path / "own.db") as store:
        store.add_task(TaskEntry("print", "name", "source", {}, {}))
        texts = [str(each) for each in CELLS[:3]]
        store.add(
            Record("print", "nasbench201", text, RECIPE, seed, "test", 50.0 + i + 10 * seed, 60.0 + i + seed)
            for i, text in enumerate(texts)
            for seed in range(3)
            if (i, seed) != (1, 2)
        )
        features = replace(task(), fingerprint="print")
        once = episode(features, list(range(CELLS_OF_JUDGED)), [50.0] * CELLS_OF_JUDGED)
        table, runs = _table(store, replace(once, by_seed=np.full((CELLS_OF_JUDGED, 3), 50.0)))
        first, single = _table(store, once)
    assert runs.shape == (2, 3) and set(table.test) == {61.0, 63.0}
    assert single.shape == (3, 1) and set(first.test) == {60.0, 61.0, 62.0}


@pytest.mark.slow
def test_a_small_run_on_cifar_10_shows_the_start_and_the_learning(shared: Path, tables: str, few_probed: None) -> None:
    report = warm_start.run(Context(True, database=tables, images=shared / "images", workers=1, say=lambda line: None))
    assert [each.holds for each in report.verdicts[:2]] == [True, True]
    more = report.figures["more_than_warm_start"]["CIFAR-10"]
    assert more[SCRATCH][0]["low"] > 2 and more[RANDOM][29]["low"] > 4 and more[OURS][0]["mean"] == 0
    assert len(report.panels) == 2 and len(report.tables) == 2
