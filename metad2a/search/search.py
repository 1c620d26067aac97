"""`search`: recommend, train for real, learn from each training what to train next, test and export the best.

The budget is a promise: never more trainings or seconds than allowed, what was spent before a kill included.
The loop is `metad2a.search.loop.run`, with a `Session` as its measure. Going on after a kill, the searcher is asked
again from its beginning and told what was kept: it takes the same way, and nothing is trained twice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from numbers import Integral
from pathlib import Path

from databases.architectures.space import Architecture, image_space
from databases.datasets.task import Task
from databases.errors import UserError
from databases.records.recipe import Recipe, trainable
from databases.records.store import Store
from databases.usual import AUTOMATIC, DEFAULT_SEARCHER, DEFAULT_SPACE, TRAINING_RECIPE, USUAL_TRAININGS
from metad2a.recommend.limits import NO_LIMITS, Limits
from metad2a.runtime.executors.processes import Death
from metad2a.runtime.home import home
from metad2a.runtime.place import ALONE, Place
from metad2a.runtime.tracking import NullTracker, Tracker
from metad2a.search.budget import check_seconds
from metad2a.search.controllers.in_order import InOrder
from metad2a.search.distinct import Distinct
from metad2a.search.ending import finished
from metad2a.search.limited import check_limits, costing_of
from metad2a.search.recommender import Recommender
from metad2a.search.result import SearchProgress, SearchResult
from metad2a.search.runs import RUNS, RunFolder, finished_runs, run_name
from metad2a.search.searchers import recommended, unaided
from metad2a.search.session import Session
from metad2a.search.tracked import Draw
from metad2a.train.augment import check_augment
from metad2a.train.torch_place import usable_place


# long, since what a search can be told is a line each: here and where it is handed on
def search(
    model: Recommender,
    task: Task,
    *,
    store: Store,
    train: int | None = None,
    seconds: float | None = None,
    recipe: str = TRAINING_RECIPE,
    searcher: str = DEFAULT_SEARCHER,
    space: str = DEFAULT_SPACE,
    stop_early: bool = True,
    augment: str = AUTOMATIC,
    limits: Limits = NO_LIMITS,
    seed: int = 0,
    tracker: Tracker | None = None,
    folder: Path | None = None,
    place: Place = ALONE,
    begun: float | None = None,
    patience: float = 0.0,
    draw: Draw | None = None,
    on_progress: Callable[[SearchProgress], None] | None = None,
    on_death: Callable[[Death], None] = lambda death: None,
) -> SearchResult:
    """Trains ``train`` architectures that ``searcher`` asks for, within ``seconds``, and exports the best.

    Without ``train`` as many as there is time for, of which the last part goes into training the best once more, on
    validation images too; without ``seconds`` either, 3. ``augment`` tells what may be done to training images.
    The same call goes on where an earlier one was stopped, however it was; a larger budget goes on further.
    In a ``space`` that the model does not know the searcher begins with nothing.
    ``stop_early`` gives trainings up whose learning curve is hopeless; ``limits`` are on the networks that are built,
    whose latency is that of the recipe's size. ``folder`` is the run's folder, by default
    one in the home folder that this call alone has. ``begun`` is the monotonic second at which the budget's clock
    started, by default now. A run that another process works on is waited for, ``patience`` seconds at most.
    Where the ``place`` has several workers, the searcher learns from all of them before it asks again. A process that
    dies costs its own training, which ``on_death`` hears of. What ``draw`` makes of the trainings goes with the tracked
    run.

    Raises:
        UserError: impossible budget, recipe, space, searcher, place or limits; run in use; time over before the first
            step.
    """
    begin = time.monotonic() if begun is None else begun
    train = USUAL_TRAININGS if train is None and seconds is None else train
    if train is not None and (not isinstance(train, Integral) or train < 1):
        raise UserError(f"given {train!r} trainings; allowed are whole numbers from 1; 3 is usual")
    check_augment(augment)
    spread = None if place.alone else place.crew(on_death=on_death)
    chosen = check_training(recipe, seconds, place.on)
    check_limits(limits, image_space(space), chosen)
    how = {"searcher": searcher, "stop_early": stop_early, "augment": augment}
    if place.workers > 1:
        how["at_once"] = place.workers  # it decides what the searcher knows when it is asked
    identity = _identity(task, chosen, seed, how)
    done = any(identity.items() <= state.identity.items() for state in finished_runs(task.name))
    deadline = math.inf if seconds is None or done else begin + seconds
    costing = costing_of(limits, chosen, channels=task.channels, classes=task.classes, deadline=deadline)
    if image_space(space).ranked:
        approach = recommended(searcher, model, task, recipe=chosen, seed=seed, costing=costing, deadline=deadline)
    else:
        approach = unaided(searcher, image_space(space), task, recipe=chosen, seed=seed, costing=costing)
    origin = approach.origin if costing is None else f"{approach.origin}, {limits.told()}"
    run = _run(task, chosen, {**identity, "origin": origin}, folder, begin, patience=patience)
    budget = {"trainings": train, "seconds": seconds}
    parameters = {"space": space, "recipe": recipe, "seed": seed, "weights": origin, **how, **budget}
    tracker = tracker or NullTracker()
    with run, tracker.run(run.folder.name, "search", parameters=parameters) as tracked:
        session = Session(
            task,
            chosen,
            run,
            store,
            tracked,
            count=train,
            seed=seed,
            seconds=seconds,
            tracker=tracker,
            place=place,
            stop_early=stop_early,
            expected=approach.expected,
            on_trained=approach.on_trained,
            on_progress=on_progress,
            notes=approach.notes,
            spread=spread,
            augment=augment,
            draw=draw,
        )
        return finished(session.go(Distinct(approach.controller, deadline=deadline)))


def train_one(
    task: Task,
    architecture: Architecture,
    *,
    store: Store,
    recipe: str = TRAINING_RECIPE,
    seconds: float | None = None,
    seed: int = 0,
    augment: str = AUTOMATIC,
    tracker: Tracker | None = None,
    folder: Path | None = None,
    on: str = AUTOMATIC,
    begun: float | None = None,
    on_progress: Callable[[SearchProgress], None] | None = None,
) -> SearchResult:
    """Trains, tests and exports one architecture; everything else is as in `search`."""
    begin = time.monotonic() if begun is None else begun
    chosen = check_training(recipe, seconds, on)
    check_augment(augment)
    how = {"searcher": "given", "stop_early": False, "augment": augment}
    identity = {**_identity(task, chosen, seed, how), "origin": f"{architecture.space} {architecture}"}
    run = _run(task, chosen, identity, folder, begin)
    parameters = {"recipe": recipe, "seed": seed, "seconds": seconds, "architecture": architecture}
    tracker = tracker or NullTracker()
    with run, tracker.run(run.folder.name, "training", parameters=parameters) as tracked:
        given = InOrder(image_space(architecture.space), order=[architecture])
        session = Session(
            *(task, chosen, run, store, tracked),
            seed=seed,
            seconds=seconds,
            place=Place(on),
            stop_early=False,
            augment=augment,
            on_progress=on_progress,
        )
        return finished(session.go(given))


def check_training(recipe: str, seconds: float | None, on: str) -> Recipe:
    """The recipe, if it, the time and the place to train can be used; raises UserError."""
    chosen = trainable(recipe)
    if seconds is not None:
        check_seconds(seconds)
    usable_place(on)
    return chosen


def _identity(task: Task, recipe: Recipe, seed: int, how: Mapping[str, object]) -> dict[str, object]:
    """What tells a run from others, but for its origin, where candidates come from; ``how``: the way it searches."""
    return {**how, "fingerprint": task.fingerprint, "recipe": asdict(recipe), "seed": seed}


def _run(
    task: Task,
    recipe: Recipe,
    identity: Mapping[str, object],
    folder: Path | None,
    begin: float,
    *,
    patience: float = 0.0,
) -> RunFolder:
    """The run's folder, by default one in the home folder."""
    place = folder or home() / RUNS / run_name(task.name, recipe.name, identity)
    return RunFolder(place, identity, begin=begin, patience=patience)
