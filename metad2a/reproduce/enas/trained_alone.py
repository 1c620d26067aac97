"""Children of ENAS's other spaces: by shared weights and trained alone, on digits and on text."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, SharedSpace, shared_space, space
from databases.architectures.spaces.enas_macro import ENASMacro
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.reproduce.enas import recurrent
from metad2a.reproduce.nasnet.transferred_cells import fewer
from metad2a.supernets.training import SharedRecipe, labelled, new_supernet, train_supernet
from metad2a.train.inference import accuracy
from metad2a.train.torch_place import pick_place
from metad2a.train.train import train
from predictors.one_shot import OneShot

DIGITS, TEXT = ("enas-macro", "enas-micro"), recurrent.SPACE
LAYERS = 6  # of the macro space
ALONE = Recipe("", channels=4, cells=1, resolution=8, epochs=0, batch=32, learning_rate=0.05, average=0.25)
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


@lent(threads=1)
def alone(job: tuple[str, int, float]) -> tuple[str, int, float]:
    """Space, child and epochs -> space, child and how good the child is when it was trained alone.

    Less than an epoch is one of so many images.
    """
    name, child, epochs = job
    architecture = children(name, child + 1)[child]
    if name == TEXT:
        return name, child, recurrent.alone(architecture, epochs=epochs)
    task = digits() if epochs >= 1 else fewer(digits(), round(epochs * len(digits().labels)))
    training = train(task, architecture, recipe=replace(ALONE, epochs=max(1, round(epochs))))
    return name, child, float(accuracy(training, task, TEST) or 0)


@lent(threads=1)
def shared(job: tuple[str, int, int, int]) -> tuple[str, int, Values]:
    """Space, seed, children, steps -> space, seed and (children,) how good each is by shared weights."""
    name, seed, count, steps = job
    if name == TEXT:
        return name, seed, recurrent.shared(children(name, count), steps=steps, seed=seed)
    recipe = SharedRecipe(channels=4, resolution=8, steps=steps)
    place = pick_place()
    train_part, valid = (labelled(digits(), part, recipe.resolution, on=str(place)) for part in (TRAIN, VALIDATION))
    chosen = image_space_of(name)
    supernet = new_supernet(chosen, recipe.skeleton(digits()), seed=seed).to(place)
    train_supernet(supernet, chosen, train_part, recipe=recipe, seed=seed)
    return name, seed, OneShot(chosen, supernet, valid.images, valid.labels).predict(children(name, count))
