"""NSGANetV2 (Lu, Deb, Goodman, Banzhaf, Boddeti, 2020): 340 short fine-tunings of subnets against one answer of ours.

MetaD2A's "5,500 times faster" has this searcher below the line (Lee, Hyung, Hwang, 2021): every subnet it asks about
inherits its weights, gets a new head and is fine-tuned for 5 epochs. Ours knows the subnets' inherited accuracies on
other images and asks nothing. Some of the 340 are run here; the time of all is extrapolated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from databases.architectures.catalogue import Catalogue
from databases.architectures.space import Architecture
from databases.architectures.spaces.subnets import RESIDUAL_SUBNETS
from databases.architectures.supernets.families import open_family
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, Task
from databases.errors import Say
from databases.hosting import lent
from databases.records.csv_file import read_csv
from databases.records.record import Record
from metad2a.build.shipped import SUBNETS
from metad2a.reports.report import Curve, Panel, Report, Table, Verdict, judged, paired
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.nsganetv2.nsga2 import evolve
from metad2a.reproduce.nsganetv2.surrogates import Values, encoded, switched
from metad2a.train.bases import of_family
from metad2a.train.finetune import BATCH, Tuned, Tuning, finetune
from metad2a.train.probe import percent_right, width
from predictors.scale import to_logit

SPACE, SIDE = RESIDUAL_SUBNETS, 32
SOURCE = "Lu, Deb, Goodman, Banzhaf, Boddeti, ECCV 2020; the comparison: Lee, Hyung, Hwang, 2021"
PUBLISHED, ROUNDS = 340, 30  # fine-tunings: 100, then 30 rounds of 8
BOUND = 0.65  # share of the base's multiply-adds that a pick may cost
TIMES, POINTS = 1_000, 0.5  # how much quicker, and how far below, one answer may be
THEIRS, OURS, CONTROL = "NSGANetV2", "one answer", "a random subnet (control)"


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        first, rounds, each: fine-tunings before the first round, rounds, and fine-tunings of a round.
        epochs: of one. last: epochs of the picks, under ``seeds`` seeds. images: most training images.
    """

    first: int = 8
    rounds: int = 4
    each: int = 4
    epochs: int = 5
    last: int = 10
    seeds: int = 5
    images: int = 10_000
    population: int = 40
    generations: int = 20


FAST = Size(first=4, rounds=1, each=2, epochs=1, last=1, seeds=2, images=320, population=10, generations=4)


@dataclass
class Search:
    """What NSGANetV2 has measured: subnets with their validation accuracies, in order, and CPU-seconds."""

    measured: dict[Architecture, float] = field(default_factory=dict)
    tuning: list[float] = field(default_factory=list)
    steering: float = 0.0
    used: list[str] = field(default_factory=list)

    def best(self) -> Architecture:
        """The most accurate within the bound."""
        allowed = [each for each in self.measured if cheap(each)]
        return max(allowed, key=lambda each: self.measured[each])


def run(context: Context) -> Report:
    """Searches, answers, and fine-tunes both picks alike."""
    size = FAST if context.fast else Size()
    name = "sklearn:digits" if context.fast else str(context.image_source("flowers5"))
    task = fewer(load_task(name, resolution=None if context.fast else SIDE, as_stored=True), size.images)
    with lent(threads=1):
        begin = time.process_time()
        ours = answer()
        answered = time.process_time() - begin
        context.say(f"answered in {answered:.2f} CPU-s")
        search = searched(task, size, context.seed, context.say)
        rng = np.random.default_rng(context.seed)
        drawn = next(each for each in (SPACE.sample(rng) for _ in range(10_000)) if cheap(each))
        picks = {THEIRS: search.best(), OURS: ours, CONTROL: drawn}
        seeds = context.seeds(size.seeds)
        reached = {}
        for who, pick in picks.items():
            reached[who] = np.array([tested(task, pick, size.last, seed) for seed in seeds])
            context.say(f"{who}: {reached[who].mean():.1f}% on the test images")
    return report(task, size, picks, reached, search, answered)


def answer() -> Architecture:
    """The subnet within the bound that promises most by what comes with metad2a, whatever the task."""
    told: dict[str, list[float]] = {}
    for record in read_csv(SUBNETS):
        if isinstance(record, Record) and record.space == SPACE.name:
            told.setdefault(record.architecture, []).append(record.test_accuracy or 0.0)
    known = [SPACE.parse(text) for text in told]
    levels = np.array([to_logit(values).mean() for values in told.values()])
    _, surrogate, _ = switched(encoded(SPACE, known), levels)
    pool = [each for each in Catalogue(SPACE.name).some(4_000, np.random.default_rng(0)) if cheap(each)]
    return pool[int(np.argmax(surrogate.predict(encoded(SPACE, pool))))]


def searched(task: Task, size: Size, seed: int, say: Say) -> Search:
    """NSGANetV2 on a task: random subnets, then rounds of those that NSGA-II finds on the surrogate."""
    found, rng = Search(), np.random.default_rng(seed)
    least = SPACE.of(SPACE.family.slice(depth=0, kernel=0, expansion=0))
    todo = [SPACE.base, least, *(SPACE.sample(rng) for _ in range(size.first - 2))]
    for number in range(size.rounds + 1):
        for each in todo:
            begin = time.process_time()
            found.measured[each] = tuned(task, each, size.epochs, seed).valid_accuracy or 0.0
            found.tuning.append(time.process_time() - begin)
        say(f"round {number} of {size.rounds}: {len(found.measured)} subnets fine-tuned")
        if number < size.rounds:
            begin = time.process_time()
            todo = proposed(found, size, rng)
            found.steering += time.process_time() - begin
    return found


def proposed(found: Search, size: Size, rng: np.random.Generator) -> list[Architecture]:
    """The next subnets: of the predicted front those that are new, spread over what they cost."""
    known = list(found.measured)
    name, surrogate, _ = switched(encoded(SPACE, known), np.array([found.measured[each] for each in known]))
    found.used.append(name)

    def objectives(subnets: Sequence[Architecture]) -> Values:
        said = surrogate.predict(encoded(SPACE, subnets))
        return np.stack([-said, np.array([cost(each) for each in subnets], dtype=np.float64)], axis=1)

    options = {"population": size.population, "generations": size.generations}
    front = evolve(SPACE, known, objectives, rng=rng, **options)
    new = sorted({each for each in front if each not in found.measured}, key=cost)
    while len(new) < size.each:  # a front of what is known already
        if (each := SPACE.sample(rng)) not in found.measured and each not in new:
            new.append(each)
    return [new[i] for i in np.linspace(0, len(new) - 1, size.each).round().astype(int)]


def tuned(task: Task, subnet: Architecture, epochs: int, seed: int) -> Tuned:
    """A subnet of inherited weights with a new head, fine-tuned."""
    base = of_family("own", open_family(SPACE.family.name), channels=task.channels, stages=SPACE.stages(subnet))
    head = np.zeros((task.classes, width(base)), dtype=np.float32)
    begin = base.with_head(head, head[:, 0], resolution=SIDE)
    steps = epochs * -(-int((task.parts == TRAIN).sum()) // BATCH)
    return finetune(begin, task, Tuning(steps=steps, seed=seed))


def tested(task: Task, subnet: Architecture, epochs: int, seed: int) -> float:
    """Percent right of the test images after fine-tuning."""
    images, labels = task.part(TEST)
    return percent_right(tuned(task, subnet, epochs, seed).classifier.logits(images), labels)


def cost(subnet: Architecture) -> int:
    """Multiply-adds."""
    return SPACE.flops(subnet, resolution=SIDE)


def cheap(subnet: Architecture) -> bool:
    """Whether it is within the bound."""
    return cost(subnet) <= BOUND * cost(SPACE.base)


def fewer(task: Task, most: int) -> Task:
    """The task with at most so many training images; the others are left out."""
    train = np.flatnonzero(task.parts == TRAIN)
    out = np.random.default_rng(0).permutation(train)[most:]
    kept = np.setdiff1d(np.arange(len(task.labels)), out)
    return replace(task, images=task.images[kept], labels=task.labels[kept], parts=task.parts[kept], groups=None)


def report(
    task: Task, size: Size, picks: dict[str, Architecture], reached: dict[str, Values], search: Search, answered: float
) -> Report:
    """Tables and verdicts."""
    a_tuning = float(np.mean(search.tuning))
    whole = PUBLISHED * a_tuning + search.steering / size.rounds * ROUNDS
    times, gain = whole / answered, paired(reached[OURS], reached[THEIRS])
    seconds = {THEIRS: f"{whole:.0f} (extrapolated)", OURS: f"{answered:.2f}", CONTROL: "0"}
    rows = [
        (who, seconds[who], f"{cost(pick) / 1e6:.1f}", f"{reached[who].mean():.2f}", str(pick))
        for who, pick in picks.items()
    ]
    headings = ("Pick of", ">CPU-s of the search", ">Million multiply-adds", ">Test accuracy", "Subnet")
    title = f"Picks of at most {BOUND:.0%} of the base's cost, each fine-tuned alike; mean of {size.seeds} seeds"
    return Report(
        "nsganetv2",
        SOURCE,
        f"{task.name}, {int((task.parts == TRAIN).sum()):,} training images at {SIDE} px; {len(search.measured)} "
        f"subnets of {SPACE.family.name} were fine-tuned for {size.epochs} epochs, {a_tuning:.2f} CPU-s each of one "
        f"thread; the time of all {PUBLISHED} is extrapolated; surrogates used: {', '.join(search.used)}; ours sees "
        f"no image of the task, it ranks by inherited accuracies on other classes",
        (Table(title, headings, tuple(rows)),),
        _verdicts(times, gain),
        (_panel(search),),
        {
            "times": times,
            "seconds_of_a_tuning": search.tuning,
            "steering_seconds": search.steering,
            "answer_seconds": answered,
            "reached": reached,
            "above_nsganetv2": gain,
            "above_random": paired(reached[OURS], reached[CONTROL]),
            "surrogates": search.used,
        },
    )


def _verdicts(times: float, gain: dict[str, float]) -> tuple[Verdict, ...]:
    return (
        Verdict(
            f"one answer is {TIMES:,} times quicker than {PUBLISHED} fine-tunings (extrapolated)",
            f">= {TIMES:,}",
            f"{times:,.0f} times",
            times >= TIMES,
            open=times < TIMES,
        ),
        judged(f"its pick is not more than {POINTS} points below", f"> -{POINTS}", gain, above=-POINTS),
    )


def _panel(search: Search) -> Panel:
    """The best within the bound as the search goes on."""
    best, spent = math.nan, np.cumsum(search.tuning)  # nothing is known before the first within the bound
    path = []
    for each, value in search.measured.items():
        best = float(np.fmax(best, value)) if cheap(each) else best
        path.append(best)
    told = tuple(path)
    curve = Curve(THEIRS, tuple(float(each) for each in spent), told, told, told)
    return Panel("Best subnet within the bound", "CPU-s of fine-tuning", "validation accuracy", (curve,))


DEMONSTRATION = Demonstration("nsganetv2", "NSGANetV2 against one answer", SOURCE, run)
