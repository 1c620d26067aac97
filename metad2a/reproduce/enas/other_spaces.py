"""Children of ENAS's other spaces: by shared weights and trained alone, on digits and on text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, SharedSpace, shared_space, space
from databases.architectures.spaces.enas_macro import ENASMacro
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.enas import recurrent
from metad2a.reproduce.nasnet.transferred_cells import fewer
from metad2a.supernets.training import SharedRecipe, labelled, new_supernet, train_supernet
from metad2a.train.inference import accuracy
from metad2a.train.torch_place import pick_place
from metad2a.train.train import train
from predictors.one_shot import OneShot

DIGITS, TEXT = ("enas-macro", "enas-micro"), recurrent.SPACE
LAYERS = 6  # of the macro space
CHILD_RECIPE = Recipe("", channels=4, cells=1, resolution=8, epochs=0, batch=32, learning_rate=0.05, average=0.25)
Values = npt.NDArray[np.float64]


def image_space_of(name: str) -> SharedSpace:
    """The space of that name, the macro one with few layers."""
    return _MACRO if name == _MACRO.name else shared_space(name)


_MACRO = ENASMacro(LAYERS)


@cache
def digits() -> Task:
    """Scikit-learn's digits."""
    return load_task("sklearn:digits", as_stored=True)


def children(name: str, count: int) -> list[Architecture]:
    """The same random children for all."""
    rng, chosen = np.random.default_rng(11), space(TEXT) if name == TEXT else image_space_of(name)
    return [chosen.sample(rng) for _ in range(count)]


@dataclass(frozen=True)
class OtherSpaces:
    """How much is run in ENAS's other spaces: children of each are trained alone, and share weights.

    Attributes:
        trainings: of each child, on the digits; their mean is the truth, since one training hardly ranks children as
            another does: most know the digits. More children, too, make up for that.
        epochs, steps: of a training alone and of the shared weights, on the digits and on text.
    """

    children: int = 60
    trainings: int = 2
    epochs: tuple[float, float] = (3, 1.5)
    steps: tuple[int, int] = (2000, 300)


OTHER_SPACES = OtherSpaces()


@dataclass(frozen=True)
class ChildTraining:
    """A child to train alone, for so many epochs; less than one is one of so many images. On text all seeds are one."""

    name: str
    child: int
    epochs: float
    seed: int = 0


@lent(threads=1)
def train_alone(job: ChildTraining) -> tuple[ChildTraining, float]:
    """A child -> the same and how good it is when it was trained alone."""
    architecture = children(job.name, job.child + 1)[job.child]
    if job.name == TEXT:
        return job, recurrent.train_alone(architecture, epochs=job.epochs)
    task = digits() if job.epochs >= 1 else fewer(digits(), round(job.epochs * len(digits().labels)))
    training = train(task, architecture, recipe=replace(CHILD_RECIPE, epochs=max(1, round(job.epochs))), seed=job.seed)
    return job, float(accuracy(training, task, TEST) or 0)


@lent(threads=1)
def score_by_shared_weights(job: tuple[str, int, int, int]) -> tuple[str, int, Values]:
    """Space, seed, children, steps -> space, seed and (children,) how good each is by shared weights."""
    name, seed, count, steps = job
    if name == TEXT:
        return name, seed, recurrent.score_by_shared_weights(children(name, count), steps=steps, seed=seed)
    recipe = SharedRecipe(channels=4, resolution=8, steps=steps)
    place = pick_place()
    train_part, valid = (labelled(digits(), part, recipe.resolution, on=str(place)) for part in (TRAIN, VALIDATION))
    chosen = image_space_of(name)
    supernet = new_supernet(chosen, recipe.skeleton(digits()), seed=seed).to(place)
    train_supernet(supernet, chosen, train_part, recipe=recipe, seed=seed)
    return name, seed, OneShot(chosen, supernet, valid.images, valid.labels).predict(children(name, count))


def judged_in_other_spaces(size: OtherSpaces, seeds: range, context: Context) -> dict[str, tuple[Values, Values]]:
    """Space -> (seeds, children) by shared weights, and (children,) trained alone."""
    kinds = {**{name: 0 for name in DIGITS}, TEXT: 1}
    trainings = [
        ChildTraining(name, child, size.epochs[kind], seed)
        for name, kind in kinds.items()
        for child in range(size.children)
        for seed in range(1 if name == TEXT else size.trainings)
    ]
    found: dict[str, list[list[float]]] = {name: [[] for _ in range(size.children)] for name in kinds}
    for job, value in context.run(train_alone, trainings):
        found[job.name][job.child].append(value)
    context.say(f"{len(trainings)} trainings of children alone on the digits and on text")
    jobs = [(name, seed, size.children, size.steps[kind]) for name, kind in kinds.items() for seed in seeds]
    done = {(name, seed): scores for name, seed, scores in context.run(score_by_shared_weights, jobs)}
    return {
        name: (np.stack([done[name, seed] for seed in seeds]), np.array([np.mean(each) for each in found[name]]))
        for name in kinds
    }
