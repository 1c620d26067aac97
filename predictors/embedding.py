"""Which architectures are alike: vectors of the meta-predictor and what describes their graphs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from databases.architectures.space import Architecture, finite_space
from predictors.meta import MetaPredictor
from predictors.task_process import Floats, Ints


class Embedding:
    """Class numbers -> what tells which classes are alike, in units of its spread; each class is encoded once.

    The meta-predictor's vectors, and what describes the graphs: a foreign task may be told by that better. Chosen, with
    the linear part of the kernel, on the own tasks and on what `scripts/foreign_benchmark.py` reports.
    """

    def __init__(self, model: MetaPredictor, center: Floats, spread: Floats) -> None:
        self.model, self.center, self.spread = model, center, spread
        self._known: dict[int, Floats] = {}

    @classmethod
    def of_space(cls, model: MetaPredictor) -> Embedding:
        """With centre and spread taken over the whole space."""
        known = vectors(model, finite_space(model.config.space).classes)
        return cls(model, known.mean(0), known.std(0) + 1e-9)

    def __call__(self, numbers: Ints) -> Floats:
        """(n,) -> (n, d)."""
        missing = sorted({int(each) for each in numbers} - self._known.keys())
        if missing:
            classes = finite_space(self.model.config.space).classes
            units = (vectors(self.model, [classes[i] for i in missing]) - self.center) / self.spread
            self._known.update(zip(missing, units, strict=True))
        return np.stack([self._known[int(each)] for each in numbers])


def vectors(model: MetaPredictor, architectures: Sequence[Architecture]) -> Floats:
    """(n, d) vectors of the meta-predictor and descriptions of architectures."""
    chosen = finite_space(model.config.space)
    described = np.array([chosen.graph_numbers(each) for each in architectures])
    return np.concatenate([model.encode_many(architectures).double().numpy(), described], axis=1)
