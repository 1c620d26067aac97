"""Tasks whose candidates were all measured, with what a meta-model that never saw the task predicts of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, finite_space
from databases.datasets.features import extract
from databases.datasets.imagenet import imagenet_features
from databases.datasets.loading import load_task
from databases.datasets.sampler import TaskSpec, build_task
from databases.records.episodes import NEVER_HELD_OUT, episodes
from databases.records.importers.nasbench201 import CIFAR10, IMAGENET16, SPACE
from databases.records.importers.tables import import_metad2a
from databases.records.recipe import RECIPES
from databases.records.record import PUBLISHED_MEAN, Record, TaskEntry
from databases.records.store import Store
from metad2a.build.shipped import add_measurements
from metad2a.recommend.model import MetaD2A
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.held_out_tasks import is_judged, repeated
from metad2a.retrain.may_teach import may_teach
from metad2a.retrain.meta_training import Schedule, fresh, meta_train
from metad2a.search.controllers.training_free import published_naswot
from predictors.embedding import Embedding
from predictors.scale import sampling_noise, to_percent
from predictors.zero_cost import zero_cost

Values = npt.NDArray[np.float64]
PUBLISHED, OWN = "nasbench201", "tiny"
# Without IMAGENET16's table: MetaD2A's rows alone, one architecture or two a task.
ROWS_ALONE = Schedule(steps=600, learning_rate=3e-3, cells=0, single=32)


@dataclass(frozen=True, eq=False)
class World:
    """One task over n candidates: the canonical classes that were measured.

    Attributes:
        valid: (n, seeds) validation accuracies of single trainings, NaN where missing.
        test: (n,) means over the seeds. best: the highest test accuracy of all that was measured.
        prior: (n,) predicted. embeddings: (n, d). flops: (n,).
        naswot: (n,) scores, None where there are none. source: of the images.
        noise: of one training's logit accuracy, as predicted; None where that is not known.
    """

    task: str
    source: str
    cells: tuple[Architecture, ...]
    valid: Values
    test: Values
    best: float
    prior: Values
    embeddings: Values
    flops: Values
    naswot: Values | None
    noise: float | None = None

    def ranked(self) -> World:
        """The same with the most promising first."""
        order = np.argsort(-self.prior, kind="stable")
        columns = ("valid", "test", "prior", "embeddings", "flops")
        sorted_columns = {name: getattr(self, name)[order] for name in columns}
        naswot = None if self.naswot is None else self.naswot[order]
        return replace(self, cells=tuple(self.cells[i] for i in order), naswot=naswot, **sorted_columns)

    def noisy(self, seed: int) -> Values:
        """(n,) what one training of each cell shows: for each one of its seeds."""
        order = np.random.default_rng([seed, 3]).random(self.valid.shape)
        chosen = np.where(np.isfinite(self.valid), order, -1.0).argmax(axis=1)
        shown: Values = self.valid[np.arange(len(chosen)), chosen]
        return shown


def cifar10(model: MetaD2A, context: Context) -> World:
    """CIFAR-10's table, which no weights have seen."""
    features = extract(load_task(context.image_source("cifar10"), as_stored=True))
    chosen = finite_space(SPACE)
    prior = model.score(features, chosen.classes, recipe=PUBLISHED).mean
    return _table_world(CIFAR10, prior, model.embed(chosen.classes), context)


def imagenet16(model: MetaD2A, context: Context) -> World:
    """ImageNet16-120's table, by a predictor that learnt from MetaD2A's rows alone: the shipped one knows the table."""
    images = context.image_source("imagenet1k_one_each").parent
    with TemporaryDirectory() as folder, Store(Path(folder) / "rows.db") as store:
        import_metad2a(store, images.parent / "nasbench201")
        known = episodes(store, images=images, usable=may_teach)
    context.say(f"meta-training without ImageNet16-120's table, on {len(known):,} tasks")
    blind = meta_train(fresh(model.predictor.config, seed=context.seed), known, ROWS_ALONE, seed=context.seed)
    features = imagenet_features(range(1, 121), images, resolution=16, name=IMAGENET16)
    chosen = finite_space(SPACE)
    prior = blind.predict(features, chosen.classes, recipe="metad2a").mean
    return _table_world(IMAGENET16, prior, Embedding.of_space(blind)(np.arange(len(chosen.classes))), context)


def own_tasks(model: MetaD2A, context: Context, *, most: int) -> list[World]:
    """The judged own tasks, from the shipped records; what predicts one never saw its source."""
    with TemporaryDirectory() as folder, Store(Path(folder) / "own.db") as store:
        add_measurements(store)
        entries = {entry.key: entry for entry in store.tasks()}
        records: dict[str, list[Record]] = defaultdict(list)
        for record in store.records(recipe=OWN):
            records[record.task].append(record)
    found = (_own_world(model, entries[task], of_task, context) for task, of_task in sorted(records.items()))
    return list(islice((each for each in found if each is not None), most))


def _table_world(task: str, prior: Values, embeddings: Values, context: Context) -> World:
    chosen, table = finite_space(SPACE), context.table(task)
    rows = table.rows(chosen.classes)
    valid = table.valid[rows, None]
    with Store(context.database or "") as store:
        single = [each for each in store.records(task=task, recipe=PUBLISHED) if each.seed != PUBLISHED_MEAN]
    if single:
        valid = _by_seed(chosen.classes, single)
    naswot = published_naswot(None if context.images is None else context.images.parent, task)
    scores = np.array([naswot.get(str(each), -np.inf) for each in chosen.classes]) if naswot else None
    flops, best = _flops(chosen.classes, PUBLISHED), float(table.test.max())
    return World(task, task, chosen.classes, valid, table.test[rows], best, prior, embeddings, flops, scores).ranked()


def _own_world(model: MetaD2A, entry: TaskEntry, records: Sequence[Record], context: Context) -> World | None:
    """An own task whose cells were measured under several seeds and whose source can be held out; else None."""
    known, chosen = model.surrogates[OWN], finite_space(SPACE)
    cells = tuple(chosen.parse(text) for text in sorted({each.architecture for each in records}))
    valid = _by_seed(cells, records)
    process = known.without(entry.source)
    if not is_judged(valid) or entry.source in NEVER_HELD_OUT or entry.name not in known.names:
        return None
    rows = np.flatnonzero(repeated(valid))
    kept = tuple(cells[row] for row in rows)
    test = np.nanmean(_by_seed(kept, records, test=True), axis=1)
    assert process is not None
    statistics = known.process.tasks[known.names.index(entry.name)].statistics
    numbers = np.array([chosen.class_number(each) for each in kept])
    prior, embeddings = process.predict(statistics, numbers).mean, model.embed(kept)
    scores, flops, best = _naswot(entry, kept, context), _flops(kept, OWN), float(test.max())
    images = int(max(each.extra.get("valid_images", 0) for each in records))
    noise = float(np.hypot(process.seed_noise(statistics), sampling_noise(float(to_percent(prior.max())), images)))
    found = World(entry.name, entry.source, kept, valid[rows], test, best, prior, embeddings, flops, scores, noise)
    return found.ranked()


def _flops(cells: Sequence[Architecture], recipe: str) -> Values:
    given = RECIPES[recipe]
    skeleton = given.skeleton(input_channels=3, classes=10)
    chosen = finite_space(SPACE)
    return np.array([chosen.flops(each, skeleton, resolution=given.resolution) for each in cells], dtype=np.float64)


def _by_seed(cells: Sequence[Architecture], records: Iterable[Record], *, test: bool = False) -> Values:
    """(n, seeds) accuracies of single trainings, NaN where missing."""
    found: dict[str, list[float]] = defaultdict(list)
    for each in records:
        value = each.test_accuracy if test else each.valid_accuracy
        if value is not None:
            found[each.architecture].append(value)
    most = max((len(found[str(each)]) for each in cells), default=0)
    rows = [found[str(each)] + [np.nan] * (most - len(found[str(each)])) for each in cells]
    return np.array(rows, dtype=np.float64)


def _naswot(entry: TaskEntry, cells: Sequence[Architecture], context: Context) -> Values | None:
    """Our own scores on the task's images; None where these are not at hand, or time is short."""
    spec, recipe = TaskSpec.from_json(entry.spec), RECIPES[OWN]
    if context.fast or context.images is None or not (context.images / f"{spec.source}.npz").is_file():
        return None
    task = build_task(spec, context.images)
    skeleton = recipe.skeleton(input_channels=task.channels, classes=task.classes)
    found = zero_cost(task, cells, skeleton=skeleton, resolution=recipe.resolution, batch=32, flow=False)
    return np.asarray(found["naswot"], dtype=np.float64)
