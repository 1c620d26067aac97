"""What is expected of pipelines, learnt from what we measured and from what searches measured on the user's images.

The user's join only where sources of images that a model is learnt without are not foretold worse by it. A dataset's
own trainings never tell its own expectations: they are no other dataset's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from databases.architectures.spaces.pipeline import PIPELINE
from databases.datasets.task import Task
from metad2a.recommend.chances import outcomes, shipped_keys, usual
from predictors.outcome import Example, OutcomeModel, examples_of
from predictors.scale import to_logit

if TYPE_CHECKING:
    from databases.records.store import Store


@dataclass(frozen=True, eq=False)
class Experience:
    """The model to ask.

    Attributes:
        own: the user's trainings that could be learnt from. datasets: how many datasets they are of.
        error, error_with: mean squared error in logits on sources left out, without and with them.
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

    def __str__(self) -> str:
        shipped = outcomes()
        told = f"{len(shipped.examples)} fine-tunings of {len(shipped.sources)} sources come with metad2a"
        if not self.own:
            return f"{told}; none of your own yet: metad2a search adds them"
        judged = f"mean squared error on sources left out {self.error:.4f} without, {self.error_with:.4f} with them"
        verdict = "learnt from" if self.used else "not learnt from"
        return f"{told}; {self.own} of yours, of {self.datasets} datasets, are {verdict} ({judged})"


def experience(store: Store | None, task: Task | None = None) -> Experience:
    """What the shipped trainings and those of a store tell, for ``task`` all but its own."""
    shipped = outcomes()
    own = [] if store is None else _own(store, task)
    if not own:
        return Experience(shipped)
    both = OutcomeModel((*shipped.examples, *own))
    of_source: dict[str, list[Example]] = defaultdict(list)
    for each in own:
        of_source[each.source].append(each)
    alone = {**{name: _misses(shipped, mine) for name, mine in of_source.items()}, **shipped.errors}
    error, error_with = _squared(alone), _squared(both.errors)
    chosen = both if error_with <= error else shipped
    return Experience(chosen, len(own), len(of_source), error, error_with)


def _own(store: Store, task: Task | None) -> list[Example]:
    """The examples of a store that do not come with metad2a, and not of the task."""
    known = shipped_keys()
    but = () if task is None else (task.fingerprint, task.source or task.name)
    tasks = store.tasks()
    records = [each for each in store.records(space=PIPELINE.name) if each.key not in known and each.task not in but]
    return [each for each in usual(examples_of(tasks, records)) if each.source not in but]


def _misses(model: OutcomeModel, examples: Sequence[Example]) -> np.ndarray:
    """Errors in logits, (n,), on examples that the model does not know."""
    told = [model.expect(each.looked, [(each.pipeline, each.steps)]).mean[0] for each in examples]
    return to_logit([each.accuracy for each in examples]) - to_logit(told)


def _squared(errors: Mapping[str, np.ndarray]) -> float:
    """Mean over the sources, each counting alike."""
    return float(np.mean([np.mean(each**2) for each in errors.values()]))
