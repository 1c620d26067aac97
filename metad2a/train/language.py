"""Trains small recurrent language models, to compare recurrent cells at equal numbers of parameters.

Embedding, one cell, a projection back to the embedding's size and the embedding again as the classifier (Press,
Wolf, 2017). A cell has the interface of `torch.nn.LSTM`, so torch's own cells are the rivals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from databases.architectures.space import recurrent_space
from databases.datasets.text import Text, Tokens
from databases.hosting import lent
from metad2a.train.loop import Diverged, Loop
from metad2a.train.optimisers import Adam

MakeCell = Callable[[int, int], nn.Module]  # (inputs, width) -> cell
WARM_UP = 20  # steps in which the learning rate rises
SPREAD = 0.5  # standard deviation of the embeddings at the start


@dataclass(frozen=True)
class LanguageRecipe:
    """How a language model is built and trained, by Adam with a cosine schedule.

    Attributes:
        parameters: the model gets the widest cell with which it has no more.
        batch: streams read side by side. steps: tokens of each between two updates. dropout: of what goes into
            the cell and of what comes out.
    """

    parameters: int = 50_000
    embedding: int = 32
    epochs: float = 3
    learning_rate: float = 0.01
    batch: int = 20
    steps: int = 32
    dropout: float = 0.1
    gradient_norm: float = 1.0


@dataclass(frozen=True)
class LanguageTraining:
    """A finished training. valid: mean cross-entropy in nats per token, the vocabulary's uniform guess if it diverged.

    Attributes:
        width: of the cell. parameters: of the whole model. seconds: wall time of training, in all its lives.
    """

    model: LanguageModel
    width: int
    parameters: int
    valid: float
    seconds: float


class LanguageModel(nn.Module):
    """Predicts the next token of every stream."""

    def __init__(self, cell: nn.Module, width: int, *, vocabulary: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        nn.init.normal_(self.embedding.weight, std=SPREAD)
        self.cell, self.dropout = cell, nn.Dropout(dropout)
        self.project = nn.Linear(width, embedding, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, tokens: Tensor, state: object = None) -> tuple[Tensor, object]:
        """(steps, batch) int64 and the cell's state -> (steps, batch, vocabulary) logits and the new state."""
        output, state = self.cell(self.dropout(self.embedding(tokens)), state)
        projected = self.project(self.dropout(output))
        return functional.linear(projected, self.embedding.weight, self.bias), state


def maker(cell: str) -> MakeCell:
    """The maker of a cell: ``tanh``, ``lstm``, or ``SPACE: TEXT`` of an architecture of a recurrent space.

    The LSTM's forget gate begins open (Jozefowicz, Zaremba, Sutskever, 2015).
    """
    if cell == "tanh":
        return nn.RNN
    if cell == "lstm":
        return _lstm
    name, _, text = cell.partition(": ")
    chosen = recurrent_space(name)
    architecture = chosen.parse(text)
    return lambda inputs, width: chosen.cell(architecture, inputs, width)


def train(
    make: MakeCell, text: Text, recipe: LanguageRecipe, *, seed: int = 0, checkpoint: Path | None = None
) -> LanguageTraining:
    """Trains on the training part, on one thread; the same seed gives the same weights.

    With a ``checkpoint`` (a file) a training that was killed goes on, to the same weights.
    """
    with lent(seed=seed, threads=1):
        width, parameters = _widest(make, len(text.vocabulary), recipe)
        model = _model(make, width, len(text.vocabulary), recipe)
        finite, seconds = _fit(model.train(), streams(text.train, recipe.batch), recipe, checkpoint)
        uniform = math.log(len(text.vocabulary))
        valid = cross_entropy(model, text.valid) if finite else uniform
    valid = min(valid, uniform) if math.isfinite(valid) else uniform
    return LanguageTraining(model, width, parameters, valid, seconds)


@torch.no_grad()
def cross_entropy(model: LanguageModel, tokens: Tokens, *, batch: int = 16, steps: int = 64) -> float:
    """Mean nats per token of a part, read as ``batch`` streams."""
    read, state, total = streams(tokens, batch), None, 0.0
    model.eval()
    for start in range(0, len(read) - 1, steps):
        wanted = read[start + 1 : start + 1 + steps]
        logits, state = model(read[start : start + len(wanted)], state)
        total += float(functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum"))
    return total / ((len(read) - 1) * batch)


def _fit(model: LanguageModel, read: Tensor, recipe: LanguageRecipe, checkpoint: Path | None) -> tuple[bool, float]:
    """Trains in place; whether the loss stayed finite, and the seconds."""
    optimiser = Adam(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99))
    starts = range(0, len(read) - 1, recipe.steps)
    updates = round(recipe.epochs * len(starts))
    loop = Loop(
        *(model, optimiser),
        steps=updates,
        schedule=LambdaLR(optimiser, partial(_rate, updates=max(1, updates))),
        random=torch.get_rng_state(),
        gradient_norm=recipe.gradient_norm,
        finite=True,
        checkpoint=checkpoint,
    )

    def loss(model: nn.Module, start: int) -> Tensor:
        state = loop.notes[-1]["state"] if start else None  # of the cell, as the step before left it
        wanted = read[start + 1 : start + 1 + recipe.steps]
        logits, state = model(read[start : start + len(wanted)], state)
        loop.notes[:] = [{"state": _detached(state)}]
        return functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())

    try:
        loop.run(lambda generator, first: starts[first:], loss)
    except Diverged:
        return False, loop.seconds
    return True, loop.seconds


def _rate(update: int, *, updates: int) -> float:
    """Share of the learning rate: a short rise, and half a cosine over all updates."""
    return min(1.0, (update + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * update / updates))


def _widest(make: MakeCell, vocabulary: int, recipe: LanguageRecipe) -> tuple[int, int]:
    """The largest width whose model keeps within the recipe's parameters, and how many that has."""

    def size(width: int) -> int:
        with torch.device("meta"):
            return sum(each.numel() for each in _model(make, width, vocabulary, recipe).parameters())

    low, high = 1, 1024
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= recipe.parameters else (low, middle)
    return low, size(low)


def _model(make: MakeCell, width: int, vocabulary: int, recipe: LanguageRecipe) -> LanguageModel:
    cell = make(recipe.embedding, width)
    return LanguageModel(cell, width, vocabulary=vocabulary, embedding=recipe.embedding, dropout=recipe.dropout)


def _lstm(inputs: int, width: int) -> nn.Module:
    cell = nn.LSTM(inputs, width)
    with torch.no_grad():
        for name, value in (("bias_ih_l0", 1.0), ("bias_hh_l0", 0.0)):  # of input, forget, cell and output gate
            cell.get_parameter(name)[width : 2 * width] = value
    return cell


def streams(tokens: Tokens, batch: int) -> Tensor:
    """(n,) -> (n // batch, batch): the tokens cut into ``batch`` streams, side by side."""
    length = len(tokens) // batch
    return torch.from_numpy(np.ascontiguousarray(tokens[: length * batch].reshape(batch, length).T))


def _detached(state: object) -> object:
    return tuple(map(_detached, state)) if isinstance(state, tuple) else state.detach()  # type: ignore[attr-defined]
