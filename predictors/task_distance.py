"""How far a dataset lies from the known ones: distance between the places of tasks in feature space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.datasets.features import TaskFeatures


@dataclass(frozen=True)
class Neighbour:
    """A known task; ``distance`` is 0 for the same place, about 1 for a typical pair of unrelated sources."""

    name: str
    source: str
    distance: float


@dataclass(frozen=True, eq=False)
class KnownTasks:
    """The tasks a model learnt from.

    Attributes:
        names, sources: of each task.
        places: (n, 2 d) mean and spread of their class means (`TaskFeatures.mean`).
        scale: typical distance between tasks of different sources. limit: the distance to the nearest
            other source that 95% of the tasks stay below; farther means unlike anything learnt.
    """

    names: tuple[str, ...]
    sources: tuple[str, ...]
    places: npt.NDArray[np.float32]
    scale: float
    limit: float

    def with_tasks(self, tasks: Sequence[TaskFeatures], sources: Sequence[str]) -> KnownTasks:
        """Also with these tasks, in place of those with the same names; scale and limit stay."""
        new = {task.name for task in tasks}
        kept = [i for i, name in enumerate(self.names) if name not in new]
        places = [self.places[kept], *(task.mean()[None].astype(np.float32) for task in tasks)]
        return KnownTasks(
            (*(self.names[i] for i in kept), *(task.name for task in tasks)),
            (*(self.sources[i] for i in kept), *sources),
            np.concatenate(places),
            self.scale,
            self.limit,
        )

    @classmethod
    def learn(cls, tasks: Sequence[TaskFeatures], sources: Sequence[str]) -> KnownTasks:
        """Takes in the tasks; the limit comes from holding out each source in turn."""
        places = np.stack([task.mean() for task in tasks]).astype(np.float32)
        own = np.array(sources)
        apart = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
        other = own[:, None] != own[None]
        scale = float(np.median(apart[other]))
        nearest = np.where(other, apart, np.inf).min(1) / scale
        limit = float(np.quantile(nearest, 0.95, method="higher"))
        return cls(tuple(task.name for task in tasks), tuple(sources), places, scale, limit)

    def nearest(self, task: TaskFeatures, *, count: int = 3) -> tuple[list[Neighbour], bool]:
        """The ``count`` nearest known tasks, and whether the dataset is unlike anything learnt.

        Where no task is known, everything is unlike.
        """
        distance = np.sqrt(((self.places - task.mean()) ** 2).sum(1)) / self.scale
        order = np.argsort(distance, kind="stable")[:count]
        found = [Neighbour(self.names[i], self.sources[i], float(distance[i])) for i in order]
        return found, not len(distance) or bool(distance.min() > self.limit)

    def header(self) -> dict[str, Any]:
        """Everything but the places, for a checkpoint's header."""
        return {"names": self.names, "sources": self.sources, "scale": self.scale, "limit": self.limit}

    @classmethod
    def from_header(cls, header: dict[str, Any], places: npt.NDArray[np.float32]) -> KnownTasks:
        """Reads `header` back."""
        return cls(
            tuple(header["names"]),
            tuple(header["sources"]),
            places,
            float(header["scale"]),
            float(header["limit"]),
        )
