"""What is lost by the pipeline that is recommended, on sources that the model was learnt without.

On each task of the measured pipelines everybody chooses one of those that were measured there, in the time of the same
number of training steps of the whole network; regret is how far its test accuracy is below the best of them. Beside
ours: one fixed pipeline, the dearest network, what was best on the nearest task of another source (by the probes'
accuracies), the best probe, and one at random. Then how much less a network costs that is as good (within half a point)
as the dearest: ours takes the fastest that is expected to be. CPU time is taken. Last how far seeds are apart on the
tasks measured under several. 95% intervals are over sources.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np

from databases.architectures.networks import cost
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline, holds_pipelines
from databases.records.csv_file import read_csv
from databases.records.record import Record, TaskEntry
from metad2a.recommend.chances import SLIMMER, usual
from metad2a.recommend.front import EQUAL
from metad2a.reports.report import Part, Table, Verdict, judged, with_interval
from metad2a.train.classifier import Classifier
from metad2a.train.pipeline import blueprint_of
from predictors.fine_tunings import Looked, examples_of
from predictors.metrics import bootstrap_interval, kendall_tau
from predictors.nearness import distance
from predictors.outcome import OutcomeModel

FIXED = "own 48px all rate0.1 whole"  # of all that we measured the best on average; the same for everybody
OWN_PROBE = "own 32px probe whole"
FEWEST = 6  # pipelines of a task that make a choice
BUDGETS = (100, 400)  # steps of a whole network
OURS, LESS_TIME = "ours", 40  # percent of the dearest network's time that is to be saved
CLASSES, REPEATS = 10, 300
PARTS, SEEDS = ("test", "valid"), 3


@dataclass(frozen=True)
class Tried:
    """A pipeline that was measured on a task: steps of training, accuracies in percent, multiply-adds.

    Accuracies are means over the seeds it was measured under. ``lasts``: for how many steps of the whole network.
    """

    pipeline: Pipeline
    steps: int
    accuracy: float
    valid_accuracy: float
    flops: float
    lasts: float


@dataclass(frozen=True)
class Measured:
    """A task with what was measured on it."""

    entry: TaskEntry
    source: str
    looked: Looked
    tried: tuple[Tried, ...]

    def within(self, steps: int) -> list[Tried]:
        """Those that last no longer than so many steps of the whole network."""
        return [each for each in self.tried if each.lasts <= steps]


def parts(file: Path, tasks: Sequence[Measured], learnt: Mapping[str, OutcomeModel]) -> Iterator[Part]:
    """Regret for each budget, what is saved, half of the channels, seeds; of a file that `database export` wrote.

    The file's ``tasks`` are judged by models that have ``learnt`` without their sources.
    """
    for steps in BUDGETS:
        yield regrets(tasks, learnt, steps)
    for steps in BUDGETS:
        yield saved(tasks, learnt, steps)
    yield halved(tasks)
    yield from between_seeds(file)


def regrets(tasks: Sequence[Measured], learnt: Mapping[str, OutcomeModel], steps: int) -> Part:
    """What each way to choose loses, and whether ours loses less."""
    rows, groups = [choices(task, tasks, learnt[task.source], steps) for task in tasks], [task.source for task in tasks]
    ours, figures = [found[OURS] for found in rows], dict[str, dict[str, dict[str, float]]]()
    for name in rows[0]:
        theirs = [found[name] for found in rows]
        more = bootstrap_interval(np.subtract(theirs, ours), groups)
        figures[name] = {"regret": bootstrap_interval(theirs, groups).to_json(), "above ours": more.to_json()}
    more_of = {name: each["above ours"] for name, each in figures.items() if name != OURS}
    lines = [
        (name, f"{each['regret']['mean']:.2f}", with_interval(more_of[name]) if name in more_of else "")
        for name, each in figures.items()
    ]
    claim = f"within {steps} steps ours loses less than:"
    verdicts = [judged(f"{claim} {name}", "> 0", each, above=0) for name, each in more_of.items()]
    title = (
        f"Regret in points of test accuracy, at most {steps} steps; {len(tasks)} tasks of {len(set(groups))} sources"
    )
    return Part(Table(title, ("who", ">regret", ">above ours"), tuple(lines)), tuple(verdicts), figures)


def measured(file: Path) -> tuple[list[Measured], OutcomeModel]:
    """The tasks on which enough was measured, and the model of all."""
    rows = list(read_csv(file))
    entries = {each.key: each for each in rows if isinstance(each, TaskEntry)}
    of_task: dict[str, list[Record]] = defaultdict(list)
    for each in rows:
        if isinstance(each, Record) and holds_pipelines(each.space) and each.test_accuracy is not None:
            of_task[each.task].append(each)
    found = []
    for task, records in of_task.items():
        seeds: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for each in records:
            seeds[each.architecture, each.recipe].append(each)
        tried = tuple(map(_tried, seeds.values()))
        probes = {(e.pipeline.weights, e.pipeline.resolution): e.valid_accuracy for e in tried if not e.steps}
        first = records[0].extra
        looked = Looked(int(first["classes"]), int(first["train_images"]), probes)
        known = tuple(each for each in tried if looked.probe(each.pipeline) is not None)
        if len(known) >= FEWEST and any(each.steps for each in known):
            found.append(Measured(entries[task], entries[task].source or entries[task].name, looked, known))
    return found, OutcomeModel(usual(examples_of(list(entries.values()), [r for rs in of_task.values() for r in rs])))


def _tried(seeds: Sequence[Record]) -> Tried:
    record = seeds[0]
    pipeline = PIPELINE.pipeline(PIPELINE.parse(record.architecture))
    steps = int(record.recipe.partition("-")[0]) if pipeline.training != "probe" else 0
    test, valid = (float(np.mean([getattr(each, f"{part}_accuracy") or 0.0 for each in seeds])) for part in PARTS)
    lasts = steps / SLIMMER.get((pipeline.slim, pipeline.short), 1.0)
    return Tried(pipeline, steps, test, valid, record.extra["flops"], lasts)


def choices(task: Measured, tasks: Sequence[Measured], model: OutcomeModel, steps: int) -> dict[str, float]:
    """Regret in points of each way to choose."""
    there = task.within(steps)
    best, foretold = max(each.accuracy for each in there), {each: expected(task, each, model) for each in there}
    reached = {
        OURS: max(offered(there, model), key=lambda each: foretold[each]).accuracy,
        "fixed pipeline": _of(there, FIXED, max((e.steps for e in there if str(e.pipeline) == FIXED), default=0)),
        "dearest network": max(there, key=lambda each: (each.flops, each.steps, foretold[each])).accuracy,
        "nearest task's best": _nearest(task, tasks, steps),
        "best probe": max((each.valid_accuracy, each.accuracy) for each in there if not each.steps)[1],
        "random": float(np.mean([each.accuracy for each in there])),
    }
    return {name: best - value for name, value in reached.items()}


def expected(task: Measured, tried: Tried, model: OutcomeModel) -> float:
    """Accuracy in percent that is expected of a pipeline; a probe's is known of the validation images."""
    if not tried.steps:
        return tried.valid_accuracy
    return float(model.expect(task.looked, [(tried.pipeline, tried.steps)]).mean[0])


def offered(there: Sequence[Tried], model: OutcomeModel) -> list[Tried]:
    """Those among which a search without limits chooses: probes, and fine-tunings of which the model knows the kind."""
    return [each for each in there if not each.pipeline.short and (not each.steps or model.knows(each.pipeline))]


def _of(there: Sequence[Tried], pipeline: str, steps: int) -> float:
    """The accuracy of a pipeline, or where it was not measured within the steps, of our probe."""
    for each in there:
        if str(each.pipeline) == pipeline and each.steps == steps:
            return each.accuracy
    return next(each.accuracy for each in there if str(each.pipeline) == OWN_PROBE)


def _nearest(task: Measured, tasks: Sequence[Measured], steps: int) -> float:
    """What the best pipeline of the most similar task of another source reaches here."""
    others = sorted(
        (each for each in tasks if each.source != task.source),
        key=lambda each: distance(task.looked.probes, each.looked.probes),
    )
    here = {(str(each.pipeline), each.steps): each.accuracy for each in task.within(steps)}
    for other in others:
        for each in sorted(other.within(steps), key=lambda each: -each.accuracy):
            if (str(each.pipeline), each.steps) in here:
                return here[str(each.pipeline), each.steps]
    raise ValueError("no task has a pipeline in common")


def saved(tasks: Sequence[Measured], learnt: Mapping[str, OutcomeModel], steps: int) -> Part:
    """What the fastest that is expected as good as the dearest network costs beside it, and what it loses."""
    less, faster, lost = list[float](), list[float](), list[float]()
    for task in tasks:
        known, there = learnt[task.source], task.within(steps)
        foretold = {each: expected(task, each, known) for each in there}
        dearest = max(there, key=lambda each: (each.flops, each.steps, foretold[each]))
        choice = dict.fromkeys([dearest, *offered(there, known)])
        equal = (each for each in choice if foretold[each] >= foretold[dearest] - EQUAL)
        ours = min(equal, key=lambda each: (milliseconds(each.pipeline), -foretold[each]))
        less.append(100 - 100 * ours.flops / dearest.flops)
        faster.append(100 - 100 * milliseconds(ours.pipeline) / milliseconds(dearest.pipeline))
        lost.append(dearest.accuracy - ours.accuracy)
    named = {"multiply-adds less, %": less, "time less, %": faster, "accuracy lost, points": lost}
    groups = [task.source for task in tasks]
    found = {name: bootstrap_interval(values, groups).to_json() for name, values in named.items()}
    title = f"The fastest that is expected within half a point of the dearest, beside it; at most {steps} steps"
    rows = tuple((name, with_interval(each, ".1f")) for name, each in found.items())
    time_less = found["time less, %"]
    reached, holds = with_interval(time_less, ".1f"), time_less["mean"] >= LESS_TIME
    claim = f"within {steps} steps less time for an image, %"
    return Part(Table(title, ("", ">mean"), rows), (Verdict(claim, f"at least {LESS_TIME}", reached, holds),), found)


def halved(tasks: Sequence[Measured]) -> Part:
    """What half of the channels reach beside the whole network, each trained for the same time."""
    rows, figures = [], dict[str, dict[str, float]]()
    for rate in (0.03, 0.1):
        pairs = []
        for task in tasks:
            reached = {(str(each.pipeline), each.steps): each.accuracy for each in task.tried}
            slim, whole = (f"own 48px all rate{rate} slim", 640), (f"own 48px all rate{rate} whole", 400)
            if slim in reached and whole in reached:
                pairs.append((reached[slim] - reached[whole], task.source))
        values = [value for value, _ in pairs]
        if values:
            found = bootstrap_interval(values, [source for _, source in pairs]).to_json()
            figures[f"{rate}"] = {**found, "at worst": min(values)}
            rows.append((f"{rate}", with_interval(found, "+.1f"), f"{min(values):+.1f}"))
    title = "Half of the channels for 640 steps, less the whole for 400, points of test accuracy"
    return Part(Table(title, ("learning rate", ">difference", ">at worst"), tuple(rows)), figures=figures)


def between_seeds(file: Path) -> Iterator[Part]:
    """How far runs of the same pipeline are apart, and how alike two seeds order the pipelines of a judged task."""
    reached: dict[str, dict[tuple[str, str], dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for each in read_csv(file):
        if isinstance(each, Record) and holds_pipelines(each.space) and each.test_accuracy is not None:
            reached[each.task][each.architecture, each.recipe][each.seed] = each.test_accuracy
    apart, alike = list[float](), list[float]()
    for runs in reached.values():
        several = [list(each.values()) for each in runs.values() if len(each) == SEEDS]
        if several:
            apart.append(float(np.std(several, axis=1, ddof=1).mean()))
            alike.append(float(np.mean([kendall_tau(*pair) for pair in combinations(np.array(several).T, 2)])))
    if apart:
        named = {"standard deviation between seeds, points": apart, "Kendall tau of two seeds": alike}
        found = {name: bootstrap_interval(np.array(each)).to_json() for name, each in named.items()}
        rows = tuple((name, with_interval(each, ".2f")) for name, each in found.items())
        title = f"{len(apart)} judged tasks under {SEEDS} seeds, pipelines that are trained"
        yield Part(Table(title, ("", ">mean"), rows), figures=found)


def milliseconds(pipeline: Pipeline) -> float:
    """Of one colour image here, measured; pipelines that end in the same network take the same."""
    return _milliseconds(replace(pipeline, training="probe", learning_rate=None))


@cache
def _milliseconds(pipeline: Pipeline) -> float:
    blueprint = blueprint_of(pipeline, channels=3, classes=CLASSES)
    network = cost.with_zeros(cost.without_weights(blueprint.build)).eval()
    classifier = Classifier(network, blueprint, (0.0,) * 3, (255.0,) * 3, pipeline.resolution)
    image, times = np.zeros((1, pipeline.resolution, pipeline.resolution, 3), dtype=np.uint8), []
    for _ in range(REPEATS):
        begin = time.process_time()
        classifier.logits(image)
        times.append(1_000 * (time.process_time() - begin))
    return min(times)  # other work on the machine only adds
