"""`search`: recommend, train the top few for real, keep every result, test and export the best.

The budget is a promise: never more trainings or seconds than allowed, what was spent before a kill included.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from databases.architectures.architecture import Architecture
from databases.datasets.task import Task
from databases.errors import UserError
from databases.records.recipe import RECIPES, Recipe
from databases.records.recipe import recipe as named_recipe
from databases.records.store import Store
from metad2a.runs import RunFolder, Trained, Wanted, export_run, find_run, run_name, run_names, runs_folder
from metad2a.session import SearchProgress, SearchResult, Session
from metad2a.tracking import NullTracker, Tracker
from metad2a.training import usable_device

__all__ = [
    "SearchProgress",
    "SearchResult",
    "Trained",
    "export_run",
    "find_run",
    "run_names",
    "search",
    "train_one",
]


class Proposal(Protocol):
    """What a search needs of a recommended candidate."""

    @property
    def architecture(self) -> Architecture:
        """The architecture."""

    @property
    def expected_accuracy(self) -> float | None:
        """Percent, None where the level cannot be known."""


class Answer(Protocol):
    """What a search needs of a recommendation."""

    @property
    def candidates(self) -> Sequence[Proposal]:
        """Best first."""

    @property
    def weights(self) -> str:
        """Names the weights that recommended."""


class Recommender(Protocol):
    """What a search needs of a model; `metad2a.recommend.MetaD2A` is one."""

    def recommend(self, data: Task, *, top: int, seed: int, recipe: str) -> Answer:
        """The ``top`` candidates for a task."""


def search(
    model: Recommender,
    task: Task,
    *,
    store: Store,
    train: int = 3,
    seconds: float | None = None,
    recipe: str = "small",
    seed: int = 0,
    tracker: Tracker | None = None,
    folder: Path | None = None,
    device: str = "auto",
    begun: float | None = None,
    on_progress: Callable[[SearchProgress], None] | None = None,
) -> SearchResult:
    """Trains the ``train`` candidates that ``model`` recommends, within ``seconds``, and exports the best.

    The same call goes on where an earlier one was stopped, however it was; a larger budget goes on further.
    ``folder`` is the run's folder, by default one in the home folder that this call alone has. ``begun`` is the
    monotonic second at which the budget's clock started, by default now.

    Raises:
        UserError: impossible budget, recipe or device; run in use; time over before the first step.
    """
    begin = time.monotonic() if begun is None else begun
    if train < 1:
        raise UserError(f"given {train} trainings; allowed is 1 or more; 3 is usual")
    chosen = _checked(recipe, seconds, device)
    answer = model.recommend(task, top=train, seed=seed, recipe=recipe)
    wanted = [Wanted(each.architecture, each.expected_accuracy) for each in answer.candidates[:train]]
    run = _run(task, chosen, seed, answer.weights, folder, begin)
    budget = {"trainings": train, "seconds": seconds}
    parameters = {"recipe": recipe, "seed": seed, "weights": answer.weights, **budget}
    tracker = tracker or NullTracker()
    with run, tracker.run(run.folder.name, "search", parameters=parameters) as tracked:
        run.want(wanted)
        work = (task, chosen, seed, run, len(wanted), seconds, store, tracker, tracked, device, on_progress)
        return Session(*work).go()


def train_one(
    task: Task,
    architecture: Architecture,
    *,
    store: Store,
    recipe: str = "small",
    seconds: float | None = None,
    seed: int = 0,
    tracker: Tracker | None = None,
    folder: Path | None = None,
    device: str = "auto",
    begun: float | None = None,
    on_progress: Callable[[SearchProgress], None] | None = None,
) -> SearchResult:
    """Trains, tests and exports one architecture; everything else is as in `search`."""
    begin = time.monotonic() if begun is None else begun
    chosen = _checked(recipe, seconds, device)
    run = _run(task, chosen, seed, f"{architecture.space} {architecture}", folder, begin)
    parameters = {"recipe": recipe, "seed": seed, "seconds": seconds, "architecture": architecture}
    tracker = tracker or NullTracker()
    with run, tracker.run(run.folder.name, "training", parameters=parameters) as tracked:
        run.want([Wanted(architecture)])
        return Session(task, chosen, seed, run, 1, seconds, store, None, tracked, device, on_progress).go()


def _checked(recipe: str, seconds: float | None, device: str) -> Recipe:
    """The recipe, if it, the time and the device can be used; raises UserError."""
    chosen = named_recipe(recipe)
    if chosen.published:
        usable = ", ".join(name for name, each in RECIPES.items() if not each.published)
        raise UserError(f"given the recipe {recipe!r}, which only others measured; allowed are {usable}; give one")
    if seconds is not None and not 0 < seconds < math.inf:
        raise UserError(f"given a budget of {seconds:g} seconds; allowed is more than 0; leave it out for no limit")
    usable_device(device)
    return chosen


def _run(task: Task, recipe: Recipe, seed: int, origin: str, folder: Path | None, begin: float) -> RunFolder:
    """The run's folder; ``origin`` says where its candidates come from."""
    identity = {
        "fingerprint": task.fingerprint,
        "recipe": asdict(recipe),
        "seed": seed,
        "origin": origin,
    }
    return RunFolder(folder or runs_folder() / run_name(task.name, recipe.name, identity), identity, begin=begin)
