"""What a search measures on a user's images, as records of the database: `recommend` learns from them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from databases.usual import AUTOMATIC
from metad2a.train.bases import OTHER
from metad2a.train.curve import curve_of
from metad2a.train.loop import Epoch


@dataclass(frozen=True)
class Recorder:
    """Writes measurements of a task into ``store``, None: nowhere. The first record of a kind stays."""

    store: Store | None
    task: Task
    seed: int
    augment: str

    def begin(self) -> None:
        """Writes what the records are of."""
        if self.store is not None:
            self.store.add_task(TaskEntry.of(self.task))

    def add(
        self,
        pipeline: Pipeline,
        accuracy: float | None,
        loss: float,
        *,
        seconds: float,
        steps: int = 0,
        curve: Iterable[Epoch] = (),
    ) -> None:
        """Writes one measurement, without ``steps`` that of a probe, with its learning ``curve``.

        A network of the user's own is left out: the record could not say which it was.
        """
        if self.store is None or pipeline.weights == OTHER or accuracy is None:
            return
        parts = {"train_images": TRAIN, "valid_images": VALIDATION}
        extra = {name: float(np.count_nonzero(self.task.parts == part)) for name, part in parts.items()}
        extra |= {"classes": float(self.task.classes)} | ({"valid_loss": loss} if math.isfinite(loss) else {})
        extra |= curve_of(curve)
        changed = "" if self.augment == AUTOMATIC else f"-{self.augment}"  # else it is another recipe
        record = Record(
            task=self.task.fingerprint,
            space=PIPELINE.name,
            architecture=str(pipeline),
            recipe=pipeline.recipe(steps) + (changed if steps else ""),
            seed=self.seed,
            source="user",
            valid_accuracy=accuracy,
            train_seconds=seconds,
            extra=extra,
        )
        self.store.add([record])
