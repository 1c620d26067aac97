"""ENAS on text: recurrent cells that share weights, and the same cells trained alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.space import Architecture
from databases.architectures.spaces.enas_recurrent import ENAS_RECURRENT
from databases.architectures.supernets.recurrent import SharedHighwayCell
from databases.datasets.text import Text, python_topics
from databases.hosting import lent
from metad2a.train.language import LanguageModel, LanguageRecipe, cross_entropy, maker, streams, train
from metad2a.train.loop import Loop, cosine
from metad2a.train.optimisers import Adam

SPACE = ENAS_RECURRENT.name
RECIPE = LanguageRecipe(learning_rate=0.03)
WIDTH, RATE = 32, 0.01  # of the shared cell, and of Adam on the shared weights
Batch = tuple[int, Architecture]  # where the tokens begin, and the child that learns them


@cache
def topics() -> Text:
    """Python's topics in words."""
    return python_topics("word")


def train_alone(child: Architecture, *, epochs: float) -> float:
    """Negative validation loss, nats per token, of a child trained alone with as many parameters as any other."""
    make = maker(f"{SPACE}: {ENAS_RECURRENT.text(child)}")
    return -train(make, topics(), replace(RECIPE, epochs=epochs)).valid


def score_by_shared_weights(children: list[Architecture], *, steps: int, seed: int) -> npt.NDArray[np.float64]:
    """(children,) negative validation losses on weights that random children learnt in turn."""
    text = topics()
    with lent(seed=seed):
        cell = ENAS_RECURRENT.shared_cell(RECIPE.embedding, WIDTH)
        sizes = {"vocabulary": len(text.vocabulary), "embedding": RECIPE.embedding}
        model = LanguageModel(cell, WIDTH, **sizes, dropout=RECIPE.dropout)
    _teach(model, cell, streams(text.train, RECIPE.batch), steps=steps, seed=seed)
    scores = []
    for child in children:
        cell.take(*ENAS_RECURRENT.nodes_of(child))
        scores.append(-cross_entropy(model, text.valid))
    return np.array(scores)


def _teach(model: LanguageModel, cell: SharedHighwayCell, read: Tensor, *, steps: int, seed: int) -> None:
    """Each piece of the text, (tokens, streams), is learnt by a random child."""
    optimiser = Adam(model.parameters(), lr=RATE, betas=(0.9, 0.99))
    loop = Loop(model, optimiser, steps=steps, schedule=cosine(0.05), seed=seed, gradient_norm=RECIPE.gradient_norm)
    starts = torch.arange(0, len(read) - RECIPE.steps, RECIPE.steps)

    def batches(generator: torch.Generator, first: int) -> Iterator[Batch]:
        order = starts[torch.randperm(len(starts), generator=generator)].tolist()
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
        yield from [(start, ENAS_RECURRENT.sample(rng)) for start in order][first:]

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        start, child = batch
        cell.take(*ENAS_RECURRENT.nodes_of(child))
        logits, _ = model(read[start : start + RECIPE.steps])
        return nn.functional.cross_entropy(logits.flatten(0, 1), read[start + 1 : start + 1 + RECIPE.steps].flatten())

    loop.run(batches, loss)
