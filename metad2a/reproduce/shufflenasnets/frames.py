"""Cells in two frames: their time, and their accuracy on digits and traffic signs after a short training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, image_space, shared_space
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.reproduce.enas.children import derive, new_policy
from metad2a.reproduce.nasnet.transferred_cells import fewer
from metad2a.runtime.clock import seconds_in_turn
from metad2a.supernets.alternation import alternate
from metad2a.supernets.training import SharedRecipe, labelled, new_supernet
from metad2a.train.inference import accuracy
from metad2a.train.torch_place import pick_place
from metad2a.train.train import train
from predictors.one_shot import OneShot

ENAS, SHUFFLE = "enas-micro", "shufflenasnet"
HALF = "half"  # the same cells as in ShuffleNASNet's frame, with half of the parameters
NAMES = {ENAS: "ENAS's frame", SHUFFLE: "ShuffleNASNet's frame", HALF: "the same, half of the parameters"}
FRAMES = (ENAS, SHUFFLE)
AGAIN = "another random cell of ENAS's frame"  # the control
JUDGED, PASSES = "one image, channels last", 20
LAYOUTS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}
CHANNELS = 8  # of a cell in ENAS's frame; in the other as many as give it as many parameters
DIGITS, SIGNS = "digits", "traffic signs"
RECIPE = Recipe("", channels=0, cells=1, resolution=8, epochs=0, batch=32, learning_rate=0.05, average=0.25)
SIDES = {DIGITS: 8, SIGNS: 16}  # pixels of the images to train with


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        cells: random ones of each frame whose time is measured. trained: of those, pairs that are trained.
        batch, px: images of a timed forward pass beside that of one image, and their side. searches, steps: seeds, and
            steps of shared weights.
        epochs, images: of each training. signs: whether cells are trained on traffic signs too.
    """

    cells: int = 50
    trained: int = 10
    batch: int = 8
    px: int = 32
    searches: int = 5
    steps: int = 132
    epochs: int = 4
    images: int = 2000
    signs: bool = True


FAST = Size(cells=4, trained=2, batch=2, px=16, searches=2, steps=1, epochs=1, images=100, signs=False)


@dataclass(frozen=True, eq=False)
class Job:
    """A pair of random cells, or what a policy finds in each frame, by its number; the cells are trained on the tasks.

    ``search`` names the policy, if any.
    """

    number: int
    size: Size
    tasks: dict[str, Task]
    search: str = ""


@dataclass(frozen=True, eq=False)
class Pair:
    """What was measured of each name, by a job without its images, which would be kept and sent with it.

    Attributes:
        number, search: of the job.
        passes: setting, `JUDGED` among them -> seconds of a forward pass, of `AGAIN` too. test: image set -> accuracy.
    """

    number: int
    search: str
    parameters: dict[str, float]
    passes: dict[str, dict[str, float]]
    test: dict[str, dict[str, float]]

    @property
    def seconds(self) -> dict[str, float]:
        """Those that are judged."""
        return self.passes[JUDGED]


def skeleton(channels: int, inputs: int = 1, classes: int = 10) -> Skeleton:
    """One cell a stage."""
    return Skeleton(channels, 1, inputs, classes)


def matched(architecture: Architecture, parameters: int, inputs: int = 1, classes: int = 10) -> int:
    """Channels with which a cell's network has about so many parameters."""
    space = image_space(architecture.space)
    tried = {each: space.parameters(architecture, skeleton(each, inputs, classes)) for each in (4, 64)}
    low, high = 4, 64
    while high - low > 2:  # parameters grow with the channels
        middle = (low + high) // 4 * 2
        tried[middle] = space.parameters(architecture, skeleton(middle, inputs, classes))
        low, high = (middle, high) if tried[middle] < parameters else (low, middle)
    return min(tried, key=lambda each: abs(tried[each] - parameters))


def widths(cells: dict[str, Architecture], inputs: int = 1, classes: int = 10) -> dict[str, int]:
    """Name -> the channels that give its network the parameters that it is to have, for images of such a kind."""
    wanted = image_space(ENAS).parameters(cells[ENAS], skeleton(CHANNELS, inputs, classes))
    shuffle, half = (matched(cells[SHUFFLE], many, inputs, classes) for many in (wanted, wanted // 2))
    return {ENAS: CHANNELS, SHUFFLE: shuffle, HALF: half}


@lent(threads=1)
def follow(job: Job) -> Pair:
    """Both cells of a pair: random ones, or those that a search in each frame ends with."""
    rng = np.random.default_rng([job.number, int(bool(job.search))])
    if job.search:
        cells = {name: _searched(name, job) for name in FRAMES}
    else:
        cells = {name: shared_space(name).sample(rng) for name in FRAMES}
    cells[HALF] = cells[SHUFFLE]
    channels = widths(cells)
    parameters = {
        name: float(image_space(each.space).parameters(each, skeleton(channels[name]))) for name, each in cells.items()
    }
    test = {images: _trained(cells, images, job) for images in job.tasks}
    passes = _passes({**cells, AGAIN: shared_space(ENAS).sample(rng)}, {**channels, AGAIN: CHANNELS}, job.size)
    return Pair(job.number, job.search, parameters, passes, test)


def _trained(cells: dict[str, Architecture], images: str, job: Job) -> dict[str, float]:
    """Name -> test accuracy after a short training."""
    task, recipe = job.tasks[images], replace(RECIPE, epochs=job.size.epochs, resolution=SIDES[images])
    channels, few = widths(cells, task.channels, task.classes), fewer(task, job.size.images)
    found = {}
    for name, cell in cells.items():
        training = train(few, cell, recipe=replace(recipe, channels=channels[name]), seed=job.number)
        found[name] = float(accuracy(training, task, TEST) or 0)
    return found


def _passes(cells: dict[str, Architecture], channels: dict[str, int], size: Size) -> dict[str, dict[str, float]]:
    """Setting -> name -> seconds of a forward pass, all in turn as `metad2a device` times networks."""
    networks = {
        name: image_space(each.space).network(each, skeleton(channels[name])).eval() for name, each in cells.items()
    }
    generator, found = torch.Generator().manual_seed(0), {}
    for told, count in (("one image", 1), (f"{size.batch} images", size.batch)):
        for layout, form in LAYOUTS.items():
            images = torch.randn(count, 1, size.px, size.px, generator=generator).to(memory_format=form)
            ready = [each.to(memory_format=form) for each in networks.values()]  # type: ignore[call-overload]
            with torch.inference_mode():
                taken = seconds_in_turn([partial(each, images) for each in ready], repeats=PASSES)
            found[f"{told}, {layout}"] = dict(zip(networks, taken, strict=True))
    return found


def _searched(name: str, job: Job) -> Architecture:
    """What a search on the digits ends with in a frame, whose shared weights and a policy learn in turn."""
    task, place = job.tasks[DIGITS], pick_place()
    space, recipe = shared_space(name), SharedRecipe(channels=CHANNELS, resolution=SIDES[DIGITS], steps=job.size.steps)
    parts = [labelled(task, part, recipe.resolution, on=str(place)) for part in (TRAIN, VALIDATION)]
    supernet = new_supernet(space, recipe.skeleton(task), seed=job.number).to(place)
    measure = OneShot(space, supernet, parts[1].images, parts[1].labels, draw=128, seed=job.number)
    policy, rounds = new_policy(job.search, space, job.number), list[list[float]]()
    alternate(
        *(supernet, space, parts[0]),
        policy=policy,
        measure=measure,
        recipe=recipe,
        told=10,
        seed=job.number,
        on_round=rounds.append,
    )
    drawn = derive(policy, measure, count=5, asked=sum(map(len, rounds)), seed=job.number)
    return drawn[int(replace(measure, draw=None).predict(drawn).argmax())]
