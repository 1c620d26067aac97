"""ENAS on text: recurrent cells that share weights, and the same cells trained alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.space import Architecture
from databases.architectures.spaces.enas_recurrent import ENAS_RECURRENT
from databases.datasets.text import Text, Tokens, python_topics
from databases.hosting import lent
from metad2a.supernets.training import Draw, uniform
from metad2a.train.language import LanguageModel, LanguageRecipe, cross_entropy, maker, streams, train
from metad2a.train.loop import Loop, OnEpoch, cosine
from metad2a.train.optimisers import Adam

SPACE = ENAS_RECURRENT.name
RECIPE = LanguageRecipe(learning_rate=0.03)
WIDTH, RATE = 32, 0.01  # of the shared cell, and of Adam on the shared weights
REWARD, PART = 80.0, 1024  # over the perplexity (Zoph, Le, 2017), of so many validation tokens
Batch = tuple[int, Architecture]  # where the tokens begin, and the child that learns them


@cache
def topics() -> Text:
    """Python's topics in words."""
    return python_topics("word")


def train_alone(child: Architecture, *, epochs: float) -> float:
    """Negative validation loss, nats per token, of a child trained alone with as many parameters as any other."""
    make = maker(f"{SPACE}: {ENAS_RECURRENT.text(child)}")
    return -train(make, topics(), replace(RECIPE, epochs=epochs)).valid


class SharedText:
    """Weights that all cells share on text; the better a child, the larger what it scores."""

    space = ENAS_RECURRENT
    steps_a_turn = 28  # a quarter of a pass

    def __init__(self, seed: int) -> None:
        self.text = topics()
        with lent(seed=seed):
            self.cell = ENAS_RECURRENT.shared_cell(RECIPE.embedding, WIDTH)
            sizes = {"vocabulary": len(self.text.vocabulary), "embedding": RECIPE.embedding}
            self.model = LanguageModel(self.cell, WIDTH, **sizes, dropout=RECIPE.dropout)
        self._random = np.random.default_rng(seed)

    def teach(
        self, steps: int, *, seed: int, draw: Draw | None = None, on_epoch: OnEpoch | None = None, turn: bool = False
    ) -> None:
        """Each piece of the text is learnt by a child, by default a random one; with ``turn`` in short passes."""
        read = streams(self.text.train, RECIPE.batch)
        optimiser = Adam(self.model.parameters(), lr=RATE, betas=(0.9, 0.99))
        rate = RECIPE.gradient_norm
        loop = Loop(self.model, optimiser, steps=steps, schedule=cosine(0.05), seed=seed, gradient_norm=rate)
        starts = torch.arange(0, len(read) - RECIPE.steps, RECIPE.steps)
        count = self.steps_a_turn if turn else len(starts)

        def batches(generator: torch.Generator, first: int) -> Iterator[Batch]:
            order = starts[torch.randperm(len(starts), generator=generator)][:count].tolist()
            number = int(torch.randint(2**31, (1,), generator=generator))
            yield from list(zip(order, (draw or uniform(self.space))(len(order), number), strict=True))[first:]

        def loss(model: nn.Module, batch: Batch) -> Tensor:
            start, child = batch
            self.cell.take(*ENAS_RECURRENT.nodes_of(child))
            logits, _ = model(read[start : start + RECIPE.steps])
            wanted = read[start + 1 : start + 1 + RECIPE.steps]
            return nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())

        loop.run(batches, loss, on_epoch=on_epoch)

    def score(self, children: Sequence[Architecture]) -> npt.NDArray[np.float64]:
        """(children,) negative validation losses, nats per token."""
        return np.array([-self._loss(child, self.text.valid) for child in children])

    def reward(self, children: Sequence[Architecture]) -> list[float]:
        """A constant over the perplexity on a part of the validation text, drawn anew for each child."""
        found = []
        for child in children:
            start = int(self._random.integers(len(self.text.valid) - PART))
            found.append(REWARD / math.exp(self._loss(child, self.text.valid[start : start + PART])))
        return found

    def _loss(self, child: Architecture, tokens: Tokens) -> float:
        self.cell.take(*ENAS_RECURRENT.nodes_of(child))
        return cross_entropy(self.model, tokens)
