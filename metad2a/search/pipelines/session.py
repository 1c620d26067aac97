"""One process's work on a run of pipelines: what is known by now, the best of it, and how more is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import TEST, TRAIN, Task
from databases.errors import Say
from databases.usual import AUTOMATIC
from metad2a.export.card import Card
from metad2a.recommend.chances import MeasuredProbe
from metad2a.recommend.experience import experience
from metad2a.recommend.front import as_good
from metad2a.recommend.pipeline_cost import Allowed
from metad2a.runtime.tracking import Run
from metad2a.search.pipelines import competing
from metad2a.search.pipelines.average import drop_logits
from metad2a.search.pipelines.competing import TaskFacts
from metad2a.search.pipelines.kept import card_of, known_percent, trained_of, training_of
from metad2a.search.pipelines.records import Recorder
from metad2a.search.pipelines.stages import Plan, read_plan
from metad2a.search.run_state import Wanted
from metad2a.search.runs import RunFolder
from metad2a.search.tracked import track_pipeline
from metad2a.train.augment import Augment, choose
from metad2a.train.bases import Base
from metad2a.train.classifier import Classifier
from metad2a.train.loop import Epoch
from metad2a.train.pipeline import JUDGES, base_of

if TYPE_CHECKING:
    from databases.records.store import Store

REPORT_SECONDS, REPORT_SHARE = 1.5, 0.1  # kept free for writing and the report: the smaller of the two
OnEpoch = Callable[[Pipeline, Epoch], None]
NO_LOSS = 1e9  # what an infinite log-loss counts as: JSON knows no infinity


@dataclass
class PipelineSession:
    """Works on ``run`` for ``seconds`` in all; ``line`` is told what happened, ``now`` and ``on_epoch`` what goes on.

    What is measured lands in ``store``, whose earlier measurements help to choose. Without ``allowed`` everything is.
    A ``searcher`` asks in place of the plan.
    """

    task: Task
    run: RunFolder
    tracked: Run
    seconds: float
    augment: str = AUTOMATIC
    seed: int = 0
    cache: Path | None = None
    also: Base | None = None
    allowed: Allowed | None = None
    store: Store | None = None
    searcher: str | None = None
    line: Say = lambda text: None
    now: Say = lambda text: None
    on_epoch: OnEpoch = lambda pipeline, epoch: None
    measured: list[MeasuredProbe] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    resumed: int = 0
    worked: bool = False  # whether this process trained anything

    @cached_property
    def plan(self) -> Plan:
        """What was begun; what networks took to answer holds for the run, however busy the machine is later."""
        found = read_plan(self.run.folder)
        if self.allowed is not None:
            self.allowed.milliseconds.update(found.milliseconds)
            found.milliseconds = self.allowed.milliseconds
        return found

    @cached_property
    def recorder(self) -> Recorder:
        """Where measurements land."""
        return Recorder(self.store, self.task, self.seed, self.augment)

    @cached_property
    def task_facts(self) -> TaskFacts:
        """What competitors are chosen by, beside the probes."""
        images = int(np.count_nonzero(self.task.parts == TRAIN))
        return {"images": images, "classes": self.task.classes, "model": experience(self.store, self.task).model}

    @property
    def left(self) -> float:
        """Seconds until testing and writing must begin."""
        return self.left_for(None)

    def left_for(self, answering: Sequence[Pipeline] | None) -> float:
        """The same where it is known which pipelines will answer."""
        slack = min(REPORT_SECONDS, REPORT_SHARE * self.seconds)
        # the slowest need not be what answers
        most = competing.TESTING * self.seconds if answering is None else math.inf
        return self.seconds - self.run.spent - slack - min(self.held_out(TEST, answering), most)

    @property
    def fast(self) -> bool:
        """Whether the fastest of those that are as good is preferred."""
        return self.allowed is not None and self.allowed.fast

    def ranked(self) -> list[int]:
        """Those allowed, the best by validation accuracy first; of equals frozen weights last, then by log-loss.

        The images that tell the accuracy of a probe of them have chosen its penalty too. So have they HOG's, which is
        left out since it was nine points better on the one measured task where it was equal, of signs.
        """
        known, allowed = self.run.state.trained, self.allowed
        there = {index: self.pipeline(index) for index in known}
        flattered = {i: each.training == "probe" and each.weights != "hog" for i, each in there.items()}

        def place(index: int) -> tuple[float, bool, float]:
            return -(known[index].valid_accuracy or 0.0), flattered[index], self.loss(index)

        return sorted((index for index, each in there.items() if allowed is None or allowed(each)), key=place)

    def best(self) -> int | None:
        """What is to be exported: the first of those `ranked` unless speed is preferred."""
        ranked = self.ranked()
        if not self.fast or not ranked:
            return next(iter(ranked), None)
        known = self.run.state.trained  # the fastest of those as good as the first; of equally fast ones the better
        return as_good(ranked, cost=self.milliseconds, quality=lambda index: known[index].valid_accuracy or 0.0)

    def milliseconds(self, index: int) -> float:
        """What an image takes a candidate, where speed is preferred."""
        assert self.allowed is not None
        return self.allowed.latency(self.pipeline(index))

    def classifier(self, index: int) -> Classifier:
        """The kept network of a candidate."""
        card, training = self.run.weights(index)
        return card.classifier(training.network)

    def card(self, index: int, classifier: Classifier) -> Card:
        """What is written beside the weights of a candidate."""
        return card_of(self.task, self.run.state.trained[index], classifier, seed=self.seed)

    def base(self, pipeline: Pipeline) -> Base:
        """The weights that a kept probe stands on."""
        return base_of(pipeline, self.task, also=self.also)

    def pipeline(self, index: int) -> Pipeline:
        """The candidate at a position."""
        return PIPELINE.pipeline(self.run.state.candidates[index].architecture)

    @cached_property
    def augmented(self) -> Augment:
        """What may be done to training images: the better one of cheap probes tells."""
        judges = [each for each in self.measured if each.pipeline in JUDGES] or self.measured
        best = max(judges, key=lambda each: each.accuracy).pipeline
        found, note = choose(self.augment, self.base(best), self._probe_of(best), self.task, cache=self.cache)
        if note != self.plan.augmented:
            self.line(f"note: {note}")
        self.plan.augmented = note  # told again when nothing is left to do
        return found

    def _probe_of(self, pipeline: Pipeline) -> Classifier:
        """The kept probe of the same weights and resolution."""
        wanted = replace(pipeline, training="probe", learning_rate=None)
        return self.classifier(self.run.place(Wanted(PIPELINE.of(wanted))))

    def keep(
        self,
        index: int,
        classifier: Classifier,
        accuracy: float | None,
        loss: float,
        *,
        seconds: float,
        passes: float,
        curve: Sequence[Epoch] = (),
    ) -> None:
        """Stores weights, state and figures of a candidate, and tells of it and of its learning ``curve``."""
        architecture = self.run.state.candidates[index].architecture
        trained = trained_of(architecture, classifier, accuracy, seconds=seconds, passes=passes)
        self.plan.losses[str(architecture)] = loss if math.isfinite(loss) else NO_LOSS
        self.plan.save()
        card = card_of(self.task, trained, classifier, seed=self.seed)
        drop_logits(self.run, index)
        self.run.keep(index, trained, training_of(classifier, trained), card)
        self.worked = True
        track_pipeline(self.tracked, self.task, trained, seed=self.seed, curve=curve)
        best = max(each.valid_accuracy or 0.0 for each in self.run.state.trained.values())
        self.tracked.metrics({"best_valid_accuracy": best, "seconds": self.run.spent}, step=len(self.run.state.trained))
        self.line(f"{architecture}: validation {known_percent(accuracy)} in {seconds:.1f} s")

    def loss(self, index: int) -> float:
        """Log-loss of a candidate on the validation images."""
        return self.plan.losses.get(str(self.run.state.candidates[index].architecture), math.inf)

    def held_out(self, part: int, among: Sequence[Pipeline] | None = None) -> float:
        """Seconds to classify the images of a part by ``among``, by default by what may be slowest."""
        return competing.to_classify(self.measured, int(np.count_nonzero(self.task.parts == part)), among)
