"""Trains a meta-graph with its controller and static children beside it, and measures what each image costs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.spaces.instanas import MODULES
from databases.architectures.supernets.instanas import InstanceNetwork, MetaGraph, Stage
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.hosting import lent
from metad2a.runtime.clock import seconds_in_turn
from metad2a.supernets.instance import InstanceRecipe, InstanceTraining
from metad2a.supernets.module_costs import Costs, profile
from metad2a.supernets.training import Labelled, labelled
from metad2a.train.torch_place import pick_place
from predictors.metrics import spearman

OURS, MOBILE, STATIC = "InstaNAS", "MobileNetV2's modules in every layer", "cheapest static child as accurate"
EXCHANGED, RANDOM = "InstaNAS, paths of other images (control)", "random child of equal cost"
ABLATIONS = {
    "paths not shuffled": {"shuffled": False},
    "window does not fall": {"falling": False},
    "exploration not bounded": {"bounded": False},
}
CHILD = "static child of at most {} times the cost"
BOUNDS = (0.5, 0.8, 1.2, 2.0)  # most costs of the static children that are tuned, in those of InstaNAS's mean path
DRAWN = 60  # random static children, of which the best within each bound by shared weights is tuned
POINTS = 0.5  # accuracy that counts as equal
TIMED = 60  # images whose time is measured one by one
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class World:
    """Images and the meta-graph for them."""

    task: Task
    resolution: int
    channels: int
    stages: tuple[Stage, ...]
    widths: tuple[int, ...] = (8, 16)

    @property
    def blueprint(self) -> Blueprint:
        """The meta-graph with its controller."""
        skeleton = Skeleton(self.channels, 1, self.task.channels, self.task.classes)
        return Blueprint("supernets.instanas:InstanceNetwork", (MODULES, self.stages, skeleton, self.widths))


@dataclass(frozen=True, eq=False)
class Job:
    """One seed in one world; ``ablate`` trains without each of the parts too.

    Attributes:
        timed: images whose time is measured one by one. drawn: random static children, of which few are tuned.
    """

    name: str
    world: World
    seed: int
    recipe: InstanceRecipe
    ablate: bool = True
    timed: int = TIMED
    drawn: int = DRAWN


@dataclass(frozen=True)
class Measured:
    """A way of classifying: percent right on validation and test images, and milliseconds of the processor an image.

    modules: mean number of modules that an image passes. spent: its mean cost by the profile, in milliseconds.
    """

    valid: float
    test: float
    milliseconds: float
    modules: float
    spent: float


@dataclass(frozen=True)
class Outcome:
    """What a seed found.

    Attributes:
        ways: label -> what was measured. difficulty: Spearman correlation between an image's cost and how unsure the
            whole graph is of it. paths: different ones that the test images take.
    """

    name: str
    seed: int
    ways: dict[str, Measured]
    difficulty: float
    paths: int


class Bench:
    """The parts of a world, prepared, and how accurate and fast a way is on them.

    Args:
        timed: images whose time is measured one by one.
    """

    def __init__(self, world: World, *, timed: int = TIMED) -> None:
        self.timed = timed
        self.train, self.valid, self.test = (
            labelled(world.task, part, world.resolution) for part in (TRAIN, VALIDATION, TEST)
        )

    def measure(
        self, classify: Callable[[Tensor], Tensor], masks: Callable[[Tensor], Tensor], costs: Costs
    ) -> Measured:
        """Accuracy in batches, time image by image; ``masks`` are the images' paths."""
        with torch.inference_mode():
            images = self.test.images[: self.timed]
            seconds = [seconds_in_turn([partial(classify, x)], repeats=2, before=1) for x in images.split(1)]
            on = masks(self.test.images)
            return Measured(
                right(classify, self.valid),
                right(classify, self.test),
                1000 * float(np.mean(seconds)),
                float(on.sum(dim=(1, 2)).float().mean()),
                1000 * float(costs.of(on).mean()),
            )


def right(classify: Callable[[Tensor], Tensor], part: Labelled) -> float:
    """Percent of a part's images that are classified right."""
    found = torch.cat([classify(x).argmax(1) for x in part.images.split(250)])
    return float(100 * (found == part.labels).float().mean())


@lent(threads=1)
def run(job: Job) -> Outcome:
    """All ways of one seed, from the same pretrained weights."""
    bench, world = Bench(job.world, timed=job.timed), job.world
    with lent(seed=job.seed):
        network = world.blueprint.build()
    assert isinstance(network, InstanceNetwork)
    costs = profile(network.graph, tuple(bench.train.images.shape[1:]))  # type: ignore[arg-type]
    first = _begun(network, bench, costs, job.recipe, job)
    first.pretrain()
    network = first.network.cpu()
    unsure = _unsure(network.graph.eval(), bench.test)
    variants = {OURS: job.recipe}
    if job.ablate:
        variants |= {label: replace(job.recipe, **parts) for label, parts in ABLATIONS.items()}
    ways: dict[str, Measured] = {}
    spent, paths = np.zeros(0), 0
    for label, recipe in variants.items():
        made = _begun(network, bench, costs, recipe, job)
        made.search()
        made.tune()
        made.network.cpu().eval()
        ways[label] = bench.measure(made.network, made.network.paths, costs)
        if label == OURS:
            ways[EXCHANGED] = bench.measure(lambda x, net=made.network: _exchanged(net, x), made.network.paths, costs)  # type: ignore[misc]
            with torch.inference_mode():
                on = made.network.paths(bench.test.images)
            spent, paths = costs.of(on).double().numpy(), len(torch.unique(on, dim=0))
    ways |= _static(network, bench, costs, job, ways[OURS].spent / 1000)
    return Outcome(job.name, job.seed, ways, spearman(spent, unsure), paths)


def _begun(network: InstanceNetwork, bench: Bench, costs: Costs, recipe: InstanceRecipe, job: Job) -> InstanceTraining:
    """The training of a copy, on CUDA where it is at hand; what is measured goes back to the CPU first."""
    place = pick_place()
    return InstanceTraining(copy.deepcopy(network).to(place), bench.train.to(place), costs, recipe, seed=job.seed)


def _exchanged(network: InstanceNetwork, images: Tensor) -> Tensor:
    """Logits (b, classes) by the path of the next image of the batch."""
    logits: Tensor = network.graph(images, network.paths(images).roll(1, dims=0))
    return logits


def _unsure(graph: MetaGraph, part: Labelled) -> Values:
    """(n,) how little the whole graph's first choice leads its second, as chances."""
    with torch.inference_mode():
        chances = torch.cat([graph(x).softmax(1) for x in part.images.split(250)])
    best = chances.topk(2, dim=1).values
    found: Values = -(best[:, 0] - best[:, 1]).double().numpy()
    return found


def _static(network: InstanceNetwork, bench: Bench, costs: Costs, job: Job, ours: float) -> dict[str, Measured]:
    """MobileNetV2's child, one within each bound and a random one, each tuned for as many steps as InstaNAS."""
    tuned: dict[str, Measured] = {}
    for label, mask in _candidates(network.graph, bench, costs, job, ours).items():
        made = _begun(network, bench, costs, job.recipe, job)
        made.tune_child(mask)
        child = made.graph.child(mask).cpu().eval()
        tuned[label] = bench.measure(child, lambda images, on=mask: on.expand(len(images), -1, -1), costs)  # type: ignore[misc]
    return tuned


def _candidates(graph: MetaGraph, bench: Bench, costs: Costs, job: Job, ours: float) -> dict[str, Tensor]:
    """The masks (layers, modules) of the static children that are tuned."""
    random = torch.Generator().manual_seed(job.seed)
    shape = tuple(costs.modules.shape)
    mobile = torch.zeros(shape, dtype=torch.bool)
    mobile[:, 0] = True
    density = torch.linspace(0.05, 0.6, job.drawn).view(-1, 1, 1)
    single = torch.eye(shape[1], dtype=torch.bool).unsqueeze(1).expand(-1, shape[0], -1)
    masks = torch.cat([single, graph.legal(torch.rand(job.drawn, *shape, generator=random) < density)])
    spent = costs.of(masks)
    few = Labelled(bench.valid.images[:250], bench.valid.labels[:250])
    with torch.inference_mode():
        known = torch.tensor([right(lambda x, m=m: graph(x, m.expand(len(x), -1, -1)), few) for m in masks])  # type: ignore[misc]
    found = {MOBILE: mobile, RANDOM: masks[len(single) + int((spent[len(single) :] - ours).abs().argmin())]}
    for most in BOUNDS:
        below = (spent <= most * ours).nonzero().squeeze(1)
        if len(below):
            found[CHILD.format(most)] = masks[below[known[below].argmax()]]
    return found


def cheapest(ways: dict[str, Measured]) -> Measured:
    """The fastest static child that is as accurate as InstaNAS on validation images, else the most accurate one."""
    enough = [each for each in _tuned(ways) if _as_accurate(each, ways)]
    if enough:
        return min(enough, key=lambda each: each.milliseconds)
    return max(_tuned(ways), key=lambda each: each.valid)


def matched(ways: dict[str, Measured]) -> bool:
    """Whether there is a static child as accurate as InstaNAS."""
    return any(_as_accurate(each, ways) for each in _tuned(ways))


def _tuned(ways: dict[str, Measured]) -> list[Measured]:
    """The static children that may be the rival."""
    return [ways[label] for label in (MOBILE, *map(CHILD.format, BOUNDS)) if label in ways]


def _as_accurate(child: Measured, ways: dict[str, Measured]) -> bool:
    return child.valid >= ways[OURS].valid - POINTS
