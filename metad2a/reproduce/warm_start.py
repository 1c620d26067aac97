"""The warm start: MetaD2A's generator begins a controller that goes on learning from the user's own trainings.

Judged by the mean regret of what the policy would draw after each of the first trainings: on CIFAR-10's table, which
the generator never saw, and on own tasks, each with a generator that saw neither its source nor relatives of it. An
own task was trained on some twenty cells only: there every policy's chances are renormalised over the measured cells,
a training gives the validation accuracy of one of the measured seeds (most tasks have one), and regret is in the mean
test accuracy.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from databases.architectures.space import Architecture, space
from databases.datasets.features import extract
from databases.datasets.loading import load_task
from databases.records.benchmark_table import BenchmarkTable
from databases.records.importers.nasbench201 import CIFAR10
from metad2a.generate.decoder import GraphDecoder
from metad2a.recommend.model import load
from metad2a.reports.report import Curve, Panel, Report, Table, Verdict, band, judged, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.held_out_tasks import ENOUGH, RECIPE, SEEDS, SPACE, OwnTask, held_out_tasks, is_judged
from metad2a.reproduce.mnms.multitask import RULE
from metad2a.reproduce.policies import DRAWS, AmongMeasured, Followed, Values, follow
from metad2a.search.controllers.policy_gradient import PolicyGradient
from metad2a.search.controllers.warm_start import STILL, WARM, warm_start
from metad2a.search.loop import Measure
from predictors.metrics import bootstrap_interval

SOURCE = "Lee, Hyung, Hwang, 2021; Wong, Houlsby, Lu, Gesmundo, 2018"
OURS, SCRATCH, RANDOM, GENERATOR = "warm start", "from scratch", "random", "generator, not learning"
OTHER, SHUFFLED = "another task's z (control)", "shuffled rewards (control)"
LABELS = (OURS, SCRATCH, RANDOM, GENERATOR, OTHER, SHUFFLED)
TRIALS, LOOKED_AT = 30, (1, 5, 10, 20, 30)
OWN_SEEDS = 10  # of each own task
FRESH = replace(RULE, batch=WARM.batch, replay=0)  # what suits a policy that begins from scratch
STEPS = 200  # of a generator that leaves a family out
Curves = dict[str, Values]  # label -> (runs, trials)
Shown = dict[str, list[dict[str, Any]]]  # label -> how much more regret than ours after each training


@dataclass(frozen=True)
class Start:
    """Where policies begin: a generator's decoder, the task's latent vector (c,) and another task's."""

    decoder: GraphDecoder
    z: Tensor
    other: Tensor

    def policy(self, label: str, seed: int) -> PolicyGradient:
        """The policy of that label."""
        if label == SCRATCH:
            return PolicyGradient(space(SPACE), seed=seed, rule=FRESH)
        z, rule = self.other if label == OTHER else self.z, STILL if label == GENERATOR else WARM
        return warm_start(space(SPACE), decoder=self.decoder, z=z, seed=seed, rule=rule)


@dataclass(frozen=True)
class Job:
    """Searches on one task; with ``runs`` (cells, seeds) among the measured cells, else in the whole space."""

    label: str
    seeds: tuple[int, ...]
    start: Start
    table: BenchmarkTable
    runs: Values | None = None


def searched(job: Job) -> tuple[Job, Values]:
    """(seeds, 2, trials) regret after each training: of the policy's mean draw, and of the best by validation."""
    return job, np.stack([_search(job, seed) for seed in job.seeds])


def _search(job: Job, seed: int) -> Values:
    table, rng = job.table, np.random.default_rng([seed, 1])
    runs = table.valid[:, None] if job.runs is None else job.runs
    told = rng.permutation(runs) if job.label == SHUFFLED else runs
    values: list[float] = []

    def measure(architectures: Sequence[Architecture]) -> list[float]:
        values.extend(float(rng.choice(told[row])) for row in table.rows(architectures))
        return values[-len(architectures) :]

    if job.label == RANDOM:
        rows = rng.choice(len(runs), size=TRIALS, replace=job.runs is not None)
        measure([table.architectures[row] for row in rows])
        means = np.full(TRIALS, table.test.mean())
    else:
        found = _followed(job, seed, measure)
        rows, means = table.rows(found.asked), found.means[1:]
    best = [rows[int(np.argmax(values[: n + 1]))] for n in range(len(rows))]
    return np.stack([table.test.max() - means, table.test.max() - table.test[best]])


def _followed(job: Job, seed: int, measure: Measure) -> Followed:
    policy, table = job.start.policy(job.label, seed), job.table
    if job.runs is not None:
        few = AmongMeasured(policy, table.architectures, seed=seed)
        return follow(few, measure, lambda: float(few.chances() @ table.test), trials=TRIALS)
    drawn = partial(policy.draw, DRAWS, seed=seed)
    return follow(policy, measure, lambda: float(table.test[table.rows(drawn())].mean()), trials=TRIALS)


def run(context: Context) -> Report:
    """Follows the policies on CIFAR-10's table and, in the full run, on the own tasks."""
    seeds = 2 if context.fast else 20
    curves, best = _on_table(context, seeds)
    less = {"CIFAR-10": _less(curves, range(seeds))}
    tables = [
        _table("CIFAR-10, what the policy draws", curves, less["CIFAR-10"]),
        _table("CIFAR-10, best so far by validation", best, _less(best, range(seeds))),
    ]
    panels = [
        Panel("CIFAR-10: what the policy draws", "trainings", "mean test regret", _bands(curves), least=0),
        Panel("CIFAR-10: best so far", "trainings", "test regret", _bands(best, first=3), least=0),
    ]
    note = "the own tasks are part of the full run"
    if not context.fast:
        own = _own_tasks(context)
        less["own tasks"], tables, note = own.less, [*tables, *own.tables], own.note
        panels.append(own.panel)
    return Report(
        "warm-start",
        SOURCE,
        f"NAS-Bench-201's table of CIFAR-10 with the shipped generator, which never saw it; {seeds} paired seeds, "
        f"{TRIALS} trainings, {DRAWS:,} draws of a policy, accuracies of the test set; from scratch learns by the rule "
        f"chosen for that on CIFAR-100; {note}",
        tuple(tables),
        tuple(verdict for world, found in less.items() for verdict in _verdicts(world, found)),
        tuple(panels),
        {"seeds": seeds, "regret": {k: v.mean(0) for k, v in curves.items()}, "more_than_warm_start": less},
    )


@dataclass(frozen=True)
class Section:
    """What the own tasks add to the report; ``less``: the warm start's regret below each other policy's."""

    less: Shown
    tables: tuple[Table, ...]
    panel: Panel
    note: str


def _own_tasks(context: Context) -> Section:
    tasks = held_out_tasks(context, steps=STEPS)
    own = _on_own_tasks(tasks, context)
    less = _less(own, _families(tasks))
    often = [each for each in tasks if is_judged(each.episode.by_seed)]
    few = {label: np.concatenate([_of(runs, tasks, each) for each in often]) for label, runs in own.items()}
    over = {label: runs.reshape(len(tasks), OWN_SEEDS, -1).mean(0) for label, runs in own.items()}
    return Section(
        less,
        (
            _table(f"{len(tasks)} own tasks, what the policy draws", own, less),
            _table(f"The {len(often)} of them trained under {SEEDS} seeds", few, _less(few, _families(often))),
        ),
        Panel("Own tasks: what the policy draws", "trainings", "mean test regret", _bands(over), least=0),
        f"{len(tasks)} own tasks with {ENOUGH} measured cells or more, {OWN_SEEDS} seeds each, intervals by "
        f"their {len({each.episode.family for each in tasks})} sources (all but Tiny ImageNet, which the backbone "
        f"has seen); most were trained once, so that there validation and test accuracy are of the same training",
    )


def _on_table(context: Context, seeds: int) -> tuple[Curves, Curves]:
    """(seeds, trials) regret of the policies' draws, and of the best so far."""
    table, generator = context.table(CIFAR10), load().generator
    z, other = (
        generator.latent(extract(load_task(context.image_source(name), as_stored=True)), recipe="nasbench201")
        for name in ("cifar10", "mnist")
    )
    start = Start(generator.decoder, z, other)
    every = context.seeds(seeds)
    groups = [tuple(every[first : first + 5]) for first in range(0, seeds, 5)]
    jobs = [Job(label, group, start, table) for label in LABELS for group in groups]
    return _all(jobs, context, "CIFAR-10")


def _on_own_tasks(tasks: Sequence[OwnTask], context: Context) -> Curves:
    """(tasks x seeds, trials) regret of the policies' draws."""
    jobs = []
    for ours in tasks:
        seen = [_z(ours, each) for each in tasks]
        z = _z(ours, ours)
        farthest = seen[int(torch.stack([(each - z).norm() for each in seen]).argmax())]
        start = Start(ours.generator.decoder, z, farthest)
        jobs += [Job(label, tuple(context.seeds(OWN_SEEDS)), start, ours.table, ours.runs) for label in LABELS]
    return _all(jobs, context, "own tasks")[0]


def _families(tasks: Sequence[OwnTask]) -> list[str]:
    """The source of each run, by which intervals are drawn."""
    return [each.episode.family for each in tasks for _ in range(OWN_SEEDS)]


def _of(runs: Values, tasks: Sequence[OwnTask], task: OwnTask) -> Values:
    """(seeds, trials): the runs of one of the tasks."""
    first = tasks.index(task) * OWN_SEEDS
    return runs[first : first + OWN_SEEDS]


def _z(ours: OwnTask, shown: OwnTask) -> Tensor:
    """What our generator makes of a task's images."""
    return ours.generator.latent(shown.episode.features, recipe=RECIPE)


def _all(jobs: Sequence[Job], context: Context, said: str) -> tuple[Curves, Curves]:
    """Every label's runs, in the order of the jobs."""
    done = {}
    for job, found in context.run(searched, jobs):
        done[job.label, job.table.task, job.seeds] = found
        if len(done) % len(LABELS) == 0:
            context.say(f"{said}: {len(done)} of {len(jobs)} groups of searches")
    runs = {
        label: np.concatenate([done[each.label, each.table.task, each.seeds] for each in jobs if each.label == label])
        for label in LABELS
    }
    return {label: each[:, 0] for label, each in runs.items()}, {label: each[:, 1] for label, each in runs.items()}


def _less(curves: Curves, groups: Sequence[Hashable]) -> Shown:
    """How much more regret than ours every other has after each training: paired, 95% intervals over ``groups``."""
    found: Shown = {}
    for label, runs in curves.items():
        found[label] = [bootstrap_interval(each, groups).to_json() for each in (runs - curves[OURS]).T]
    return found


def _bands(curves: Curves, *, first: int = 1) -> tuple[Curve, ...]:
    steps = np.arange(first, TRIALS + 1)
    return tuple(band(label, steps, runs[:, first - 1 :]) for label, runs in curves.items())


def _table(title: str, curves: Curves, less: Shown) -> Table:
    rows = tuple(
        (
            label,
            *(f"{runs[:, n - 1].mean():.2f}" for n in LOOKED_AT),
            *(("", "") if label == OURS else (with_interval(less[label][n - 1]) for n in (1, TRIALS))),
        )
        for label, runs in curves.items()
    )
    headings = ("", *(f">{n}" for n in LOOKED_AT), ">more than warm start after 1", f">after {TRIALS}")
    return Table(f"{title}: mean test regret after so many trainings, paired differences [95%]", headings, rows)


def _verdicts(world: str, less: Shown) -> list[Verdict]:
    found = []
    for label in (SCRATCH, RANDOM):
        nearest = min(less[label], key=lambda each: each["low"])
        claim = f"{world}: less mean regret than {label} after each of 1 to {TRIALS} trainings"
        reached = f"at the nearest {with_interval(nearest)}"
        found.append(judged(claim, "every interval above 0", nearest, above=0, reached=reached))
    for label, claim in (
        (GENERATOR, "it learns: less than the generator alone"),
        (SHUFFLED, "and than with shuffled rewards"),
    ):
        last = less[label][-1]
        claim = f"{world}: {claim} after {TRIALS}"
        found.append(judged(claim, "interval above 0", last, above=0))
    return found


DEMONSTRATION = Demonstration("warm-start", "A search that begins as the generator", SOURCE, run)
