"""Small networks, trained and written to files as a search ends."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from databases.architectures.skeleton import Blueprint
from databases.architectures.space import Architecture, space
from databases.datasets.task import Images, Task, split
from databases.records.recipe import Recipe
from metad2a.export.export import Exported, card_of_training, save
from metad2a.train.train import train
from metad2a.train.training import Training

RECIPE = Recipe("test", 4, 1, 8, epochs=1, batch=16, learning_rate=0.05)
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
CELLS = (
    CELL,
    "|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|none~0|nor_conv_3x3~1|skip_connect~2|",  # node 1 gets nothing
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",  # neither does the output
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)


def pictures(count: int, *shape: int, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def a_task(*, channels: int = 3, px: int = 12, names: tuple[str, ...] = ("ant", "bee", "cat")) -> Task:
    labels = np.arange(60) % len(names)
    return Task("insects", pictures(60, px, px, channels), labels, split(labels), names)


def export(
    training: Training,
    *,
    task: Task,
    architecture: Architecture,
    recipe: Recipe,
    folder: Path,
    blueprint: Blueprint | None = None,
) -> Exported:
    """``task`` is the task before it was resized for the recipe.

    A ``blueprint`` is that of a network which is more than its architecture, such as InstaNAS's with a controller.
    """
    card = card_of_training(training, task=task, architecture=architecture, recipe=recipe, seed=0)
    return save(training, card if blueprint is None else replace(card, blueprint=blueprint), folder)


def exported(folder: Path, task: Task, cell: str = CELL) -> Exported:
    architecture = space("nasbench201").parse(cell)
    training = train(task, architecture, recipe=RECIPE, on="cpu")
    return export(training, task=task, architecture=architecture, recipe=RECIPE, folder=folder)


def module(program: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported_model", program)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
