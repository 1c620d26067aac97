"""The small world in which searches are tested: a model that ranks four cells, and trainings of seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from databases.architectures.space import Architecture, space
from databases.datasets.task import Task, split
from databases.records.recipe import RECIPES, Recipe
from databases.records.store import Store
from metad2a.runtime.place import Place
from metad2a.search import candidate
from metad2a.search.result import SearchResult
from metad2a.search.run_state import read_state
from metad2a.search.search import search
from metad2a.train.train import train
from metad2a.train.training import Training

QUICK = Recipe("quick", 4, 1, 8, epochs=2, batch=16, learning_rate=0.05)
ENDLESS = replace(QUICK, name="endless", epochs=10**7)
CELLS = tuple(
    space("nasbench201").parse(text)
    for text in (
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
        "|avg_pool_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
    )
)


@dataclass(frozen=True)
class Candidate:
    architecture: Architecture
    expected_accuracy: float | None = 50.0
    score: float = 0.0
    flops: int = 1000
    expected_seconds: float | None = None


@dataclass(frozen=True)
class Recommendation:
    candidates: Sequence[Candidate]
    weights: str = "0123456789abcdef"
    noise: float | None = None
    same_for_all: bool = False
    features: None = None


class Model:
    def __init__(self, weights: str = "0123456789abcdef") -> None:
        self.weights = weights

    def recommend(
        self, data: Task, *, top: int | None, seed: int, recipe: str, deadline: float = 0.0
    ) -> Recommendation:
        return Recommendation([Candidate(each, score=-i) for i, each in enumerate(CELLS[:top])], self.weights)

    def embed(self, pool: Sequence[Architecture]) -> np.ndarray:
        return np.eye(len(CELLS))[[CELLS.index(each) for each in pool]]


def a_task(*, seed: int = 0, test: float = 0.2) -> Task:
    """Three classes that differ in brightness, so that training finds something."""
    labels = np.arange(60) % 3
    noise = np.random.default_rng(seed).integers(0, 90, (60, 8, 8, 1))
    images = (noise + 60 * labels[:, None, None, None]).astype(np.uint8)
    return Task("My: Images", images, labels, split(labels, test=test), ("dark", "grey", "light"))


def own_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home in which a recipe is known that is quick, and one whose trainings do not end."""
    monkeypatch.setenv("METAD2A_HOME", str(folder))
    for recipe in (QUICK, ENDLESS):
        monkeypatch.setitem(RECIPES, recipe.name, recipe)


def counting(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """The architectures that are trained, in order."""
    calls: list[Architecture] = []

    def counted(task: Task, architecture: Architecture, **options: object) -> Training:
        calls.append(architecture)
        return train(task, architecture, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(candidate, "train", counted)
    return calls


def quick(store: Store, *, model: Model | None = None, **options: object) -> SearchResult:
    given = {"recipe": "quick", "place": Place("cpu"), "searcher": "zero-shot", **options}
    return search(model or Model(), a_task(), store=store, **given)  # type: ignore[arg-type]


def identity_of(result: SearchResult) -> Mapping[str, object]:
    state = read_state(result.folder)
    assert state is not None
    return state.identity
