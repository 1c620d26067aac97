"""One process's work on a run: measure what the searcher asks for, keep every result, test and export the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from databases.architectures.space import Architecture, image_space
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from databases.errors import UserError
from databases.hosting import lent
from databases.records.recipe import Recipe
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.export.export import Exported, describe, save
from metad2a.runtime.tracking import Run, Tracker
from metad2a.search import loop
from metad2a.search.controllers.controller import Controller
from metad2a.search.judgement import judgements
from metad2a.search.result import SearchProgress, SearchResult, Stage
from metad2a.search.run_state import Trained, Wanted, best_of, tested_card
from metad2a.search.runs import RunFolder
from metad2a.train.inference import accuracy, predictions
from metad2a.train.place import pick_device
from metad2a.train.train import train
from metad2a.train.training import Progress, Training
from predictors.learning_curve import CHECKS, Curve, forecast, hopeless

PROBE_IMAGES = 100  # images whose time tells how long the held-out ones take
SLACK_SECONDS, SLACK_SHARE = 1.0, 0.05  # kept free for the last step and writing: the smaller of the two


@dataclass
class Session:
    """The `Measure` of a run: trains at most ``count`` architectures within ``seconds``, or takes what was kept.

    ``tracker`` opens a run for each training below ``tracked``; None puts the only training into that itself.
    ``expected`` tells the accuracy in percent that is expected of an architecture; ``on_trained`` is told every
    training that is done, in order, also those of earlier processes. With ``stop_early`` hopeless ones are given up.
    """

    task: Task
    recipe: Recipe
    run: RunFolder
    store: Store
    tracked: Run
    count: int = 1
    seed: int = 0
    seconds: float | None = None
    tracker: Tracker | None = None
    device: str = "auto"
    stop_early: bool = True
    expected: Callable[[Architecture], float | None] = lambda architecture: None
    on_trained: Callable[[Trained], None] = lambda trained: None
    on_progress: Callable[[SearchProgress], None] | None = None
    asked: list[int] = field(default_factory=list)  # positions among the run's candidates
    resumed: int = 0
    finished: list[Curve] = field(default_factory=list)
    seconds_an_image: float = 0.0  # to evaluate one, with the slowest network so far

    @property
    def limit(self) -> float:
        """Seconds that the whole run may take."""
        return math.inf if self.seconds is None else self.seconds

    @cached_property
    def small(self) -> Task:
        """The task at the recipe's resolution, resized once for all trainings."""
        return self.task.resized(self.recipe.resolution)

    def go(self, controller: Controller) -> SearchResult:
        """Searches by ``controller``, then tests and exports the best."""
        task = self.task
        self.tracked.dataset(task.name, task.fingerprint)
        statistics = {name: float(value) for name, value in task.statistics().items()}
        self.store.add_task(TaskEntry(task.fingerprint, task.name, task.source, statistics))
        loop.run(controller, self, trials=self.count, on_trial=self._track)
        return self._finish()

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """Validation accuracies, of trainings that were given up their likely end; fewer where time is over."""
        scores: list[float] = []
        for each in architectures:
            trained = self._measured(each)
            if trained is None or not trained.done:
                break
            self._learn(trained)
            scores.append(trained.score)
        return scores

    def _measured(self, architecture: Architecture) -> Trained | None:
        """What is known of an architecture, after training it where that is neither done nor out of time."""
        index = self.run.place(Wanted(architecture, self.expected(architecture)))
        self.asked.append(index)
        known = self.run.state.trained.get(index)
        if known is not None and known.done:
            self.resumed += 1
            self._record(known)  # the kill may have come between keeping and recording
            self._tell("kept", index, trained=known)
        elif self.run.spent < self.limit:
            self._train(index)
        return self.run.state.trained.get(index)

    def _learn(self, trained: Trained) -> None:
        """What the trainings to come are judged by."""
        if trained.complete:
            self.finished.append(Curve(trained.checks, trained.score))
        self.on_trained(trained)

    def _track(self, trace: loop.Trace) -> None:
        self.tracked.metrics({"best_valid_accuracy": max(trace.scores)}, step=len(trace.scores))

    def _train(self, index: int) -> None:
        """Trains one candidate and keeps the result, in part or whole."""
        self._tell("started", index)
        wanted, checks = self.run.state.candidates[index], list[float]()
        deadline = self._deadline(wanted.architecture)
        nested = self.tracker.run(str(wanted.architecture), "training", parent=self.tracked) if self.tracker else None
        with nested or nullcontext(self.tracked) as tracked:

            def on_epoch(progress: Progress) -> bool:
                self.run.tick()
                valid = progress.valid_accuracy
                tracked.metrics(_known(train_loss=progress.train_loss, valid_accuracy=valid), step=progress.epoch)
                self._tell("epoch", index, epoch=progress)
                checks.extend([valid] if valid is not None else [])
                return valid is None or not self._hopeless(checks)

            training = train(
                self.small,
                wanted.architecture,
                recipe=self.recipe,
                seed=self.seed,
                device=self.device,
                deadline=deadline,
                checks=CHECKS if self.stop_early else (),
                on_epoch=on_epoch,
            )
            stopped = not training.complete and self._hopeless(checks)
            known = self.run.state.trained.get(index)
            if training.complete or stopped or len(training.curve) > (known.epochs if known else 0):
                self._keep(index, wanted, training, tracked, checks=checks, stopped=stopped)

    def _hopeless(self, checks: Sequence[float]) -> bool:
        return self.stop_early and hopeless(checks, self.finished)

    def _keep(
        self, index: int, wanted: Wanted, training: Training, tracked: Run, *, checks: Sequence[float], stopped: bool
    ) -> None:
        """Stores weights, state and record of a training, in this order."""
        architecture, recipe = wanted.architecture, self.recipe
        skeleton = recipe.skeleton(input_channels=self.task.channels, classes=self.task.classes)
        cells = image_space(architecture.space)
        likely = forecast(checks, self.finished) if stopped else None
        trained = Trained(
            architecture,
            expected_accuracy=wanted.expected_accuracy,
            valid_accuracy=training.valid_accuracy,
            complete=training.complete,
            epochs=len(training.curve),
            seconds=training.seconds,
            parameters=cells.parameters(architecture, skeleton),
            flops=cells.flops(architecture, skeleton, resolution=recipe.resolution),
            stopped=stopped,
            score=likely.likely if likely else training.valid_accuracy or 0.0,
            checks=tuple(checks),
            parts=training.parts,
        )
        card = describe(training, task=self.task, architecture=architecture, recipe=recipe, seed=self.seed)
        self.run.keep(index, trained, training, card)
        self._record(trained)
        tracked.metrics(_known(valid_accuracy=trained.valid_accuracy, seconds=trained.seconds), step=trained.epochs)
        tracked.metrics({"complete": float(trained.complete), "stopped_early": float(stopped)})
        self._tell("stopped" if stopped else "trained", index, trained=trained)

    def _record(self, trained: Trained) -> None:
        """Adds a whole training to the store, which keeps the first record of a key; no other one is a record."""
        if trained.complete:
            parts = {"batch_parts": float(trained.parts)} if trained.parts > 1 else {}
            record = Record(
                task=self.task.fingerprint,
                space=trained.architecture.space,
                architecture=str(trained.architecture),
                recipe=self.recipe.name,
                seed=self.seed,
                source="user",
                valid_accuracy=trained.valid_accuracy,
                train_seconds=trained.seconds,
                extra={"valid_images": float(np.count_nonzero(self.task.parts == VALIDATION)), **parts},
            )
            self.store.add([record])

    def _finish(self) -> SearchResult:
        """Tests the best once, exports it and sums the search up."""
        state = self.run.state
        best = best_of(state, self._positions())
        if best is None and not self.asked:
            raise UserError("the searcher had nothing to propose: give another one, such as surrogate or evolution")
        if best is None:
            raise UserError(
                f"the budget of {self.limit:g} seconds was over before the first step of training: reading and ranking "
                f"alone took {self.run.prepared:.0f} s; give the same command with a larger one to go on"
            )
        card, training = self.run.weights(best)
        if state.tested is None or state.tested[0] != best:
            state.tested = (best, self._test(training))
            self._tell("tested", best, trained=state.trained[best])
        exported = save(training, tested_card(card, state, best), self.run.folder)
        self.run.save()
        self.tracked.metrics(
            _known(valid_accuracy=card.valid_accuracy, test_accuracy=state.tested[1], seconds=self.run.spent)
        )
        for path in (exported.weights, exported.program):
            self.tracked.artifact(path, folder="model")
        return self._result(best, exported)

    def _positions(self) -> list[int]:
        """The candidates of this search: those asked for, and the first of a run that time did not reach again."""
        return list(dict.fromkeys([*self.asked, *range(self.count)]))

    def _result(self, best: int, exported: Exported) -> SearchResult:
        state = self.run.state
        trained = tuple(state.trained[index] for index in self._positions() if index in state.trained)
        whole = sum(each.done for each in trained)
        out_of_time = any(index not in state.trained or not state.trained[index].done for index in self.asked)
        notes = [f"time was over after {whole} of {self.count} trainings"] if out_of_time else []
        if stopped := sum(each.stopped for each in trained):
            notes.append(f"{stopped} of {len(trained)} trainings were given up early: they could not become the best")
        if not state.trained[best].complete:
            notes.append(
                f"the network was trained in part ({state.trained[best].epochs} epochs): it can be used, "
                f"but its accuracies are not those of the recipe {self.recipe.name!r}"
            )
        if parts := max(each.parts for each in trained) - 1:
            notes.append(f"memory was short: batches were trained in up to {parts + 1} parts")
        notes += judgements(self.task, exported.card.valid_accuracy, exported.card.test_accuracy)
        return SearchResult(
            best=state.candidates[best].architecture,
            valid_accuracy=exported.card.valid_accuracy,
            test_accuracy=exported.card.test_accuracy,
            trained=trained,
            folder=self.run.folder,
            seconds=self.run.spent,
            resumed=self.resumed,
            stopped_by="time" if out_of_time else "trainings",
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
        with lent():
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
            number = self._positions().index(index) + 1
            self.on_progress(SearchProgress(stage, number, self.count, architecture, spent, epoch, trained))


def _known(**values: float | None) -> dict[str, float]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}
