"""One process's work on a run: measure what the searcher asks for, keep every result, test and export the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from databases.architectures.space import Architecture, image_space
from databases.datasets.task import TEST, TRAIN, Task
from databases.errors import UserError
from databases.hosting import lent
from databases.records.recipe import Recipe
from databases.records.record import TaskEntry
from databases.records.store import Store
from metad2a.export.export import Exported, describe, save
from metad2a.runtime.tracking import Run, Tracker
from metad2a.search import loop
from metad2a.search.candidate import Done, Job, Spread, Work
from metad2a.search.controllers.controller import Controller
from metad2a.search.judgement import ended, judgements, remarks
from metad2a.search.result import SearchProgress, SearchResult, Stage, record_of
from metad2a.search.run_state import Trained, Wanted, best_of, tested_card
from metad2a.search.runs import RunFolder
from metad2a.search.tracked import facts, training_run
from metad2a.train.inference import accuracy, seconds_an_image
from metad2a.train.place import pick_device
from metad2a.train.training import Progress, Training
from predictors.learning_curve import Curve, forecast

SLACK_SECONDS, SLACK_SHARE = 1.0, 0.05  # kept free for the last step and writing: the smaller of the two


@dataclass
class Session:
    """The `Measure` of a run: trains at most ``count`` architectures within ``seconds``, or takes what was kept.

    ``tracker`` opens a run for each training below ``tracked``; None puts the only training into that itself.
    ``expected`` tells the accuracy in percent that is expected of an architecture; ``on_trained`` is told every
    training that is done, in order, also those of earlier processes. With ``stop_early`` hopeless ones are given up.
    With ``spread`` trainings run where that puts them, ``at_once`` of them between two looks at what they taught.
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
    notes: tuple[str, ...] = ()  # that the result is told with
    spread: Spread | None = None
    at_once: int = 1
    asked: list[int] = field(default_factory=list)  # positions among the run's candidates
    resumed: int = 0
    finished: list[Curve] = field(default_factory=list)
    worked: bool = False  # whether this process trained or tested anything
    slowest: float = 0.0  # seconds to evaluate one image, of all networks so far

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
        self.tracked.parameters(facts(task))
        statistics = {name: float(value) for name, value in task.statistics().items()}
        self.store.add_task(TaskEntry(task.fingerprint, task.name, task.source, statistics))
        loop.run(controller, self, trials=self.count, batch=self.at_once, on_trial=self._track)
        return self._finish()

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """Validation accuracies, of trainings that were given up their likely end; fewer where time is over."""
        scores: list[float] = []
        for trained in map(self._measured, architectures) if self.spread is None else self._together(architectures):
            if trained is None or not trained.done:
                break
            self._learn(trained)
            scores.append(trained.score)
        return scores

    def _measured(self, architecture: Architecture) -> Trained | None:
        """What is known of an architecture, after training it where that is neither done nor out of time."""
        index, known = self._asked(architecture)
        if not known and self.run.spent < self.limit:
            self._train(index)
        return self.run.state.trained.get(index)

    def _together(self, architectures: Sequence[Architecture]) -> list[Trained | None]:
        """The same of several, which are trained side by side."""
        asked = [self._asked(each) for each in architectures]
        todo = [index for index, known in asked if not known]
        if todo and self.run.spent < self.limit:
            self._train_together(todo)
        return [self.run.state.trained.get(index) for index, _ in asked]

    def _asked(self, architecture: Architecture) -> tuple[int, bool]:
        """The position of an architecture that is asked for, and whether it was trained before."""
        index = self.run.place(Wanted(architecture, self.expected(architecture)))
        self.asked.append(index)
        known = self.run.state.trained.get(index)
        if known is None or not known.done:
            return index, False
        self.resumed += 1
        self._record(known)  # the kill may have come between keeping and recording
        self._tell("kept", index, trained=known)
        return index, True

    def _learn(self, trained: Trained) -> None:
        """What the trainings to come are judged by."""
        if trained.complete:
            self.finished.append(Curve(trained.checks, trained.score))
        self.on_trained(trained)

    def _track(self, trace: loop.Trace) -> None:
        self.tracked.metrics({"best_valid_accuracy": max(trace.scores)}, step=len(trace.scores))

    def _train_together(self, indices: Sequence[int]) -> None:
        """Trains candidates where the executor puts them, and keeps each as it comes back."""
        assert self.spread is not None
        for done in self.spread(self._work(), [self._job(index) for index in indices]):
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
                self._tell("epoch", index, epoch=progress)

            self._keep_better(self._work().train(job, on_epoch), tracked)

    def _job(self, index: int) -> Job:
        self.worked = True
        self._tell("started", index)
        architecture = self.run.state.candidates[index].architecture
        return Job(index, architecture, self._deadline(architecture))

    def _work(self) -> Work:
        return Work(self.small, self.recipe, self.seed, self.device, self.stop_early, tuple(self.finished))

    def _nested(self, index: int) -> AbstractContextManager[Run]:
        architecture, recipe = self.run.state.candidates[index].architecture, self.recipe
        return training_run(self.tracker, self.tracked, self.task, architecture, recipe=recipe, seed=self.seed)

    def _keep_better(self, done: Done, tracked: Run) -> None:
        """Keeps a training, unless an earlier process came further with it."""
        known = self.run.state.trained.get(done.index)
        if done.training.complete or done.stopped or len(done.training.curve) > (known.epochs if known else 0):
            self._keep(done, tracked)

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
        )
        card = describe(training, task=self.task, architecture=architecture, recipe=recipe, seed=self.seed)
        self.run.keep(done.index, trained, training, card)
        self._record(trained)
        tracked.metrics(_known(valid_accuracy=trained.valid_accuracy, seconds=trained.seconds), step=trained.epochs)
        tracked.metrics({"complete": float(trained.complete), "stopped_early": float(done.stopped)})
        tracked.metrics({"parameters": float(trained.parameters), "flops": float(trained.flops)})
        self._tell("stopped" if done.stopped else "trained", done.index, trained=trained)

    def _record(self, trained: Trained) -> None:
        """Adds a whole training to the store, which keeps the first record of a key; no other one is a record."""
        if trained.complete:
            self.store.add([record_of(trained, self.task, recipe=self.recipe.name, seed=self.seed)])

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
            self.worked = True
            state.tested = (best, self._test(training))
            self._tell("tested", best, trained=state.trained[best])
        exported = save(training, tested_card(card, state, best), self.run.folder)
        if not self.worked:
            self.run.discount()
            self.tracked.discard()
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
        out_of_time = any(index not in state.trained or not state.trained[index].done for index in self.asked)
        notes = [
            *self.notes,
            *([ended(trained, self.count)] if out_of_time else []),
            *remarks(trained, state.trained[best], recipe=self.recipe.name),
        ]
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
        """When training must stop (seconds since 1970) so that validation, test and export are in time."""
        if self.limit == math.inf:
            return math.inf
        skeleton = self.recipe.skeleton(input_channels=self.task.channels, classes=self.task.classes)
        with lent():
            network = image_space(architecture.space).network(architecture, skeleton)
        self.slowest = max(self.slowest, seconds_an_image(self.small, network, pick_device(self.device)))
        held_out = np.count_nonzero(self.task.parts != TRAIN)
        slack = min(SLACK_SECONDS, SLACK_SHARE * self.limit)
        left = self.limit - self.run.spent
        return time.time() + left - min(1.5 * self.slowest * held_out + slack, left / 2)

    def _tell(self, stage: Stage, index: int, *, epoch: Progress | None = None, trained: Trained | None = None) -> None:
        if self.on_progress is not None:
            architecture, spent = self.run.state.candidates[index].architecture, self.run.spent
            number = self._positions().index(index) + 1
            self.on_progress(SearchProgress(stage, number, self.count, architecture, spent, epoch, trained))


def _epoch_metrics(progress: Progress) -> dict[str, float]:
    return _known(train_loss=progress.train_loss, valid_accuracy=progress.valid_accuracy)


def _known(**values: float | None) -> dict[str, float]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value is not None}
