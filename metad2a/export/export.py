"""A trained network as two files: weights that say what they are, and a `model.py` that runs them.

The weights are safetensors with a card in their header. `model.py` needs torch alone; it holds the source of
exactly this network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from databases.architectures.skeleton import Blueprint
from databases.architectures.space import Architecture, image_space
from databases.datasets.task import Task
from databases.hosting import own_ways
from databases.records.recipe import Recipe
from metad2a.export.card import Card
from metad2a.export.program import PROGRAM, program
from metad2a.export.weights import WEIGHTS, load_weights, weights_file
from metad2a.runtime.files import write_results
from metad2a.train.training import Training


@dataclass(frozen=True)
class Exported:
    """A trained network and where its two files are."""

    folder: Path
    card: Card
    training: Training

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.folder / WEIGHTS

    @property
    def program(self) -> Path:
        """The Python file that loads and runs the weights."""
        return self.folder / PROGRAM


def card_of_training(training: Training, *, task: Task, architecture: Architecture, recipe: Recipe, seed: int) -> Card:
    """The card of a training of ``task``, not yet tested."""
    skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
    blueprint = image_space(architecture.space).blueprint(architecture, skeleton)
    return card_of(
        training,
        task=task,
        architecture=architecture,
        recipe=recipe.name,
        blueprint=blueprint,
        resolution=recipe.resolution,
        seed=seed,
    )


def card_of(
    training: Training,
    *,
    task: Task,
    architecture: Architecture,
    recipe: str,
    blueprint: Blueprint,
    resolution: int,
    seed: int,
) -> Card:
    """The card of a network made by ``blueprint`` for images of ``resolution``, not yet tested."""
    return Card(
        space=architecture.space,
        architecture=str(architecture),
        recipe=recipe,
        seed=seed,
        task=task.name,
        fingerprint=task.fingerprint,
        class_names=task.class_names,
        sizes=tuple(dict.fromkeys((task.resolution, resolution))),
        mean=training.mean,
        scale=training.scale,
        blueprint=blueprint,
        valid_accuracy=training.valid_accuracy,
        test_accuracy=None,
        complete=training.complete,
        train_seconds=training.seconds,
        white=task.white,
    )


def save(training: Training, card: Card, folder: Path) -> Exported:
    """Writes `model.safetensors` and `model.py` into ``folder``, replacing them at once or not at all.

    Raises UserError where nothing can be written, and where a file of that name stands there that we did not write.
    """
    write_results(folder, {WEIGHTS: weights_file(training, card), PROGRAM: program(card).encode()})
    return Exported(folder, card, training)


@own_ways()
def load_exported(folder: Path) -> Exported:
    """Reads an exported network back; raises UserError where ``folder`` holds none that is whole."""
    card, training = load_weights(folder / WEIGHTS)
    return Exported(folder, card, training)
