"""The surrogate of the own recipe: made from episodes on a meta-predictor's embedding, packed into a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from databases.architectures.space import Architecture, finite_space
from databases.datasets.features import PLAIN, STATISTICS
from databases.records.recipe import RECIPES
from predictors.meta import MetaPredictor, to_logit
from predictors.task_process import Floats, Ints, Kernel, Measured, TaskProcess

if TYPE_CHECKING:
    from databases.records.episodes import Episode

# Chosen by leave-one-source-out on the own tasks among the kernels that `metad2a evaluate` lists: which untrained
# cells tell the classes apart, and how far plain pixels do, says most about which cells suit them. Levels heed none.
PROBED = tuple(range(len(PLAIN), len(STATISTICS)))
KERNEL = Kernel((STATISTICS.index("pixel_accuracy"), *PROBED), levels_look_at=tuple(range(len(PLAIN))))
# Of a user's own benchmark, which may have a task or two: measured cells say most about the others of their task.
OF_TASKS = replace(KERNEL, task=1.0)


def kernel_of(recipe: str) -> Kernel:
    """The kernel of a recipe's process: that of metad2a's own recipes, or of a user's."""
    return KERNEL if recipe in RECIPES else OF_TASKS


class Embedding:
    """Class numbers -> what tells which classes are alike, in units of its spread; each class is encoded once.

    The meta-predictor's vectors, and what describes the graphs: a foreign task may be told by that better. Chosen, with
    the linear part of the kernel, on the own tasks and on what `scripts/foreign_benchmark.py` reports.
    """

    def __init__(self, model: MetaPredictor, center: Floats, spread: Floats) -> None:
        self.model, self.center, self.spread = model, center, spread
        self._known: dict[int, Floats] = {}

    @classmethod
    def learn(cls, model: MetaPredictor) -> Embedding:
        """With centre and spread taken over the whole space."""
        vectors = _vectors(model, finite_space(model.config.space).classes)
        return cls(model, vectors.mean(0), vectors.std(0) + 1e-9)

    def __call__(self, numbers: Ints) -> Floats:
        """(n,) -> (n, d)."""
        missing = sorted({int(each) for each in numbers} - self._known.keys())
        if missing:
            classes = finite_space(self.model.config.space).classes
            units = (_vectors(self.model, [classes[i] for i in missing]) - self.center) / self.spread
            self._known.update(zip(missing, units, strict=True))
        return np.stack([self._known[int(each)] for each in numbers])


def _vectors(model: MetaPredictor, architectures: Sequence[Architecture]) -> Floats:
    """(n, d) vectors of the meta-predictor and descriptions of architectures."""
    chosen = finite_space(model.config.space)
    described = np.array([chosen.describe(each) for each in architectures])
    return np.concatenate([model.encode_many(architectures).double().numpy(), described], axis=1)


def measured(episode: Episode) -> Measured:
    """What the surrogate is told of a task."""
    seeds = np.isfinite(episode.by_seed).sum(1).astype(np.float64)
    statistics = episode.features.statistics.astype(np.float64)
    return Measured(statistics, episode.cells, to_logit(episode.accuracy), np.maximum(seeds, 1))


def learn(model: MetaPredictor, own: Sequence[Episode], kernel: Kernel = KERNEL) -> TaskProcess:
    """The process over fully measured tasks."""
    return TaskProcess([measured(each) for each in own], Embedding.learn(model), kernel)


def pack(process: TaskProcess) -> dict[str, Tensor]:
    """What `unpack` needs beside the meta-predictor."""
    embed = process.embed
    assert isinstance(embed, Embedding)
    tasks = process.tasks
    arrays = {
        "center": embed.center,
        "spread": embed.spread,
        "statistics": np.stack([each.statistics for each in tasks]),
        "lengths": np.array([len(each.cells) for each in tasks]),
        "cells": np.concatenate([each.cells for each in tasks]),
        "logits": np.concatenate([each.logits for each in tasks]),
        "seeds": np.concatenate([each.seeds for each in tasks]),
    }
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def unpack(tensors: Mapping[str, Tensor], model: MetaPredictor, kernel: Kernel = KERNEL) -> TaskProcess | None:
    """Reads `pack` back; None where nothing was packed. Raises `KeyError` for what another version packed."""
    if "cells" not in tensors:
        return None
    if tensors["statistics"].shape[1] != len(STATISTICS):
        raise KeyError("statistics")
    if len(tensors["center"]) != _vectors(model, finite_space(model.config.space).classes[:1]).shape[1]:
        raise KeyError("center")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    ends = np.cumsum(arrays["lengths"])[:-1]
    parts = (np.split(arrays[name], ends) for name in ("cells", "logits", "seeds"))
    tasks = [Measured(*each) for each in zip(arrays["statistics"], *parts, strict=True)]
    return TaskProcess(tasks, Embedding(model, arrays["center"], arrays["spread"]), kernel)
