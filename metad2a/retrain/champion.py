"""Champion and challenger: two meta-models on the same held-out tasks, and the registry that knows which is which."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.errors import UserError
from databases.files import write_files
from databases.records.csv_file import csv_text
from databases.records.episodes import Episode, held_out_families
from databases.records.recipe import PUBLISHED_SIZE, RECIPES, foreign_recipe
from databases.usual import LISTED, MEASURING_RECIPE
from metad2a.recommend.model import SHIPPED, MetaD2A, load
from metad2a.retrain.held_out import tau
from metad2a.runtime.home import home
from metad2a.runtime.mlflow_models import takes_archives, write_model
from metad2a.runtime.tracking import Alias, Run, Tracker
from predictors.metrics import Interval, bootstrap_interval
from predictors.task_process import TaskProcess

MODEL_NAME = "metad2a-meta-model"
FEWEST_SOURCES = 5  # fewer cannot exclude zero: all of four agree by chance once in eight
Values = npt.NDArray[np.float64]

logger = logging.getLogger("metad2a")


@dataclass(frozen=True)
class TaskComparison:
    """Kendall's tau of two models inside one task that neither has seen, nor its source."""

    task: str
    source: str
    cells: int
    champion: float
    challenger: float

    @property
    def difference(self) -> float:
        """Challenger less champion."""
        return self.challenger - self.champion


@dataclass(frozen=True)
class Comparison:
    """A champion and a challenger (digests of their weights) on the held-out tasks of a recipe.

    ``others`` are the other recipes whose tasks could have been held out.
    """

    recipe: str
    champion: str
    challenger: str
    tasks: tuple[TaskComparison, ...]
    others: tuple[str, ...] = ()

    @property
    def difference(self) -> Interval | None:
        """Mean difference of tau with its 95% bootstrap interval by source; None without tasks."""
        if not self.tasks:
            return None
        return bootstrap_interval([each.difference for each in self.tasks], [each.source for each in self.tasks])

    @property
    def better(self) -> bool:
        """Whether the challenger is better: enough sources, and an interval above zero."""
        found = self.difference
        return found is not None and found.groups >= FEWEST_SOURCES and found.low > 0

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        found = self.difference
        if found is None:
            hint = f": judge it on your own with --recipe {' or '.join(self.others)}" if self.others else ""
            return f"no task of the recipe {self.recipe!r} can be held out, so the champion stays{hint}"
        over = f"over {len(self.tasks)} held-out tasks of {found.groups} sources"
        said = f"challenger less champion: tau {found} {over}"
        if found.groups < FEWEST_SOURCES:
            return f"{said}: at least {FEWEST_SOURCES} sources are needed to tell, so the champion stays"
        return f"{said}: {'the challenger is better' if self.better else 'not better, so the champion stays'}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told, found = None, self.difference
        if found is not None:
            bounds = {"mean": found.mean, "low": found.low, "high": found.high}
            told = {**bounds, "level": found.confidence, "groups": found.groups}
        return {
            "recipe": self.recipe,
            "champion": self.champion,
            "challenger": self.challenger,
            "better": self.better,
            "verdict": self.verdict,
            "difference": told,
            "tasks": [{**asdict(each), "difference": each.difference} for each in self.tasks],
        }

    def write(self, path: Path) -> Path:
        """The tasks as a CSV table."""
        rows: list[tuple[object, ...]] = [("task", "source", "cells", "champion", "challenger", "difference")]
        for each in self.tasks:
            taus = (f"{value:.4f}" for value in (each.champion, each.challenger, each.difference))
            rows.append((each.task, each.source, each.cells, *taus))
        write_files({path: csv_text(rows).encode()})
        return path


def compare(champion: MetaD2A, challenger: MetaD2A, own: Sequence[Episode], *, recipe: str) -> Comparison:
    """Both models on the tasks ``own`` of a recipe, each task predicted without all of its source's tasks."""
    sizes = challenger.header.get("foreign_recipes", {})  # of a user's recipes, which the champion may not know
    tasks = []
    for family in held_out_families(own):
        members = [each for each in own if each.family == family]
        pairs = zip(*(_blind(model, family, members, sizes) for model in (champion, challenger)), strict=True)
        for each, (old, new) in zip(members, pairs, strict=True):
            taus = (tau(old, each), tau(new, each))
            if np.isfinite(taus).all():  # on a task whose values are all equal there is no order to find
                tasks.append(TaskComparison(each.features.name, family, len(each.cells), *taus))
    return Comparison(recipe, champion.weights, challenger.weights, tuple(tasks))


def before_learning(model: MetaD2A, recipe: str, size: tuple[int, int, int]) -> str:
    """The recipe under which a model is asked that does not know this one: the nearest in size of network."""
    if recipe in model.predictor.config.recipes:
        return recipe
    return model.nearest_recipe(RECIPES.get(recipe) or foreign_recipe(recipe, *size))


def current_champion(tracker: Tracker) -> MetaD2A | None:
    """The registry's champion; the shipped weights where it has none, which they then become."""
    registered = tracker.registered(MODEL_NAME, "champion")
    if registered is not None:
        with TemporaryDirectory() as folder:
            path = tracker.download(registered, Path(folder))
            if path is not None:
                try:
                    return load(path)
                except UserError as problem:
                    logger.warning("The champion (version %s) cannot be used: %s", registered.version, problem)
    try:
        shipped = load()
    except UserError:  # only while the shipped weights are being remade
        return None
    if registered is None:
        with tracker.run("shipped weights", "meta-training", parameters={"weights": shipped.weights}) as run:
            register(run, SHIPPED, alias="champion")
    return shipped


def register(run: Run, weights: Path, *, alias: Alias) -> str | None:
    """Stores a meta-model with the run and in the registry, as a model that MLflow can serve; returns its version."""
    if run.id is None:
        return None
    code = Path(__file__).with_name("served_meta_model.py")
    options: dict[str, int | str] = {"top": LISTED, "recipe": MEASURING_RECIPE, "seed": 0, "groups": "auto"}
    with TemporaryDirectory() as folder:
        try:
            served = write_model(
                Path(folder) / "model",
                code=code,
                files={"weights": weights},
                signature=takes_archives(options),
                packages=("metad2a", "pandas"),
            )
        except UserError as problem:  # the weights themselves are written, and are worth more than a registration
            logger.warning("The model is not registered: %s", problem)
            return None
        return run.register(served, MODEL_NAME, alias=alias)


def fetch(alias: Alias) -> Path:
    """The weights that bear the alias, copied into the home folder; the shipped ones are the first champion.

    Raises UserError where MLflow cannot be used, and where there is no challenger.
    """
    tracker = Tracker(required=True)
    registered = tracker.registered(MODEL_NAME, alias)
    if registered is None:
        if alias == "champion":
            return SHIPPED
        raise UserError("there is no challenger in MLflow: `metad2a retrain` makes one")
    folder = home() / "models" / f"{alias}-{registered.run_id}"
    known = sorted(folder.rglob("*.safetensors"))
    path = known[0] if known else tracker.download(registered, folder)
    if path is None:
        raise UserError(f"the {alias}'s weights are not in MLflow: name a file")
    return path


def _blind(
    model: MetaD2A, family: str, members: Sequence[Episode], sizes: Mapping[str, tuple[int, int, int]]
) -> list[Values]:
    """Predictions for the members of a family by a model that never saw it; ``sizes`` are of a user's recipes."""
    found = []
    blind: dict[str, TaskProcess | None] = {}
    for each in members:
        recipe = before_learning(model, each.recipe, sizes.get(each.recipe, PUBLISHED_SIZE))
        if recipe not in blind:
            whole = model.surrogates.get(recipe)
            blind[recipe] = whole.without(family) if whole else None
        process = blind[recipe]
        if process is not None:
            found.append(process.predict(each.features.statistics, each.cells).mean)
        else:
            classes = model.predictor_space.classes
            found.append(model.predict(each.features, [classes[i] for i in each.cells], recipe=recipe).mean)
    return found
