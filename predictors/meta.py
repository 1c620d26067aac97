"""The meta-performance predictor: (task, architecture, recipe) -> mean and spread of the accuracy.

A task vector (set encoder) and an architecture vector (graph encoder) meet in a low-rank product, so a task
is encoded once, each architecture once, and all pairs cost one matrix product:

    logit accuracy = center + between * level(task) + within * scale(task) * score
    score          = base(architecture) + base'(architecture, recipe) + u(task) . v(architecture)

`center`, `between`, `within` are constants of a recipe: its mean, its spread between tasks and inside them.
`base` is what holds on average under a recipe, the product is what only the dataset tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.catalogue import Catalogue
from databases.architectures.space import Architecture, space
from databases.datasets.features import TaskFeatures
from databases.hosting import lent
from predictors.graph_encoder import EncodedCells, GraphEncoder, tensors
from predictors.network_config import NetworkConfig
from predictors.set_encoder import SetEncoder, TaskBatch, collate

FEWEST_TASKS = 20  # a recipe measured on fewer tasks teaches neither its level nor what the dataset changes
OF_RECIPES = ("recipe.weight", "base_of_recipe.weight", "reads_dataset", "constants")  # a row for each recipe
BATCH = 256  # architectures that are encoded at once: they fit the cache


@dataclass(frozen=True)
class MetaConfig(NetworkConfig):
    """Sizes of a `MetaPredictor`."""

    width: int = 48
    layers: int = 3
    rank: int = 8
    dropout: float = 0.1


@dataclass(frozen=True, eq=False)
class Scores:
    """Predicted logit accuracies of n architectures on one task.

    Attributes:
        mean, std: (n,) on the logit scale; where `MetaPredictor.level_known` is False only the order of mean
            counts.
    """

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """``mean`` and ``log_std`` of the logit accuracy: (tasks, architectures) each."""

    mean: Tensor
    log_std: Tensor


class MetaPredictor(nn.Module):
    """Set encoder, graph encoder and the head described above.

    With ``encoded`` it looks architectures up: it predicts, and cannot be trained.
    """

    def __init__(self, config: MetaConfig, encoded: EncodedCells | None = None) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.graph = encoded or _graph_encoder(config)
        self.set = SetEncoder(features=config.features, width=width, dropout=config.dropout)
        recipes = len(config.recipes)
        self.recipe = nn.Embedding(recipes, width)
        self.base = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.base_of_recipe = nn.Embedding(recipes, width)
        self.level = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.scale = nn.Linear(width, 1)
        self.task_factor = nn.Linear(width, config.rank)
        self.cell_factor = nn.Linear(width, config.rank)
        self.spread_of_task = nn.Linear(width, 1)
        self.spread_of_cell = nn.Linear(width, 1)
        self.reads_dataset: Tensor
        self.constants: Tensor
        self.register_buffer("reads_dataset", torch.zeros(recipes))
        self.register_buffer("constants", torch.tensor([[0.0, 1.0, 1.0]]).repeat(recipes, 1))
        level: nn.Module = self.level[-1]
        for small in (self.base_of_recipe, self.task_factor, level, self.scale):
            assert isinstance(small.weight, Tensor)
            nn.init.normal_(small.weight, std=0.01)

    def know_recipe(self, recipe: str, *, center: float, between: float, within: float, reads_dataset: bool) -> None:
        """Sets a recipe's constants, and whether enough tasks were measured to tell what the dataset changes.

        Where they were not, the level and the product are switched off: only the average order is given.
        """
        number = self.number(recipe)
        self.constants[number] = torch.tensor([center, between, within])
        self.reads_dataset[number] = float(reads_dataset)

    def level_known(self, recipe: str) -> bool:
        """Whether enough tasks were measured with the recipe to predict accuracies, not only their order."""
        return bool(self.reads_dataset[self.number(recipe)])

    def number(self, recipe: str) -> int:
        """A recipe's row; raises `UserError` where the model does not know it."""
        return self.config.number(recipe)

    def with_recipes(self, like: Mapping[str, str]) -> MetaPredictor:
        """A trainable copy that also knows new recipes, each with the average order of a known one, without levels."""
        new = tuple(like)
        with lent():
            wider = MetaPredictor(replace(self.config, recipes=(*self.config.recipes, *new)))
        state = with_rows(self.state_dict(), OF_RECIPES, [self.number(each) for each in like.values()])
        wider.load_state_dict(state)
        wider.reads_dataset[len(self.config.recipes) :] = 0
        return wider.eval()

    def encode_tasks(self, batch: TaskBatch) -> Tensor:
        """Tasks -> (tasks, width)."""
        vectors: Tensor = self.set(batch)
        return vectors

    def encode_architectures(self, types: Tensor, adjacency: Tensor) -> Tensor:
        """Typed graphs -> (n, width)."""
        vectors: Tensor = self.graph(types, adjacency)
        return vectors

    def forward(self, tasks: Tensor, recipes: Tensor, cells: Tensor) -> Prediction:
        """(t, width) task vectors, (t,) recipe numbers, (n, width) cell vectors -> (t, n) predictions."""
        context = torch.relu(tasks + self.recipe(recipes))  # (t, width)
        reads = self.reads_dataset[recipes, None]  # (t, 1)
        center, between, within = self.constants[recipes].T[:, :, None]  # (t, 1) each
        score = self.base(torch.relu(cells)).T + self.base_of_recipe(recipes) @ cells.T  # (t, n)
        score = score + (self.task_factor(context) * reads) @ self.cell_factor(cells).T
        scale = (self.scale(context) * reads).clamp(-2, 2).exp()
        mean = center + between * self.level(context) * reads + within * scale * score
        spread = self.spread_of_task(context.detach()) * reads + self.spread_of_cell(cells.detach()).T
        return Prediction(mean, within.log() + spread.clamp(-4, 3))

    @torch.inference_mode()
    def encode_many(self, architectures: Sequence[Architecture]) -> Tensor:
        """Architectures of one space -> (n, width), each encoded once."""
        self.eval()
        if isinstance(self.graph, EncodedCells):
            return self.graph.vectors[Catalogue(self.config.space).add(architectures)]
        chosen = space(self.config.space)
        parts = [chosen.graphs(architectures[i : i + BATCH]) for i in range(0, len(architectures), BATCH)]
        return torch.cat([self.encode_architectures(*tensors(part)) for part in parts])

    @torch.inference_mode()
    def predict_encoded(self, task: TaskFeatures, cells: Tensor, *, recipe: str) -> Scores:
        """As `predict`, for architectures that `encode_many` has encoded, (n, width)."""
        self.eval()
        vector = self.encode_tasks(collate([task]))
        found: Prediction = self(vector, torch.tensor([self.number(recipe)]), cells)
        return Scores(found.mean[0].double().numpy(), found.log_std[0].exp().double().numpy())

    def predict(self, task: TaskFeatures, architectures: Sequence[Architecture], *, recipe: str) -> Scores:
        """(n,) scores of many architectures of one space on one task under a named recipe."""
        return self.predict_encoded(task, self.encode_many(architectures), recipe=recipe)


def _graph_encoder(config: MetaConfig) -> GraphEncoder:
    chosen = space(config.space)
    nodes = chosen.graphs([next(iter(chosen.enumerate()))]).types.shape[1]
    return GraphEncoder(types=len(chosen.node_types), width=config.width, layers=config.layers, nodes=nodes)


def with_rows(state: Mapping[str, Tensor], names: Sequence[str], rows: Sequence[int]) -> dict[str, Tensor]:
    """A state dictionary in which the named tensors have further rows, copies of the given ones."""
    return {name: torch.cat([t, t[list(rows)]]) if name in names else t for name, t in state.items()}
