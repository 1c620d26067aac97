"""One process's work on a run: train what is still to train, keep every result, test and export the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from databases.architectures.architecture import Architecture
from databases.architectures.spaces import image_space
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.errors import UserError
from databases.records.recipe import Recipe
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.export import Exported, describe, save
from metad2a.runs import RunFolder, Trained, Wanted, best_of, tested_card
from metad2a.tracking import Run, Tracker
from metad2a.training import Progress, Training, accuracy, pick_device, predictions, train

Stage = Literal["started", "epoch", "trained", "kept", "tested"]

PROBE_IMAGES = 100  # images whose time tells how long the held-out ones take
SLACK_SECONDS, SLACK_SHARE = 1.0, 0.05  # kept free for the last step and writing: the smaller of the two


@dataclass(frozen=True)
class SearchProgress:
    """What just happened to candidate ``number`` (from 1) of ``count``, ``seconds`` after the search began.

    ``epoch`` comes with the stage "epoch", ``trained`` with "trained", "kept" (trained by an earlier process)
    and "tested".
    """

    stage: Stage
    number: int
    count: int
    architecture: Architecture
    seconds: float
    epoch: Progress | None = None
    trained: Trained | None = None


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search.

    Attributes:
        best: the architecture that was best by validation accuracy.
        valid_accuracy, test_accuracy: its accuracies in percent; None where the task has no such images.
        trained: every candidate that was trained, as recommended, best expected first.
        folder: the run's folder, where the best network is exported.
        seconds: wall time, that of earlier processes of the same run included.
        resumed: how many trainings were there already.
        stopped_by: what ended the search.
        notes: one line for each thing to know about the result.
    """

    best: Architecture
    valid_accuracy: float | None
    test_accuracy: float | None
    trained: tuple[Trained, ...]
    folder: Path
    seconds: float
    resumed: int
    stopped_by: Literal["trainings", "time"]
    notes: tuple[str, ...]
    exported: Exported


@dataclass
class Session:
    """One process's work on the first ``count`` candidates of a run, within ``seconds``.

    ``tracker`` opens a run for each training below ``tracked``; None puts the only training into that itself.
    """

    task: Task
    recipe: Recipe
    seed: int
    run: RunFolder
    count: int
    seconds: float | None
    store: Store
    tracker: Tracker | None
    tracked: Run
    device: str
    on_progress: Callable[[SearchProgress], None] | None
    time_over: bool = False
    seconds_an_image: float = 0.0  # to evaluate one, with the slowest network so far

    @property
    def limit(self) -> float:
        """Seconds that the whole run may take."""
        return math.inf if self.seconds is None else self.seconds

    @cached_property
    def small(self) -> Task:
        """The task at the recipe's resolution, resized once for all trainings."""
        return self.task.resized(self.recipe.resolution)

    def go(self) -> SearchResult:
        """Trains what is still to train, then tests and exports the best."""
        task, state, resumed = self.task, self.run.state, 0
        self.tracked.dataset(task.name, task.fingerprint)
        statistics = {name: float(value) for name, value in task.statistics().items()}
        self.store.add_task(TaskEntry(task.fingerprint, task.name, task.source, statistics))
        for index, wanted in enumerate(state.candidates[: self.count]):
            known = state.trained.get(index)
            if known is not None and known.complete:
                resumed += 1
                self._record(known)  # the kill may have come between keeping and recording
                self._tell("kept", index, trained=known)
            elif not self.time_over and self.run.spent < self.limit:
                self._train(index, wanted)
        return self._finish(resumed)

    def _train(self, index: int, wanted: Wanted) -> None:
        """Trains one candidate and keeps the result, in part or whole."""
        self._tell("started", index)
        architecture = wanted.architecture
        deadline = self._deadline(architecture)
        nested = self.tracker.run(str(architecture), "training", parent=self.tracked) if self.tracker else None
        with nested or nullcontext(self.tracked) as tracked:

            def on_epoch(progress: Progress) -> None:
                self.run.tick()
                tracked.metrics({"train_loss": progress.train_loss}, step=progress.epoch)
                self._tell("epoch", index, epoch=progress)

            training = train(
                self.small,
                architecture,
                recipe=self.recipe,
                seed=self.seed,
                device=self.device,
                deadline=deadline,
                on_epoch=on_epoch,
            )
            self.time_over = not training.complete
            known = self.run.state.trained.get(index)
            if training.complete or len(training.curve) > (known.epochs if known else 0):
                self._keep(index, wanted, training, tracked)

    def _keep(self, index: int, wanted: Wanted, training: Training, tracked: Run) -> None:
        """Stores weights, state and record of a training, in this order."""
        architecture, recipe = wanted.architecture, self.recipe
        skeleton = recipe.skeleton(input_channels=self.task.channels, classes=self.task.classes)
        cells = image_space(architecture.space)
        trained = Trained(
            architecture,
            expected_accuracy=wanted.expected_accuracy,
            valid_accuracy=training.valid_accuracy,
            complete=training.complete,
            epochs=len(training.curve),
            seconds=training.seconds,
            parameters=cells.parameters(architecture, skeleton),
            flops=cells.flops(architecture, skeleton, resolution=recipe.resolution),
        )
        card = describe(training, task=self.task, architecture=architecture, recipe=recipe, seed=self.seed)
        self.run.keep(index, trained, training, card)
        self._record(trained)
        tracked.metrics(_measured(valid_accuracy=trained.valid_accuracy, seconds=trained.seconds))
        self._tell("trained", index, trained=trained)

    def _record(self, trained: Trained) -> None:
        """Adds a whole training to the store, which keeps the first record of a key."""
        if trained.complete:
            record = Record(
                task=self.task.fingerprint,
                space=trained.architecture.space,
                architecture=str(trained.architecture),
                recipe=self.recipe.name,
                seed=self.seed,
                source="user",
                valid_accuracy=trained.valid_accuracy,
                train_seconds=trained.seconds,
                extra={"valid_images": float(np.count_nonzero(self.task.parts == VALIDATION))},
            )
            self.store.add([record])

    def _finish(self, resumed: int) -> SearchResult:
        """Tests the best once, exports it and sums the search up."""
        state = self.run.state
        best = best_of(state, self.count)
        if best is None:
            raise UserError(
                f"the budget of {self.limit:g} seconds was over before the first step of training; "
                "give the same command with a larger one to go on"
            )
        card, training = self.run.weights(best)
        if state.tested is None or state.tested[0] != best:
            state.tested = (best, self._test(training))
            self._tell("tested", best, trained=state.trained[best])
        exported = save(training, tested_card(card, state, best), self.run.folder)
        self.run.save()
        self.tracked.metrics(
            _measured(valid_accuracy=card.valid_accuracy, test_accuracy=state.tested[1], seconds=self.run.spent)
        )
        for path in (exported.weights, exported.program):
            self.tracked.artifact(path, folder="model")
        return self._result(best, resumed, exported)

    def _result(self, best: int, resumed: int, exported: Exported) -> SearchResult:
        state = self.run.state
        trained = tuple(each for index, each in sorted(state.trained.items()) if index < self.count)
        complete = sum(each.complete for each in trained)
        notes = [f"time was over after {complete} of {self.count} trainings"] if complete < self.count else []
        if not state.trained[best].complete:
            notes.append(
                f"the network was trained in part ({state.trained[best].epochs} epochs): it can be used, "
                f"but its accuracies are not those of the recipe {self.recipe.name!r}"
            )
        return SearchResult(
            best=state.candidates[best].architecture,
            valid_accuracy=exported.card.valid_accuracy,
            test_accuracy=exported.card.test_accuracy,
            trained=trained,
            folder=self.run.folder,
            seconds=self.run.spent,
            resumed=resumed,
            stopped_by="time" if complete < self.count else "trainings",
            notes=tuple(notes),
            exported=exported,
        )

    def _test(self, training: Training) -> float | None:
        """Accuracy in percent on the test images, computed on the search's device."""
        training.network.to(pick_device(self.device))
        tested = accuracy(training, self.small, TEST)
        training.network.cpu()
        return tested

    def _deadline(self, architecture: Architecture) -> float:
        """When training must stop (monotonic seconds) so that validation, test and export are in time."""
        if self.limit == math.inf:
            return math.inf
        self.seconds_an_image = max(self.seconds_an_image, self._evaluation_seconds(architecture))
        held_out = np.count_nonzero(self.task.parts != TRAIN)
        slack = min(SLACK_SECONDS, SLACK_SHARE * self.limit)
        left = self.limit - self.run.spent
        return time.monotonic() + left - min(1.5 * self.seconds_an_image * held_out + slack, left / 2)

    def _evaluation_seconds(self, architecture: Architecture) -> float:
        """Seconds to evaluate one image, measured with an untrained network."""
        task, place = self.small, pick_device(self.device)
        skeleton = self.recipe.skeleton(input_channels=task.channels, classes=task.classes)
        with torch.random.fork_rng(devices=[]):
            network = image_space(architecture.space).network(architecture, skeleton).eval().to(place)
        channels = (1.0,) * task.channels
        probe, images = Training(network, channels, channels, None, 0.0, True), task.images[:PROBE_IMAGES]
        predictions(probe, images)  # the first time prepares the device
        begin = time.monotonic()
        predictions(probe, images)
        return (time.monotonic() - begin) / len(images)

    def _tell(self, stage: Stage, index: int, *, epoch: Progress | None = None, trained: Trained | None = None) -> None:
        if self.on_progress is not None:
            architecture, spent = self.run.state.candidates[index].architecture, self.run.spent
            self.on_progress(SearchProgress(stage, index + 1, self.count, architecture, spent, epoch, trained))


def _measured(**values: float | None) -> dict[str, float]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}
