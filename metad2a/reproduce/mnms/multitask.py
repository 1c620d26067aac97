"""Multitask neural model search over tables: one controller learns known tasks and goes on with held-out ones.

A new task begins with the controller's weights and with the embedding whose first few draws score best on it; these
draws count as trials.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from databases.architectures.space import space
from databases.records.benchmark_table import BenchmarkTable
from metad2a.reproduce.mnms.task_families import SPACE, Family
from metad2a.reproduce.policies import Followed, Values, follow
from metad2a.search.controllers.learning_rule import Rule
from metad2a.search.controllers.policy_gradient import PolicyGradient, multitask
from metad2a.search.controllers.warm_start import WARM
from predictors.metrics import percentiles

PROBES = 2  # draws with each embedding that a new task may begin with
TOGETHER = Rule(batch=20, learning_rate=1e-2, entropy=0.03, epochs=4, replay=40)
RULE = Rule(batch=10, learning_rate=1e-2, entropy=0.03, epochs=4, replay=30)  # chosen from scratch on CIFAR-100
WANTED, MOST, LEAST, DRAWS = 95.0, 200, 20, 400
A_TURN = 5  # trials of a task before the next task's turn


@dataclass(frozen=True)
class Job:
    """One seed: ``trials`` of each known task, then the held-out ones; ``single``: each known task alone as well."""

    family: Family
    seed: int
    trials: int
    single: bool


@dataclass(frozen=True)
class Learnt:
    """What one seed showed.

    Attributes:
        fresh, transferred: held-out task -> how its search went. multi, single: (known,) mean value of the draws.
        embeddings: (known, c).
    """

    fresh: dict[str, Followed]
    transferred: dict[str, Followed]
    multi: Values
    single: Values
    embeddings: Values


def train_controllers(job: Job) -> tuple[Job, Learnt]:
    """One controller for the known tasks, and its weights' worth on the held-out ones."""
    known, chosen = job.family.known, space(SPACE)
    names = [each.task for each in known]
    together = multitask(chosen, seed=job.seed, repeats=True, rule=TOGETHER, tasks=names)
    _train(together, known, job.trials)
    embeddings = torch.stack([together.embedding(name) for name in names])
    fresh, transferred = {}, {}
    for table in job.family.held_out:
        scratch = multitask(chosen, seed=job.seed, repeats=True, rule=RULE, tasks=(table.task,))
        fresh[table.task] = _search(scratch, table, [])
        transferred[table.task] = _transferred(together, embeddings, table, job.seed)
    alone = [
        multitask(chosen, seed=job.seed, repeats=True, rule=RULE, tasks=(each.task,)) for each in known if job.single
    ]
    for policy, table in zip(alone, known, strict=False):
        _train(policy, [table], job.trials)
    multi = np.array([_mean(together, table, table.test) for table in known])
    single = np.array([_mean(policy, table, table.test) for policy, table in zip(alone, known, strict=False)])
    return job, Learnt(fresh, transferred, multi, single, embeddings.numpy())


def _train(policy: PolicyGradient, tables: Sequence[BenchmarkTable], trials: int) -> None:
    """``trials`` of each task, in turns."""
    for _ in range(trials // A_TURN):
        for table in tables:
            asked = policy.ask(A_TURN, task=table.task)
            policy.tell(asked, table(asked), task=table.task)


def _mean(policy: PolicyGradient, table: BenchmarkTable, values: Values) -> float:
    """Mean value of what the policy would draw."""
    return float(values[table.rows(policy.draw(DRAWS, task=table.task))].mean())


def _search(policy: PolicyGradient, table: BenchmarkTable, before: Sequence[float]) -> Followed:
    """The search of a held-out task; ``before``: percentiles that were drawn before it began."""
    ranks = percentiles(table.test, table.test)
    found = follow(policy, table, lambda: _mean(policy, table, ranks), trials=MOST, until=WANTED, least=LEAST)
    return Followed(np.concatenate([np.full(len(before), np.mean(before or 0)), found.means]), found.asked)


def _transferred(together: PolicyGradient, embeddings: Tensor, table: BenchmarkTable, seed: int) -> Followed:
    """Goes on from the weights, and from the embedding whose first few draws score best: a known task's, or the mean.

    These first draws are trials too.
    """
    ranks, begins = percentiles(table.test, table.test), [*embeddings, embeddings.mean(0)]

    def policy(context: Tensor) -> PolicyGradient:
        given: dict[str, Any] = {"decoder": copy.deepcopy(together.decoder), "contexts": context[None]}
        return multitask(together.space, seed=seed, repeats=True, rule=WARM, tasks=(table.task,), **given)

    tried = [policy(each).draw(PROBES, seed=seed) for each in begins]
    best = int(np.argmax([np.mean(table(each)) for each in tried]))
    return _search(policy(begins[best]), table, [float(ranks[row]) for each in tried for row in table.rows(each)])
