"""MetaD2A's generator: a task -> a latent vector -> architectures that suit it (Lee, Hyung, Hwang, 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, space
from databases.datasets.features import TaskFeatures
from databases.hosting import lent
from metad2a.generate.decoder import GraphDecoder
from metad2a.train.loop import Loop, OnEpoch, in_turn, remembered
from metad2a.train.optimisers import Adam
from predictors.meta import with_rows
from predictors.network_config import NetworkConfig
from predictors.set_encoder import SetEncoder, TaskBatch, collate

Batch = tuple[TaskBatch, Tensor, list[list[Walk]]]  # tasks, numbers of their recipes, good walks of each


@dataclass(frozen=True)
class GeneratorConfig(NetworkConfig):
    """Sizes of a `Generator`. ``latent``: size of z."""

    width: int = 64
    latent: int = 16
    state: int = 96


class Generator(nn.Module):
    """Set encoder -> z (reparameterised) -> `GraphDecoder`."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.set = SetEncoder(features=config.features, width=config.width)
        self.recipe = nn.Embedding(len(config.recipes), config.width)
        self.mean = nn.Linear(config.width, config.latent)
        self.log_variance = nn.Linear(config.width, config.latent)
        self.decoder = GraphDecoder(space(config.space), context=config.latent, width=config.state)

    def encode(self, batch: TaskBatch, recipes: Tensor) -> tuple[Tensor, Tensor]:
        """Tasks and (t,) recipe numbers -> mean and log variance of z, (t, latent) each."""
        vector = torch.relu(self.set(batch) + self.recipe(recipes))
        return self.mean(vector), self.log_variance(vector).clamp(-6, 2)

    def loss(self, batch: TaskBatch, recipes: Tensor, walks: Sequence[Sequence[Walk]], *, kl: float) -> Tensor:
        """Mean negative log likelihood of the good walks, plus ``kl`` times KL(q(z | task) || N(0, 1))."""
        mean, log_variance = self.encode(batch, recipes)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        counts = torch.tensor([len(each) for each in walks])
        good = [walk for each in walks for walk in each]
        scored = self.decoder.score(z.repeat_interleave(counts, dim=0), good)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return -scored.log_probability.mean() + kl * divergence

    @torch.no_grad()
    def latent(self, task: TaskFeatures, *, recipe: str) -> Tensor:
        """The mean of z for a task, (latent,)."""
        self.eval()
        mean, _ = self.encode(collate([task]), torch.tensor([self.config.number(recipe)]))
        return mean[0]

    @torch.inference_mode()
    def log_probability(self, z: Tensor, walks: Sequence[Walk]) -> Tensor:
        """(latent,) -> (n,) log probabilities that these walks are drawn."""
        self.eval()
        return self.decoder.score(z.expand(len(walks), -1), walks).log_probability

    def with_recipes(self, like: Mapping[str, str]) -> Generator:
        """A copy that also knows new recipes, for which it draws as for the known one named beside each."""
        with lent():
            wider = Generator(replace(self.config, recipes=(*self.config.recipes, *like)))
        rows = [self.config.number(each) for each in like.values()]
        wider.load_state_dict(with_rows(self.state_dict(), ("recipe.weight",), rows))
        return wider.eval()

    @torch.inference_mode()
    def generate(self, z: Tensor, count: int, *, seed: int = 0) -> list[Architecture]:
        """(latent,) -> ``count`` drawn architectures, repeats included, every one valid."""
        self.eval()
        draw = torch.Generator().manual_seed(seed)
        found = self.decoder.sample(z.expand(count, -1), generator=draw)
        return [Architecture(self.config.space, walk) for walk in found.walks]


@dataclass(frozen=True, eq=False)
class Lesson:
    """One task's good architectures under a recipe, with their weights (adding to one)."""

    features: TaskFeatures
    recipe: str
    walks: list[Walk]
    weights: np.ndarray

    def draw(self, count: int, rng: np.random.Generator) -> list[Walk]:
        """``count`` walks by their weights, with repeats."""
        return [self.walks[i] for i in rng.choice(len(self.walks), count, p=self.weights)]


def train_generator(
    model: Generator,
    lessons: Sequence[Lesson],
    *,
    steps: int,
    seed: int,
    tasks: int = 6,
    walks: int = 48,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Generator:
    """Trains on drawn lessons (Adam; KL weight 0.005 as published); returns the model in eval mode.

    An epoch is a step. With ``checkpoint`` (a file) it goes on where it was killed, and ``on_epoch`` is told all steps.
    """
    with lent(seed=seed):
        optimiser = Adam(model.parameters(), lr=3e-3)
        cycle = OneCycleLR(optimiser, 3e-3, total_steps=max(2, steps), pct_start=0.1)
        loop = Loop(
            *(model, optimiser), steps=steps, schedule=cycle, seed=seed, gradient_norm=1.0, checkpoint=checkpoint
        )

        def drawn() -> Iterator[list[Batch]]:
            rng = np.random.default_rng(seed)
            share = np.array([1 / sum(each.recipe == other.recipe for other in lessons) for each in lessons])
            while True:
                some = [lessons[i] for i in rng.choice(len(lessons), size=tasks, p=share / share.sum())]
                good = [each.draw(walks, rng) for each in some]
                numbers = torch.tensor([model.config.number(each.recipe) for each in some])
                yield [(collate([each.features for each in some], rng), numbers, good)]

        def loss(network: nn.Module, batch: Batch) -> Tensor:
            return model.loss(*batch, kl=0.005)

        loop.run(in_turn(loop, drawn()), loss, on_epoch=remembered(loop, on_epoch))
    return model.eval()
