"""Pipelines as any searcher measures them: each trained alike, for so many seconds or steps."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from databases.architectures.space import Architecture
from databases.architectures.spaces.pipeline import PIPELINE
from databases.datasets.task import Task
from metad2a.train.bases import Base
from metad2a.train.pipeline import Effort, begin_of, probe_pipeline, tune_pipeline


@dataclass
class PipelineMeasure:
    """The `Measure` of the space ``pipeline``: validation accuracies in percent; fewer where time is over.

    Attributes:
        effort: of each fine-tuning; a probe takes what it takes.
        deadline: monotonic second after which nothing begins.
        cache: a folder for features. also: the user's own network. took: seconds of each measurement, in order.
    """

    task: Task
    effort: Effort
    deadline: float = math.inf
    cache: Path | None = None
    also: Base | None = None
    took: list[float] = field(default_factory=list)

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """Trains each from its own probe, or from nothing."""
        scores: list[float] = []
        for each in architectures:
            begin = time.monotonic()
            if begin >= self.deadline:
                break
            scores.append(self._measured(each))
            self.took.append(time.monotonic() - begin)
        return scores

    def _measured(self, architecture: Architecture) -> float:
        pipeline = PIPELINE.pipeline(architecture)
        if pipeline.training == "probe":
            return probe_pipeline(pipeline, self.task, cache=self.cache, also=self.also)[1].valid_accuracy or 0.0
        begin = begin_of(pipeline, self.task, seed=self.effort.seed, cache=self.cache, also=self.also)
        tuned = tune_pipeline(pipeline, self.task, self.effort, begin=begin, deadline=self.deadline)
        return tuned.valid_accuracy or 0.0
