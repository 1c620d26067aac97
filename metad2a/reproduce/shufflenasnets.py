"""ShuffleNASNets: cells in ShuffleNet's unit against cells in ENAS's frame, at equal parameters and at half as many.

The paper's networks have fewer parameters than ENAS's. At equal ones a cell in ShuffleNet's unit is wider, since it has
no 1x1 convolutions that fit its inputs, and about half of a processor's time goes into pooling, whose time grows with
the width: so the frame cannot save much there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, image_space, shared_space
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.reports.report import (
    Panel,
    Report,
    Table,
    Verdict,
    band,
    not_refuted,
    paired,
    ratio,
    undecided,
    with_interval,
)
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.enas.children import new_policy
from metad2a.reproduce.nasnet.transferred_cells import fewer
from metad2a.supernets.alternation import alternate
from metad2a.supernets.instance import processor_seconds
from metad2a.supernets.training import SharedRecipe, labelled, new_supernet
from metad2a.train.inference import accuracy
from metad2a.train.torch_place import pick_place
from metad2a.train.train import train
from predictors.metrics import median_interval
from predictors.one_shot import OneShot

SOURCE = "Laube, Zell, 2018"
ENAS, SHUFFLE = "enas-micro", "shufflenasnet"
HALF = "half"  # the same cells as in ShuffleNASNet's frame, with half of the parameters
NAMES = {ENAS: "ENAS's frame", SHUFFLE: "ShuffleNASNet's frame", HALF: "the same, half of the parameters"}
FRAMES = (ENAS, SHUFFLE)
CHANNELS = 8  # of a cell in ENAS's frame; in the other as many as give it as many parameters
ASKED = 0.6  # of the time
RECIPE = Recipe("", channels=0, cells=1, resolution=8, epochs=0, batch=32, learning_rate=0.05, average=0.25)


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        cells: random ones of each frame whose time is measured. trained: of those, pairs that are trained.
        batch, px: images of a timed forward pass, and their side. searches, steps: seeds, and steps of shared weights.
        epochs, images: of each training.
    """

    cells: int = 50
    trained: int = 10
    batch: int = 8
    px: int = 32
    searches: int = 5
    steps: int = 132
    epochs: int = 4
    images: int = 2000


FAST = Size(cells=4, trained=2, batch=1, px=16, searches=2, steps=1, epochs=1, images=100)


@dataclass(frozen=True)
class Job:
    """A pair of random cells, or one search of each frame, by its number; ``train`` says whether cells are trained."""

    number: int
    size: Size
    train: bool
    search: bool = False


@dataclass(frozen=True)
class Pair:
    """Of each name: parameters, seconds of a forward pass, test accuracy (nan where not trained)."""

    job: Job
    parameters: dict[str, float]
    seconds: dict[str, float]
    test: dict[str, float]
    again: float  # seconds of another random cell of ENAS's frame: the control


@cache
def digits() -> Task:
    """What the cells are trained on."""
    return load_task("sklearn:digits", as_stored=True)


def skeleton(channels: int) -> Skeleton:
    """One cell a stage."""
    return Skeleton(channels, 1, 1, 10)


def matched(architecture: Architecture, parameters: int) -> int:
    """Channels with which a cell's network has about so many parameters."""
    space = image_space(architecture.space)
    tried = {each: space.parameters(architecture, skeleton(each)) for each in (4, 64)}
    low, high = 4, 64
    while high - low > 2:  # parameters grow with the channels
        middle = (low + high) // 4 * 2
        tried[middle] = space.parameters(architecture, skeleton(middle))
        low, high = (middle, high) if tried[middle] < parameters else (low, middle)
    return min(tried, key=lambda each: abs(tried[each] - parameters))


@lent(threads=1)
def follow(job: Job) -> Pair:
    """Both cells of a pair: random ones, or those that a search in each frame ends with."""
    rng = np.random.default_rng([job.number, int(job.search)])
    if job.search:
        cells = {name: _searched(name, job) for name in FRAMES}
    else:
        cells = {name: shared_space(name).sample(rng) for name in FRAMES}
    cells[HALF] = cells[SHUFFLE]
    wanted = image_space(ENAS).parameters(cells[ENAS], skeleton(CHANNELS))
    channels = {ENAS: CHANNELS, SHUFFLE: matched(cells[SHUFFLE], wanted), HALF: matched(cells[HALF], wanted // 2)}
    parameters = {
        name: image_space(each.space).parameters(each, skeleton(channels[name])) for name, each in cells.items()
    }
    seconds = {name: _seconds(cells[name], channels[name], job.size) for name in NAMES}
    test = {name: np.nan for name in NAMES}
    if job.train:
        for name in NAMES:
            recipe = replace(RECIPE, channels=channels[name], epochs=job.size.epochs)
            training = train(fewer(digits(), job.size.images), cells[name], recipe=recipe, seed=job.number)
            test[name] = float(accuracy(training, digits(), TEST) or 0)
    again = _seconds(shared_space(ENAS).sample(rng), CHANNELS, job.size)
    return Pair(job, {name: float(each) for name, each in parameters.items()}, seconds, test, again)


def _seconds(architecture: Architecture, channels: int, size: Size) -> float:
    network = image_space(architecture.space).network(architecture, skeleton(channels)).eval()
    images = torch.randn(size.batch, 1, size.px, size.px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return processor_seconds(lambda: network(images), 5)


def _searched(name: str, job: Job) -> Architecture:
    """What ENAS's search ends with in a frame."""
    space, recipe = shared_space(name), SharedRecipe(channels=CHANNELS, resolution=8, steps=job.size.steps)
    place = pick_place()
    parts = [labelled(digits(), part, recipe.resolution, on=str(place)) for part in (TRAIN, VALIDATION)]
    supernet = new_supernet(space, recipe.skeleton(digits()), seed=job.number).to(place)
    measure = OneShot(space, supernet, parts[1].images, parts[1].labels, draw=128, seed=job.number)
    policy = new_policy("reinforce", space, job.number)
    alternate(*(supernet, space, parts[0]), policy=policy, measure=measure, recipe=recipe, told=10, seed=job.number)
    drawn = policy.draw(5, seed=job.number)
    return drawn[int(replace(measure, draw=None).predict(drawn).argmax())]


def run(context: Context) -> Report:
    """Times of random cells, short trainings of some, and a search in each frame."""
    size = FAST if context.fast else Size()
    seeds = context.seeds(size.cells)
    jobs = [Job(seed, size, train=place < size.trained) for place, seed in enumerate(seeds)]
    jobs += [Job(seed, size, train=True, search=True) for seed in seeds[: size.searches]]
    done = {}
    for each in context.run(follow, jobs):
        done[each.job] = each
        context.say(f"pair {len(done)} of {len(jobs)}")
    found = [done[job] for job in jobs]
    random = [each for each in found if not each.job.search]
    searched = [each for each in found if each.job.search]
    figures = _figures(random, searched)
    return Report(
        "shufflenasnets",
        SOURCE,
        f"{size.cells} random cells of each frame at equal parameters, {CHANNELS} channels in ENAS's; the processor's "
        f"time of a forward pass of {size.batch} images of {size.px} px on one thread; {size.trained} pairs trained "
        f"for {size.epochs} passes over the digits; {size.searches} searches in each frame by ENAS, "
        f"{size.steps} steps; published: half of the time",
        (
            _table("Random cells", random, again=True),
            _table("Cells found by the same search in each frame (random ones: above)", searched),
        ),
        _verdicts(figures),
        (_panel(random),),
        {
            **figures,
            "seconds": {name: [each.seconds[name] for each in random] for name in NAMES},
            "parameters": {name: [each.parameters[name] for each in random] for name in NAMES},
        },
    )


def _figures(random: list[Pair], searched: list[Pair]) -> dict[str, dict[str, float]]:
    trained = [each for each in random if each.job.train]
    return {
        "time_ratio": _ratio(random, SHUFFLE),
        "time_ratio_control": _of_logs([each.again for each in random], [each.seconds[ENAS] for each in random]),
        "time_ratio_of_searches": _ratio(searched, SHUFFLE),
        "time_ratio_of_half": _ratio(random, HALF),
        "points": _points(trained, SHUFFLE),
        "points_of_searches": _points(searched, SHUFFLE),
        "points_of_half": _points(trained, HALF),
    }


def _verdicts(figures: dict[str, dict[str, float]]) -> tuple[Verdict, ...]:
    def faster(what: str, name: str, *, learnt: bool = False) -> Verdict:
        found, told = figures[name], with_interval(figures[name], ".2f")
        rule = f"median ratio at most {ASKED}"
        return Verdict(what, rule, told, found["mean"] <= ASKED, learnt or undecided(found, ASKED))

    def as_accurate(what: str, name: str) -> Verdict:
        rule = "difference's interval holds 0 or is above"
        return not_refuted(what, rule, figures[name], below=0, form="+.1f")

    control = figures["time_ratio_control"]
    return (
        faster("random cells in ShuffleNASNet's frame need less time at equal parameters", "time_ratio"),
        Verdict(
            "two random cells of ENAS's frame need the same (control)",
            "median ratio's interval holds 1",
            with_interval(control, ".2f"),
            control["low"] <= 1 <= control["high"],
            undecided(control, 1),
        ),
        as_accurate("and are as accurate after a short training", "points"),
        faster("found cells too need less time", "time_ratio_of_searches", learnt=True),
        as_accurate("and are as accurate", "points_of_searches"),
        faster("with half of the parameters random cells need less time than ENAS's frame", "time_ratio_of_half"),
        as_accurate("and are as accurate with half of them", "points_of_half"),
    )


def _ratio(found: list[Pair], name: str) -> dict[str, float]:
    return _of_logs([each.seconds[name] for each in found], [each.seconds[ENAS] for each in found])


def _points(found: list[Pair], name: str) -> dict[str, float]:
    return paired([each.test[name] for each in found], [each.test[ENAS] for each in found])


def _of_logs(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median ratio with its bootstrap interval."""
    return ratio(median_interval(np.log(ours) - np.log(theirs)).to_json())


def _table(title: str, found: list[Pair], *, again: bool = False) -> Table:
    rows = tuple(
        (
            title_of,
            f"{np.median([each.parameters[name] for each in found]):,.0f}",
            f"{1000 * np.median([each.seconds[name] for each in found]):.2f}",
            f"{np.nanmean([each.test[name] for each in found]):.1f}",
        )
        for name, title_of in NAMES.items()
    )
    if again:
        middle = f"{1000 * np.median([each.again for each in found]):.2f}"
        rows += (("other cells of ENAS's frame (control)", "", middle, ""),)
    return Table(title, ("Frame", ">Parameters (median)", ">ms (median)", ">Test accuracy (mean)"), rows)


def _panel(found: list[Pair]) -> Panel:
    """Sorted times."""
    shares = np.linspace(0, 100, 21)
    curves = tuple(
        band(title, shares, [np.percentile([1000 * each.seconds[name] for each in found], shares)])
        for name, title in NAMES.items()
    )
    return Panel("Time of random cells", "percent of the cells", "ms at most", curves)


DEMONSTRATION = Demonstration("shufflenasnets", "ShuffleNASNets: cells that are fast by their frame", SOURCE, run)
