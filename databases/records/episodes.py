"""Records -> episodes: one task under one recipe, with its features and its measured architectures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from databases.architectures.catalogue import Catalogue
from databases.datasets.features import TaskFeatures, extract
from databases.datasets.imagenet import imagenet_features
from databases.datasets.ready_features import from_text
from databases.datasets.sampler import TaskSpec, build_task
from databases.records.importers.nasbench201 import IMAGENET16
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from databases.usual import DEFAULT_SPACE

TABLE = 1000  # an episode with so many cells is a published table
FEW = 5  # an episode with fewer cells tells a level, but no order
NEVER_HELD_OUT = ("tinyimagenet", "imagenet")  # the backbone has seen them
MOST_SEEDS = 6  # of a cell that are kept one by one; a class of a table may have hundreds
Usable: TypeAlias = Callable[[Record], bool]  # whether whoever asks may learn from a record


@dataclass(frozen=True, eq=False)
class Episode:
    """What is known of one task under one recipe.

    Attributes:
        cells: (n,) numbers of architectures, as `Catalogue` gives them. accuracy: (n,) percent, mean over the seeds.
        by_seed: (n, seeds) percent, NaN where missing. family: the unit of held-out splits.
    """

    features: TaskFeatures
    recipe: str
    cells: npt.NDArray[np.int64]
    accuracy: npt.NDArray[np.float64]
    by_seed: npt.NDArray[np.float64]
    family: str

    @property
    def table(self) -> bool:
        """Whether it is a published table."""
        return len(self.cells) >= TABLE

    @property
    def few(self) -> bool:
        """Whether too few cells were measured to tell an order."""
        return len(self.cells) < FEW

    def rows(self, keep: Sequence[int] | npt.NDArray[np.int64]) -> Episode:
        """The same with these rows alone, in their order."""
        return replace(self, cells=self.cells[keep], accuracy=self.accuracy[keep], by_seed=self.by_seed[keep])


@dataclass(frozen=True, eq=False)
class Known:
    """What is known, sorted once by how much of a task was measured.

    Attributes:
        tables: published tables, of at least `TABLE` cells. own: tasks of at least `FEW` cells.
        single: tasks of fewer, which tell a level, but no order.
    """

    tables: tuple[Episode, ...]
    own: tuple[Episode, ...]
    single: tuple[Episode, ...]

    @classmethod
    def of(cls, episodes: Iterable[Episode]) -> Known:
        """The episodes in their order within each kind."""
        kinds: tuple[list[Episode], list[Episode], list[Episode]] = ([], [], [])
        for each in episodes:
            kinds[0 if each.table else 2 if each.few else 1].append(each)
        return cls(*map(tuple, kinds))


def by_recipe(recipe: str) -> Usable:
    """Usable are the records of one recipe: for whoever asks what our own trainings by it tell, not what may teach."""
    return lambda record: record.recipe == recipe


def own_episodes(episodes: Iterable[Episode], recipe: str) -> list[Episode]:
    """The fully measured tasks of a recipe."""
    return [each for each in Known.of(episodes).own if each.recipe == recipe]


def held_out_families(own: Sequence[Episode]) -> list[str]:
    """The families that can be held out: those that the backbone has not seen, where there are others."""
    families = {each.family for each in own}
    return sorted(families - set(NEVER_HELD_OUT)) if len(families) > 1 else []


def episodes(store: Store, *, images: Path | None, usable: Usable, cache: Path | None = None) -> list[Episode]:
    """Every task of the store whose features can be had, by its ``usable`` records, one episode a recipe.

    ``images`` is the folder of the image sources, from which own tasks are rebuilt by their specs (None: only
    the tasks of users' tables have features); ``cache`` the folder of cached features.
    """
    return episodes_with(store, lambda entry: _features(entry, images=images, cache=cache), usable=usable)


def episodes_with(
    store: Store,
    features_of: Callable[[TaskEntry], TaskFeatures | None],
    *,
    usable: Usable,
    catalogue: Catalogue | None = None,
) -> list[Episode]:
    """Every task of the store whose features ``features_of`` knows, by its ``usable`` records, one episode a recipe.

    Of the space of the ``catalogue``, which numbers what is met; by default of the default space.
    """
    chosen = Catalogue(DEFAULT_SPACE) if catalogue is None else catalogue
    entries = {entry.key: entry for entry in store.tasks()}
    found: list[Episode] = []
    for (task, recipe), records in _by_task(filter(usable, _told(store, chosen.space.name))).items():
        features = features_of(entries[task])
        if features is not None:
            found.append(_episode(chosen, features, recipe, records, entries[task].source))
    return found


def held_out_accuracy(record: Record) -> float:
    """Accuracy over every held-out image: validation and test pooled by their numbers, or what there is."""
    pairs = [
        (value, record.extra.get(f"{name}_images", 1.0))
        for name, value in (("valid", record.valid_accuracy), ("test", record.test_accuracy))
        if value is not None
    ]
    return float(sum(value * count for value, count in pairs) / sum(count for _, count in pairs))


def _told(store: Store, space: str) -> Iterator[Record]:
    """The records that tell an accuracy."""
    for record in store.records(space=space):
        if record.valid_accuracy is not None or record.test_accuracy is not None:
            yield record


def _by_task(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    grouped: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        grouped[record.task, record.recipe].append(record)
    return grouped


def _episode(
    catalogue: Catalogue,
    features: TaskFeatures,
    recipe: str,
    records: Sequence[Record],
    family: str,
) -> Episode:
    values: dict[int, dict[int, float]] = defaultdict(dict)
    for record in records:
        cell = catalogue.number(catalogue.space.parse(record.architecture))
        seeds = values[cell]
        seeds[record.seed if record.seed not in seeds else max(seeds) + 1] = held_out_accuracy(record)
    most = min(MOST_SEEDS, max(len(seeds) for seeds in values.values()))
    table = np.full((len(values), most), np.nan)
    for row, seeds in enumerate(values.values()):
        known = [seeds[s] for s in sorted(seeds)]
        table[row, : len(known[:most])] = known[:most]
    return Episode(
        features,
        recipe,
        np.array(list(values), dtype=np.int64),
        np.array([np.mean(list(seeds.values())) for seeds in values.values()]),
        table,
        family,
    )


def _features(entry: TaskEntry, *, images: Path | None, cache: Path | None) -> TaskFeatures | None:
    if "imagenet_classes" in entry.spec or entry.key == IMAGENET16:
        if images is None:
            return None
        classes = entry.spec.get("imagenet_classes") or range(1, 121)
        assert isinstance(classes, Iterable)
        return imagenet_features(
            [int(each) for each in classes],
            images,
            resolution=16 if entry.key == IMAGENET16 else 32,
            name=entry.name,
        )
    if "features" in entry.spec:
        return from_text(str(entry.spec["features"]), name=entry.name, source=entry.source, fingerprint=entry.key)
    if images is None or "source" not in entry.spec:
        return None
    return extract(build_task(TaskSpec.from_json(entry.spec), images), cache=cache)
