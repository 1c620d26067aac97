"""One process's work on a run: measure what the searcher asks for, and keep every result."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from databases.architectures.space import Architecture, image_space
from databases.datasets.task import Task
from databases.records.recipe import Recipe
from databases.records.record import TaskEntry
from databases.records.store import Store
from databases.usual import AUTOMATIC
from metad2a.export.export import card_of_training
from metad2a.runtime.executors import PROCESSES
from metad2a.runtime.place import ALONE, Place
from metad2a.runtime.tracking import Run, Tracker
from metad2a.search import loop
from metad2a.search.budget import Budget
from metad2a.search.candidate import Done, Job, Spread, Work
from metad2a.search.controllers.controller import Controller
from metad2a.search.mirroring import affordable_probes, augmentation, best_known
from metad2a.search.result import Event, SearchProgress, record_of
from metad2a.search.run_state import Trained, Wanted, best_of
from metad2a.search.runs import RunFolder
from metad2a.search.tracked import Draw, facts, known_values, training_run
from metad2a.train.augment import Augment
from metad2a.train.training import Progress
from predictors.learning_curve import Curve, forecast


@dataclass
class Session:
    """The `Measure` of a run: trains at most ``count`` architectures within ``seconds``, or takes what was kept.

    Without a ``count`` as many as there is time for. ``augment`` says what may be done to training images.
    What ``draw`` makes of the trainings goes with the tracked run.
    ``tracker`` opens a run for each training below ``tracked``; None puts the only training into that itself.
    ``expected`` tells the accuracy in percent that is expected of an architecture; ``on_trained`` is told every
    training that is done, in order, also those of earlier processes. With ``stop_early`` hopeless ones are given up.
    With ``spread`` trainings run where that puts them, as many as the ``place`` has workers between two looks at what
    they taught.
    """

    task: Task
    recipe: Recipe
    run: RunFolder
    store: Store
    tracked: Run
    count: int | None = 1
    seed: int = 0
    seconds: float | None = None
    tracker: Tracker | None = None
    place: Place = ALONE
    stop_early: bool = True
    expected: Callable[[Architecture], float | None] = lambda architecture: None
    on_trained: Callable[[Trained], None] = lambda trained: None
    on_progress: Callable[[SearchProgress], None] | None = None
    notes: tuple[str, ...] = ()  # that the result is told with
    spread: Spread | None = None
    augment: str = AUTOMATIC
    draw: Draw | None = None
    asked: list[int] = field(default_factory=list)  # positions among the run's candidates
    resumed: int = 0
    finished: list[Curve] = field(default_factory=list)
    worked: bool = False  # whether this process trained or tested anything

    @cached_property
    def budget(self) -> Budget:
        """What there is time for."""
        limit = math.inf if self.seconds is None else self.seconds
        return Budget(self.small, self.recipe, self.run, self.place.on, limit)

    @cached_property
    def small(self) -> Task:
        """The task at the recipe's resolution, resized once for all trainings."""
        return self.task.resized(self.recipe.resolution)

    def go(self, controller: Controller) -> Self:
        """Searches by ``controller``; what is left to do is to test and to export the best."""
        task = self.task
        self.tracked.dataset(task.name, task.fingerprint)
        self.tracked.parameters(facts(task))
        self.store.add_task(TaskEntry.of(task))
        loop.run(controller, self, trials=self.count or sys.maxsize, batch=self.place.workers, on_trial=self._track)
        return self

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """Validation accuracies, of trainings that were given up their likely end; fewer where time is over."""
        scores: list[float] = []
        for trained in map(self._measured, architectures) if self.spread is None else self._together(architectures):
            if trained is None or not trained.done:
                break
            self._observe(trained)
            scores.append(trained.score)
        return scores

    def _measured(self, architecture: Architecture) -> Trained | None:
        """What is known of an architecture, after training it where that is neither done nor out of time."""
        index, known = self._asked(architecture)
        if not known and self._fits(index):
            self._train(index)
        return self.run.state.trained.get(index)

    def _together(self, architectures: Sequence[Architecture]) -> list[Trained | None]:
        """The same of several, which are trained side by side."""
        asked = [self._asked(each) for each in architectures]
        todo = [index for index, known in asked if not known]
        if todo and all(map(self._fits, todo)):
            self._train_together(todo)
        return [self.run.state.trained.get(index) for index, _ in asked]

    def _fits(self, index: int) -> bool:
        """Whether a training may begin: the first in any case, one more only where all of it has time.

        One that was killed had its time when it was begun, and goes on.
        """
        state, architecture = self.run.state, self.run.state.candidates[index].architecture
        if self.run.spent >= self.budget.limit:
            return False
        if self.run.checkpoint(index).is_file():
            return True
        best = best_of(state, state.trained)
        if best is not None and best != index and (state.trained[best].complete or state.trained[best].shortened):
            return self.budget.room(architecture, state.candidates[best].architecture)
        steps, known = self.budget.steps(architecture), state.trained.get(index)
        return known is None or steps is None or steps > known.epochs * self.budget.a_pass

    def _asked(self, architecture: Architecture) -> tuple[int, bool]:
        """The position of an architecture that is asked for, and whether it was trained before."""
        index = self.run.place(Wanted(architecture, self.expected(architecture)))
        self.asked.append(index)
        known = self.run.state.trained.get(index)
        if known is None or not known.done:
            return index, False
        self.resumed += 1
        self._record(known)  # the kill may have come between keeping and recording
        self.tell("kept", index, trained=known)
        return index, True

    def _observe(self, trained: Trained) -> None:
        """What the trainings to come are judged by."""
        if trained.complete:
            self.finished.append(Curve(trained.checks, trained.score))
        self.on_trained(trained)

    def _track(self, trace: loop.Trace) -> None:
        self.tracked.metrics({"best_valid_accuracy": max(trace.scores)}, step=len(trace.scores))

    def _train_together(self, indices: Sequence[int]) -> None:
        """Trains candidates where the executor puts them, and keeps each as it comes back."""
        assert self.spread is not None
        for done in self.spread(self.work(), [self._job(index) for index in indices]):
            with self._nested(done.index) as tracked:
                for progress in done.training.curve:
                    tracked.metrics(_epoch_metrics(progress), step=progress.epoch)
                self._keep_better(done, tracked)

    def _train(self, index: int) -> None:
        """Trains one candidate and keeps the result, in part or whole."""
        job = self._job(index)
        with self._nested(index) as tracked:

            def on_epoch(progress: Progress) -> None:
                self.run.tick()
                tracked.metrics(_epoch_metrics(progress), step=progress.epoch)
                self.tell("epoch", index, epoch=progress)

            self._keep_better(self.work().train(job, on_epoch), tracked)

    def _job(self, index: int) -> Job:
        self.worked = True
        architecture = self.run.state.candidates[index].architecture
        steps, takes = self.budget.steps(architecture), None
        if self.budget.limit < math.inf:
            takes = self.budget.takes(architecture) if steps is None else steps * self.budget.pace(architecture)
        self.tell("started", index, expected=takes)
        checkpoint = self.run.checkpoint(index) if self.place.executor == PROCESSES else None  # others have other disks
        return Job(index, architecture, self.budget.deadline(architecture), steps, checkpoint)

    def work(self) -> Work:
        """What trains candidates now."""
        curves = tuple(self.finished)
        return Work(self.small, self.recipe, self.seed, self.place.on, self.stop_early, curves, self.change)

    @cached_property
    def change(self) -> Augment:
        """What is done to training images, the same in all processes of the run."""
        state = self.run.state
        if state.change is None:
            left, asked = self.budget.limit - self.run.spent, (self.augment, self.recipe)
            judges = affordable_probes(self.task, *asked, seconds=left)
            found, why = augmentation(self.task, *asked, judges)
            state.change, state.probed = (found.shift, found.flip, why), best_known(judges)
        return Augment(*state.change[:2])

    def _nested(self, index: int) -> AbstractContextManager[Run]:
        return training_run(
            self.tracker,
            self.tracked,
            self.task,
            self.run.state.candidates[index].architecture,
            recipe=self.recipe,
            augment=self.change,
            seed=self.seed,
        )

    def _keep_better(self, done: Done, tracked: Run) -> None:
        """Keeps a training, unless an earlier process came further with it."""
        known = self.run.state.trained.get(done.index)
        if (
            done.training.complete
            or done.stopped
            or done.training.shortened
            or len(done.training.curve) > (known.epochs if known else 0)
        ):
            self._keep(done, tracked)
        self.run.checkpoint(done.index).unlink(missing_ok=True)

    def _keep(self, done: Done, tracked: Run) -> None:
        """Stores weights, state and record of a training, in this order."""
        wanted, training, recipe = self.run.state.candidates[done.index], done.training, self.recipe
        architecture = wanted.architecture
        skeleton = recipe.skeleton(input_channels=self.task.channels, classes=self.task.classes)
        cells = image_space(architecture.space)
        likely = forecast(done.checks, self.finished) if done.stopped else None
        trained = Trained(
            architecture,
            expected_accuracy=wanted.expected_accuracy,
            valid_accuracy=training.valid_accuracy,
            complete=training.complete,
            epochs=len(training.curve),
            seconds=training.seconds,
            parameters=cells.parameters(architecture, skeleton),
            flops=cells.flops(architecture, skeleton, resolution=recipe.resolution),
            stopped=done.stopped,
            score=likely.likely if likely else training.valid_accuracy or 0.0,
            checks=done.checks,
            parts=training.parts,
            shortened=training.shortened and not done.stopped,
        )
        card = card_of_training(training, task=self.task, architecture=architecture, recipe=recipe, seed=self.seed)
        self.run.keep(done.index, trained, training, card)
        self._record(trained)
        tracked.metrics(
            known_values(valid_accuracy=trained.valid_accuracy, seconds=trained.seconds), step=trained.epochs
        )
        tracked.metrics({"complete": float(trained.complete), "stopped_early": float(done.stopped)})
        tracked.metrics({"parameters": float(trained.parameters), "flops": float(trained.flops)})
        self.tell("stopped" if done.stopped else "trained", done.index, trained=trained)

    def _record(self, trained: Trained) -> None:
        """Adds a whole training to the store, which keeps the first record of a key; no other one is a record."""
        if trained.complete and self.augment == AUTOMATIC:  # else it is not by the recipe
            self.store.add([record_of(trained, self.task, recipe=self.recipe.name, seed=self.seed)])

    def positions(self) -> list[int]:
        """The candidates of this search: those asked for, and the first of a run that time did not reach again."""
        known = range(len(self.run.state.candidates))
        return list(dict.fromkeys([*self.asked, *known[: self.count]]))

    def tell(
        self,
        event: Event,
        index: int,
        *,
        epoch: Progress | None = None,
        trained: Trained | None = None,
        expected: float | None = None,
    ) -> None:
        """Says what happened to a candidate."""
        if self.on_progress is not None:
            architecture, spent = self.run.state.candidates[index].architecture, self.run.spent
            number = self.positions().index(index) + 1
            self.on_progress(SearchProgress(event, number, self.count, architecture, spent, epoch, trained, expected))


def _epoch_metrics(progress: Progress) -> dict[str, float]:
    return known_values(train_loss=progress.train_loss, valid_accuracy=progress.valid_accuracy)
