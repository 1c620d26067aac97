"""A training written to files, as a search ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from databases.architectures.skeleton import Blueprint
from databases.architectures.space import Architecture
from databases.datasets.task import Task
from databases.records.recipe import Recipe
from metad2a.export.export import Exported, card_of_training, save
from metad2a.train.training import Training


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
