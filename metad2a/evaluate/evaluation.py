"""`metad2a evaluate`: the figures of a meta-model on held-out tasks, with the simple rivals beside them.

``final`` alone opens CIFAR-10 and MNIST, which no training, backbone or choice of model has seen. ``fast`` needs the
package alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from databases.architectures.space import finite_space
from databases.datasets.features import PLAIN, Kind, TaskFeatures, extract
from databases.datasets.imagenet import imagenet_features
from databases.datasets.sampler import TaskSpec, build_task
from databases.errors import Say, UserError
from databases.records.episodes import Episode, Known, episodes, own_episodes
from databases.records.record import utc_now
from databases.records.store import Store
from metad2a.build.shipped import HELD_BACK, fill
from metad2a.evaluate.ablations import ablations
from metad2a.evaluate.evaluation_report import write
from metad2a.evaluate.fast_evaluation import fast_figures
from metad2a.evaluate.final import final_check
from metad2a.evaluate.held_back import held_back_tasks, measure_held_back
from metad2a.evaluate.latency_evaluation import latency_figures
from metad2a.evaluate.own_figures import LEVEL_ERROR
from metad2a.evaluate.own_tasks import interval, naswot_scores, own_tasks
from metad2a.recommend.model import MetaD2A, load
from metad2a.retrain.held_out import leave_one_source_out, tau
from metad2a.retrain.may_teach import may_teach
from metad2a.retrain.meta_training import TABLES_FIRST, THEN_TASKS, fresh, meta_train
from metad2a.runtime.home import home, shared_data
from predictors.meta import MetaPredictor
from predictors.metrics import spearman
from predictors.scale import to_logit
from predictors.surrogates import learn_process

RECIPE = "tiny"  # of the own tasks


def backbones(
    model: MetaD2A,
    store: Store,
    known: Sequence[Episode],
    *,
    images: Path,
    cache: Path | None,
) -> dict[str, Any]:
    """What the trained backbone's features are worth, beside an untrained one's and plain image statistics."""
    found = {}
    for kind in get_args(Kind):
        own = [
            replace(each, features=own_features(store, each, images=images, cache=cache, kind=kind))
            for each in own_episodes(known, RECIPE)
        ]
        held_out = leave_one_source_out(learn_process(model.predictor, own), own)
        taus = [tau(each.mean, each.episode, np.isfinite(each.average)) for each in held_out]
        found[kind] = interval(taus, [each.episode.family for each in held_out])
        errors = [float(np.abs(to_logit(e.episode.accuracy).mean() - e.mean.mean())) for e in held_out]
        found[LEVEL_ERROR.format(kind)] = interval(errors, [e.episode.family for e in held_out])
    return found


def own_features(store: Store, episode: Episode, *, images: Path, cache: Path | None, kind: Kind) -> TaskFeatures:
    """An own task's features of another kind."""
    entry = store.task(episode.features.fingerprint)
    assert entry is not None
    probed = tuple(episode.features.statistics[len(PLAIN) :].tolist())
    return extract(build_task(TaskSpec.from_json(entry.spec), images), kind=kind, cache=cache, probed=probed)


def published_rows(model: MetaD2A, store: Store, known: Sequence[Episode], *, images: Path) -> dict[str, Any]:
    """Spearman on MetaD2A's validation rows of tasks without a training row: ours, and two controls.

    Every ImageNet class recurs in training, so a random vector a class scores about 0.78 there: these rows cannot
    show that a predictor reads images. The second control is retrained with the classes' images exchanged, the
    same way in every task.
    """
    trained = {r.task for r in store.records(recipe="metad2a") if not r.extra["published_split_valid"]}
    name_of = {entry.key: entry.name for entry in store.tasks(prefix="metad2a/")}
    seen = {name_of[key] for key in trained}
    training = [e for e in known if e.table or e.features.name in seen]
    test = [e for e in known if e.recipe == "metad2a" and e.features.name not in seen]
    more = replace(THEN_TASKS, single=16)
    found, blind = {}, None
    first = meta_train(fresh(model.predictor.config, seed=0), Known.of(known).tables, TABLES_FIRST, seed=0)
    for name, change in (("ours", None), ("classes' images exchanged", _exchange(store, images))):
        shown = training if change is None else [change(each) for each in training]
        asked = test if change is None else [change(each) for each in test]
        learnt = meta_train(copy.deepcopy(first), shown, more, seed=0)
        found[name] = _spearman(learnt, asked)
        blind = blind or learnt
    assert blind is not None
    blind.reads_dataset.zero_()
    found["architecture only"] = _spearman(blind, test)
    return {"spearman": found, "rows": sum(len(e.cells) for e in test)}


def _exchange(store: Store, images: Path) -> Callable[[Episode], Episode]:
    """Shows each ImageNet class by the images of another, the same one in every task."""
    other = np.random.default_rng(600).permutation(600) + 1
    classes = {e.name: e.spec["imagenet_classes"] for e in store.tasks(prefix="metad2a/")}

    def change(episode: Episode) -> Episode:
        if episode.recipe != "metad2a":
            return episode
        given = classes[episode.features.name]
        assert isinstance(given, list)
        numbers = [int(other[int(each) - 1]) for each in given]
        features = imagenet_features(numbers, images, resolution=32, name=episode.features.name)
        return replace(episode, features=features)

    return change


def _spearman(model: MetaPredictor, test: Sequence[Episode]) -> float:
    classes = finite_space(model.config.space).classes
    pairs = [(model.predict(e.features, [classes[i] for i in e.cells], recipe=e.recipe).mean, e.accuracy) for e in test]
    return spearman(np.concatenate([p for p, _ in pairs]), np.concatenate([a for _, a in pairs]))


def evaluate(
    *,
    final: bool = False,
    fast: bool = False,
    output: Path | None = None,
    on_progress: Say = lambda line: None,
) -> dict[str, Any]:
    """All figures of the shipped meta-model on the shipped records and the development tables.

    Args:
        final: open CIFAR-10 and MNIST too.
        fast: only what the package itself holds, in a minute.
        output: folder for ``evaluation.json``, ``.md``, ``.png`` and ``.svg``; of the fast mode ``evaluation-fast``.
        on_progress: is told what is being done.

    Raises:
        UserError: the development data are not there, both modes are asked for, or ``output`` cannot be written.
    """
    if final and fast:
        raise UserError("given --final and --fast; the final check needs every figure: give one of them")
    model = load()
    figures: dict[str, Any] = {"weights": model.weights, "date": utc_now(), "fast": fast}
    figures |= fast_figures(model, RECIPE, on_progress) if fast else _all_figures(model, final, on_progress)
    if output is not None:
        on_progress(f"Written: {', '.join(write(figures, output))} in {output}")
    return figures


def _all_figures(model: MetaD2A, final: bool, say: Say) -> dict[str, Any]:
    data, folder = shared_data(), home() / "evaluation"
    images, cache = data / "images", folder / "features"
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    with Store(folder / "database.db") as store:
        say("reading the shipped records and the tables")
        fill(store, data)
        known = episodes(store, images=images, usable=may_teach, cache=cache)
        say("leave one source out")
        own = own_episodes(known, RECIPE)
        held_out = leave_one_source_out(learn_process(model.predictor, own), own)
        naswot = naswot_scores(store, own, images=images, cache=folder, recipe=RECIPE)
        figures["own tasks"] = own_tasks(held_out, own, naswot).to_json()
        say("ablations")
        figures["ablations"] = ablations(model.predictor, own)
        figures["backbones"] = backbones(model, store, known, images=images, cache=cache)
        say("MetaD2A's rows")
        figures["MetaD2A rows"] = published_rows(model, store, known, images=images)
        say("devices")
        figures["latency"] = latency_figures(data / "nasbench201")
        if final:
            say("final check: opening CIFAR-10")
            figures["final"] = final_check(model, store, data=data, cache=cache, on_progress=say)
            say("final check: own tasks on CIFAR-10 and MNIST")
            figures["final"]["own tasks"] = _held_back(model, own, images, folder, cache, say)
    return figures


def _held_back(
    model: MetaD2A, own: Sequence[Episode], images: Path, folder: Path, cache: Path, say: Say
) -> dict[str, Any]:
    """The own tasks on held-back images: shipped measurements, or made now, in a database of their own."""
    with Store(folder / "held_back.db") as store:
        if HELD_BACK.is_file():
            store.import_csv(HELD_BACK)
        measure_held_back(store, images, recipe=RECIPE, on_progress=say)
        found = held_back_tasks(model, store, own, images=images, cache=cache, recipe=RECIPE)
    return {name: each.to_json() for name, each in found.items()}
