"""The small world in which the command line is tested: a model that knows three cells, and a home of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, space
from databases.datasets.features import STATISTICS, TaskFeatures
from databases.datasets.task import Task
from databases.records.recipe import RECIPES, Recipe
from databases.records.recipe import recipe as named_recipe
from metad2a.cli.app import app
from metad2a.recommend.recommendation import Candidate, Recommendation
from predictors.task_distance import Neighbour

OF_CELLS = ("--space", "nasbench201")
QUICK = Recipe("quick", 4, 1, 8, epochs=2, batch=16, learning_rate=0.05)
CELLS = (
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
    "|avg_pool_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
)


def seen(classes: int) -> TaskFeatures:
    """What a model would have seen of a task, made up."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(classes), 3)
    features = rng.normal(size=(len(labels), 192)).astype(np.float32)
    return TaskFeatures(features, labels, np.zeros(len(STATISTICS), dtype=np.float32))


@dataclass
class FakeModel:
    """Ranks three cells, whatever the data, and remembers what it was asked."""

    asked: dict[str, Any] = field(default_factory=dict)
    level_known: bool = True
    weights: str = "0123456789abcdef"
    card: str = "How this was made."

    def recommend(self, data: Task, *, top: int | None, seed: int, recipe: str | None, **rest: Any) -> Recommendation:
        self.asked = {"data": data, "top": top, "seed": seed, "recipe": recipe, **rest}
        known = self.level_known
        candidates = [
            Candidate(
                architecture=space("nasbench201").parse(text),
                expected_accuracy=90.0 - i if known else None,
                interval=(85.0 - i, 93.0 - i) if known else None,
                score=2.0 - i,
                parameters=12_345,
                flops=1_500_000,
                expected_seconds=12.0,
                origin="generator",
                skeleton=Skeleton(4, 1, data.channels, data.classes),
            )
            for i, text in enumerate(CELLS)
        ]
        return Recommendation(
            candidates=tuple(candidates[:top]),
            recipe=recipe or "tiny",
            nearest=(Neighbour("leaves [red]", "plants", 0.25),),
            unlike=True,
            seed=seed,
            fingerprint=data.fingerprint,
            weights=self.weights,
            reason="Because.",
            notes=("2 images were skipped",),
            versions={"metad2a": "0"},
            features=seen(data.classes),
        )

    def recipe(self, name: str) -> Recipe:
        return named_recipe(name)

    def embed(self, pool: Sequence[Architecture]) -> np.ndarray:
        """Nothing is like anything else."""
        return np.eye(len(CELLS))[[CELLS.index(str(each)) for each in pool]]


def own_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home in which a quick recipe is known."""
    monkeypatch.setenv("METAD2A_HOME", str(folder))
    monkeypatch.setenv("METAD2A_SHARED", str(folder.parent))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(RECIPES, QUICK.name, QUICK)


def three_classes(folder: Path) -> str:
    """A file of images of three classes that differ in brightness."""
    labels = np.arange(60) % 3
    noise = np.random.default_rng(0).integers(0, 90, (60, 8, 8, 1))
    images = (noise + 60 * labels[:, None, None, None]).astype(np.uint8)
    np.savez(folder / "toy.npz", x=images, y=labels)
    return str(folder / "toy.npz")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="metad2a")


def answer(*arguments: str) -> dict[str, Any]:
    """The JSON object that a command prints, and nothing else."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert isinstance(value, dict)
    return value
