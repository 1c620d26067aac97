"""Named training recipes: part of every record's key, so that numbers of different recipes never mix."""

from __future__ import annotations

import math
from dataclasses import dataclass

from databases.architectures.skeleton import Skeleton
from databases.errors import UserError, unknown


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained.

    Args:
        channels, cells: width of the first stage and cells a stage.
        resolution: side of the square images in pixels.
        epochs, least_steps: epochs over the training images, and as many more as give ``least_steps`` steps.
        batch: images a step.
        learning_rate: peak of the cosine schedule of SGD with Nesterov momentum 0.9.
        augment: random shifts, and flips of colour images; in a search flips where the images allow them.
        average: share of the last steps whose weights are averaged (Izmailov et al., 2018).
        published: measured by others; this project cannot train it as recorded.
    """

    name: str
    channels: int
    cells: int
    resolution: int
    epochs: int
    batch: int
    learning_rate: float
    least_steps: int = 0
    weight_decay: float = 5e-4
    gradient_norm: float = 5.0
    augment: bool = False
    average: float = 0.0
    published: bool = False

    def skeleton(self, *, input_channels: int, classes: int) -> Skeleton:
        """The network around the cell for images of that many channels and classes."""
        return Skeleton(self.channels, self.cells, input_channels, classes)

    def apart(self, other: Recipe) -> float:
        """How much the networks differ in size: the sum over channels, cells and resolution of log ratios."""
        pairs = ((self.channels, other.channels), (self.cells, other.cells), (self.resolution, other.resolution))
        return sum(abs(math.log(ours / theirs)) for ours, theirs in pairs)

    def steps(self, images: int) -> int:
        """Training steps on that many training images."""
        a_pass = max(1, -(-images // self.batch))
        return max(self.epochs * a_pass, -(-self.least_steps // a_pass) * a_pass)


RECIPES: dict[str, Recipe] = {
    each.name: each
    for each in (
        Recipe("tiny", 8, 3, 16, epochs=5, batch=32, learning_rate=0.05, least_steps=150, average=0.25),
        Recipe("shallow", 8, 1, 16, epochs=9, batch=32, learning_rate=0.05, least_steps=265, average=0.25),
        Recipe(
            "small", 16, 1, 32, epochs=30, batch=64, learning_rate=0.05, least_steps=450, augment=True, average=0.25
        ),
        Recipe(
            "standard", 16, 5, 32, epochs=60, batch=128, learning_rate=0.1, least_steps=450, augment=True, average=0.25
        ),
        Recipe("nasbench201", 16, 5, 32, 200, 256, 0.1, augment=True, published=True),
        Recipe("nasbench201-12ep", 16, 5, 32, 12, 256, 0.1, augment=True, published=True),
        Recipe("metad2a", 16, 5, 32, 50, 256, 0.1, augment=True, published=True),
    )
}


PUBLISHED_SIZE = (16, 5, 32)  # channels, cells and resolution of NAS-Bench-201
# What a meta-model knew that does not say so itself.
FIRST_RECIPES = ("tiny", "shallow", "small", "standard", "nasbench201", "nasbench201-12ep", "metad2a")


def recipe(name: str) -> Recipe:
    """The recipe of that name; raises `UserError` that lists the known ones."""
    try:
        return RECIPES[name]
    except KeyError:
        raise unknown("recipe", name, RECIPES) from None


def trainable(name: str) -> Recipe:
    """The recipe of that name where networks can be trained by it here; raises `UserError` that lists those."""
    usable = [each.name for each in RECIPES.values() if not each.published]
    if name not in RECIPES:
        raise unknown("recipe", name, usable)
    if RECIPES[name].published:
        raise UserError(
            f"given the recipe {name!r}, which only others measured; allowed are {', '.join(usable)}; give one"
        )
    return RECIPES[name]


def foreign_recipe(name: str, channels: int, cells: int, resolution: int) -> Recipe:
    """A recipe of a user's own benchmark: only the size of the network is known, so nothing is trained by it."""
    return Recipe(name, channels, cells, resolution, epochs=0, batch=0, learning_rate=0.0, published=True)
