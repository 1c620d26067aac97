"""What the tracked runs of a search say of their data and trainings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from databases.architectures.space import Architecture
from databases.architectures.spaces.pipeline import PIPELINE
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.records.recipe import Recipe
from metad2a.runtime.tracking import Run, Tracker
from metad2a.search.run_state import Trained
from metad2a.train.augment import Augment
from metad2a.train.loop import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEARCH_FIGURE = "search.png"
Draw = Callable[[Sequence[Trained]], "Figure"]  # of the trainings of a search


def facts(task: Task) -> dict[str, object]:
    """What a tracked run says of its data."""
    parts = {"training": TRAIN, "validation": VALIDATION, "test": TEST}
    counts = {f"{name}_images": int((task.parts == part).sum()) for name, part in parts.items()}
    return {"data": task.name, "classes": task.classes, "image_channels": task.channels, **counts}


@contextmanager
def training_run(
    tracker: Tracker | None,
    parent: Run,
    task: Task,
    architecture: Architecture,
    *,
    recipe: Recipe,
    augment: Augment,
    seed: int,
) -> Iterator[Run]:
    """A run below ``parent`` that says what is trained, how and on what; without a ``tracker`` the parent itself."""
    told = {"architecture": architecture, "space": architecture.space, "seed": seed, **asdict(recipe)}
    told |= {"recipe": told.pop("name"), "augment": augment.choice}
    if tracker is None:
        parent.parameters(told)
        yield parent
        return
    with tracker.run(str(architecture), "training", parent=parent, parameters=told) as tracked:
        tracked.dataset(task.name, task.fingerprint)
        tracked.parameters(facts(task))
        yield tracked


def track_pipeline(parent: Run, task: Task, trained: Trained, *, seed: int, curve: Sequence[Epoch]) -> None:
    """A run below ``parent`` of a pipeline that was trained, ``curve`` being its epochs.

    Their accuracies are of some validation images, the last one is of all.
    """
    told = {**asdict(PIPELINE.pipeline(trained.architecture)), "space": PIPELINE.name, "seed": seed, **facts(task)}
    with parent.child(str(trained.architecture), "training", parameters=told) as child:
        child.dataset(task.name, task.fingerprint)
        for epoch in curve:
            seen = known_values(train_loss=epoch.loss, progress=epoch.progress, valid_accuracy=epoch.valid_accuracy)
            child.metrics(seen, step=epoch.number)
        known = known_values(valid_accuracy=trained.valid_accuracy, seconds=trained.seconds)
        child.metrics({**known, "parameters": trained.parameters, "flops": trained.flops}, step=trained.epochs)


def known_values(**values: float | None) -> dict[str, float]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}
