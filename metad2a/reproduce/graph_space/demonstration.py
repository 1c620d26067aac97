"""Search in a graph of decisions against the same space as a flat list: trials until the policy is good.

The policy and the problems are the same; only what is decided, and in which order, differs. The flat list draws every
decision that might be needed and ignores those that do not apply. Each decision has a baseline of its own, the mean
reward of the walks that met it: in the list every walk meets every decision, so that it tells the graph alone which
branch earned what. Each form has the batch that it learnt fastest with on other seeds, five trials for the graph and
ten for the list, which five leave erratic, and both the weight of the entropy (of 0.0001, 0.01, 0.02, 0.04) that was
best for the list on other seeds, and as good as any for the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, Space
from databases.hosting import lent
from metad2a.reports.report import Panel, Report, Table, Verdict, band, judged, paired, ratio, undecided, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.graph_space import digit_networks
from metad2a.reproduce.graph_space.digit_networks import Layers
from metad2a.reproduce.graph_space.graph_problems import PROBLEMS, Problem
from metad2a.search.loop import run as search

if TYPE_CHECKING:
    from metad2a.search.controllers.policy_gradient import PolicyGradient

SOURCE = "de Laroussilhe, Jastrzebski, Houlsby, Gesmundo, 2018"
GRAPH, FLAT, CONTROL, RANDOM = "graph", "flat", "graph again (control)", "random"
FORMS = (GRAPH, FLAT, CONTROL, RANDOM)
DIGITS = "digits"
GRAPH_BATCH, FLAT_BATCH = 5, 10  # trials between two updates: what each form was best with, on other seeds
OTHER = 1000  # added to a seed for other draws
WINDOW = 50  # trials whose mean reward must reach the threshold
ASKED = {"iterative": 1.5, "branching": 1.3}  # times fewer trials
UNIT = {"iterative": "depth", "branching": "branches", "nested": "depth", DIGITS: "depth"}
Case = tuple[str, int]  # a problem and its size
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How much is run: sizes of each problem, paired seeds, and trials after which a run counts as that many."""

    problems: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {"iterative": (5, 20), "branching": (2, 6), "nested": (4,)}
    )
    depth: int = 3
    seeds: int = 20
    most: int = 3000

    def cases(self) -> list[Case]:
        """Every simulated problem at every size."""
        return [(name, size) for name, sizes in self.problems.items() for size in sizes]


FAST = Size({"iterative": (3, 6), "branching": (2, 3), "nested": (2,)}, depth=1, seeds=2, most=150)


@dataclass(frozen=True)
class Job:
    """One search. values: the accuracies of the digits' networks."""

    case: Case
    form: str
    seed: int
    most: int
    values: dict[Layers, float] | None = None

    def problem(self) -> Problem:
        """The problem in the job's form."""
        form = FLAT if self.form == FLAT else GRAPH
        name, size = self.case
        if self.values is not None:
            return digit_networks.problem(size, self.values, form=form)
        return PROBLEMS[name](size, self.seed, form=form)


def trials_until_good(job: Job) -> tuple[Job, int]:
    """Searches until the last rewards are good on average; returns the trials, ``most`` where they never were."""
    from metad2a.search.controllers.random_search import RandomSearch

    problem, rewards = job.problem(), list[float]()

    def good() -> bool:
        return len(rewards) >= WINDOW and bool(np.mean(rewards[-WINDOW:]) >= problem.good)

    def measure(architectures: Sequence[Architecture]) -> list[float]:
        if good():
            return []
        rewards.extend(problem.reward(each.walk) for each in architectures)
        return rewards[-len(architectures) :]

    searcher = RandomSearch(problem.space, seed=job.seed) if job.form == RANDOM else policy(problem.space, job)
    search(searcher, measure, trials=job.most, batch=_batch(job))
    return job, len(rewards) if good() else job.most


def _batch(job: Job) -> int:
    return FLAT_BATCH if job.form == FLAT else GRAPH_BATCH


def policy(space: Space, job: Job) -> PolicyGradient:
    """One small recurrent policy with squashed logits."""
    from metad2a.generate.decoder import GraphDecoder
    from metad2a.search.controllers.learning_rule import Rule
    from metad2a.search.controllers.policy_gradient import PolicyGradient

    seed = job.seed + (OTHER if job.form == CONTROL else 0)
    with lent(seed=seed):
        decoder = GraphDecoder(space, context=0, width=32, squash=2.5)
    rule = Rule(
        batch=_batch(job),
        learning_rate=3.5e-3,
        entropy=2e-2,
        decay=0.95,
        normalise=False,
        own_baselines=True,
    )
    return PolicyGradient(space, seed=seed, rule=rule, repeats=True, decoder=decoder)


def run(context: Context) -> Report:
    """Every problem in both forms and with its controls, then the networks on digits."""
    size = FAST if context.fast else Size()
    values = digit_networks.measured(size.depth, context)
    context.say(f"digits: {len(values):,} networks trained")
    seeds = context.seeds(size.seeds)
    digits = (DIGITS, size.depth)
    jobs = [
        Job(case, form, seed, size.most, values if case == digits else None)
        for case in [*size.cases(), digits]
        for form in FORMS
        for seed in seeds
    ]
    trials: dict[tuple[Case, str], dict[int, int]] = {}
    for job, taken in context.run(trials_until_good, jobs):
        of_form = trials.setdefault((job.case, job.form), {})
        of_form[job.seed] = taken
        if len(of_form) == len(seeds):
            context.say(f"{job.case[0]} {job.case[1]}, {job.form}: {np.median(list(of_form.values())):.0f} trials")
    found = {key: np.array([of[seed] for seed in seeds], dtype=np.float64) for key, of in trials.items()}
    return _report(found, values, size)


def times_fewer(found: dict[tuple[Case, str], Values], case: Case, form: str = FLAT) -> dict[str, float]:
    """Trials of a form over those of the graph: geometric mean over paired seeds, with its bootstrap 95% interval."""
    return ratio(paired(np.log(found[case, form]), np.log(found[case, GRAPH])))


def _report(found: dict[tuple[Case, str], Values], values: dict[Layers, float], size: Size) -> Report:
    cases = list(dict.fromkeys(case for case, _ in found))
    ratios = {(case, form): times_fewer(found, case, form) for case, form in found if form != GRAPH}
    figures: dict[str, Any] = {"digits": {"networks": len(values), "best": max(values.values())}}
    for (case, form), trials in found.items():
        of_case = figures.setdefault(f"{case[0]} {case[1]}", {})
        of_case[form] = {"trials": trials.tolist(), "over_graph": ratios.get((case, form))}
    return Report(
        "graph-space",
        SOURCE,
        f"one recurrent policy, REINFORCE; trials until the mean reward of the last {WINDOW} is at the threshold, "
        f"{size.seeds} paired seeds, {size.most:,} where it never was; updates after {GRAPH_BATCH} trials in the "
        f"graph and {FLAT_BATCH} in the list, each what it learnt fastest with; every decision has a baseline of its "
        f"own; digits: all {len(values):,} networks of at "
        f"most {size.depth} layers were trained once, good is their 90th percentile",
        (_table(found, ratios, cases, size),),
        (*_simulated_verdicts(found, ratios, size), *_other_verdicts(found, ratios, cases, size)),
        tuple(_panel(found, case, size.most) for case in cases),
        figures,
    )


def _table(found: dict[tuple[Case, str], Values], ratios: dict[Any, Any], cases: list[Case], size: Size) -> Table:
    rows = []
    for case in cases:
        for form in (form for of, form in found if of == case):
            trials = found[case, form]
            rows.append(
                (
                    f"{case[0]}, {UNIT[case[0]]} {case[1]}" if form == GRAPH else "",
                    form,
                    f"{np.median(trials):.0f}",
                    f"{(trials < size.most).sum()} of {len(trials)}",
                    "" if form == GRAPH else with_interval(ratios[case, form], ".2f"),
                )
            )
    headings = ("Problem", "Searcher", ">Trials, median", ">Reached", ">Times those of the graph [95%]")
    return Table("Trials to the threshold", headings, tuple(rows))


def _simulated_verdicts(found: dict[Any, Values], ratios: dict[Any, Any], size: Size) -> list[Verdict]:
    """At the largest size of each problem, and how the gap grows from its smallest."""
    verdicts = []
    for name, sizes in size.problems.items():
        first, last, asked = (name, sizes[0]), (name, sizes[-1]), ASKED.get(name, 1.0)
        times = ratios[last, FLAT]
        claim = f"{name}, {UNIT[name]} {sizes[-1]}: the graph needs fewer trials than the flat list"
        target = f"{asked} times, interval above 1" if name in ASKED else "interval above 1"
        holds, open_yet = times["mean"] >= asked and times["low"] > 1, undecided(times, asked) or undecided(times, 1)
        verdicts.append(Verdict(claim, target, with_interval(times, ".2f"), holds, open_yet))
        if name in ASKED:
            gaps = [np.log(found[case, FLAT]) - np.log(found[case, GRAPH]) for case in (last, first)]
            growth = ratio(paired(*gaps))
            claim = f"{name}: the gap grows from {UNIT[name]} {sizes[0]} to {sizes[-1]}"
            verdicts.append(judged(claim, "ratio's interval above 1", growth, above=1, form=".2f"))
    return verdicts


def _other_verdicts(found: Any, ratios: dict[Any, Any], cases: list[Case], size: Size) -> list[Verdict]:
    """The real networks, random search and the control."""
    real, first = ratios[cases[-1], FLAT], cases[0]
    control = ratios[first, CONTROL]
    lucky = [int((trials < size.most).sum()) for (_, form), trials in found.items() if form == RANDOM]
    return [
        judged("digits: the graph needs fewer trials", "interval above 1", real, above=1, form=".2f"),
        Verdict(
            f"{first[0]} {first[1]}: the graph again, with other draws, is neither better nor worse (control)",
            "interval around 1",
            with_interval(control, ".2f"),
            control["low"] <= 1 <= control["high"],
        ),
        Verdict("random search never reaches a threshold", "0 runs", f"{sum(lucky)} runs", not any(lucky)),
    ]


def _panel(found: dict[tuple[Case, str], Values], case: Case, most: int) -> Panel:
    """How many of the seeds are good after so many trials, in every form that was run."""
    curves = []
    for form in (form for of, form in found if of == case):
        trials = np.sort(found[case, form])
        reached = trials[trials < most]
        share = 100 * np.array([0, *range(1, len(reached) + 1), len(reached)]) / len(trials)
        curves.append(band(form, [WINDOW, *reached, most], share[None]))
    title = f"{case[0]}, {UNIT[case[0]]} {case[1]}"
    return Panel(title, "trials", "% of seeds that are good", tuple(curves), log_x=True, least=0, most=100)


DEMONSTRATION = Demonstration("graph-space", "Search spaces as graphs of decisions", SOURCE, run)
