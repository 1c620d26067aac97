"""What is expected of pipelines, learnt from what we measured and from what searches measured on the user's images.

The user's join only where our sources of images, each left out in turn, are not foretold worse by that. The
trainings of a dataset of the same content or name never tell its expectations: they are no other dataset's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from databases.architectures.spaces.pipeline import PIPELINE
from databases.datasets.task import Task
from databases.errors import count
from metad2a.recommend.chances import outcomes, shipped_keys, usual
from predictors.fine_tunings import Example, examples_of
from predictors.outcome import OutcomeModel

if TYPE_CHECKING:
    from databases.records.store import Store


@dataclass(frozen=True, eq=False)
class Experience:
    """The model to ask.

    Attributes:
        own: the user's trainings that could be learnt from. datasets: how many datasets they are of.
        error, error_with: mean squared error in logits on our sources, each left out, without and with them.
    """

    model: OutcomeModel
    own: int = 0
    datasets: int = 0
    error: float = 0.0
    error_with: float = 0.0

    @property
    def used(self) -> bool:
        """Whether the user's trainings are learnt from."""
        return self.own > 0 and self.error_with <= self.error

    def to_json(self) -> dict[str, float | bool]:
        """Plain values."""
        told = {name: float(getattr(self, name)) for name in ("error", "error_with")} if self.own else {}
        return {"own": self.own, "datasets": self.datasets, "used": self.used, **told}

    def __str__(self) -> str:
        shipped = outcomes()
        told = f"{len(shipped.examples)} fine-tunings of {len(shipped.sources)} sources come with metad2a"
        if not self.own:
            return f"{told}; none of your own yet: metad2a search adds them"
        judged = f"squared error on our sources, each left out: {self.error:.4f} without, {self.error_with:.4f} with"
        verdict = "learnt from" if self.used else "not learnt from"
        return f"{told}; {self.own} of yours, of {count(self.datasets, 'dataset')}, are {verdict} ({judged})"


def experience(store: Store | None, task: Task | None = None) -> Experience:
    """What the shipped trainings and those of a store tell, for ``task`` all but its own."""
    shipped = outcomes()
    own = [] if store is None else _own(store, task)
    if not own:
        return Experience(shipped)
    both = OutcomeModel((*shipped.examples, *own))
    error, error_with = (_squared(each, shipped.sources) for each in (shipped, both))
    datasets = len({each.source for each in own})
    return Experience(both if error_with <= error else shipped, len(own), datasets, error, error_with)


def _own(store: Store, task: Task | None) -> list[Example]:
    """The examples of a store that do not come with metad2a, and not of the task."""
    known = shipped_keys()
    but = () if task is None else (task.fingerprint, task.source or task.name)
    tasks = [each for each in store.tasks() if each.key not in but and each.spec.get("content") not in but]
    others = {each.key for each in tasks}
    records = [each for each in store.records(space=PIPELINE.name) if each.key not in known and each.task in others]
    return [each for each in usual(examples_of(tasks, records)) if each.source not in but]


def _squared(model: OutcomeModel, sources: Iterable[str]) -> float:
    """Mean squared error on sources that the model is learnt without, each counting alike."""
    return float(np.mean([np.mean(model.errors[name] ** 2) for name in sources]))
