"""The final check: rank figures on CIFAR-10's published table, made by `metad2a evaluate --final` and logged.

`reproduce` and `compare` show searches on the same table; nothing is chosen by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, finite_space
from databases.datasets.features import TaskFeatures, extract
from databases.datasets.loading import load_task
from databases.errors import Say, UserError
from databases.records.benchmark_table import read_table
from databases.records.episodes import Episode, Known, episodes
from databases.records.importers.nasbench201 import CIFAR10, IMAGENET16, RECIPE, SPACE
from databases.records.importers.tables import read_zero_cost
from databases.records.store import Store
from metad2a.evaluate.few_measurements import few_measurements
from metad2a.evaluate.final_figures import OTHER, RIGHT, Drawn, GeneratorFigures
from metad2a.generate.generator import Generator
from metad2a.recommend.model import MetaD2A
from metad2a.retrain.may_teach import may_teach
from metad2a.retrain.meta_training import TABLES_FIRST, THEN_TASKS, fresh, meta_train, remember
from predictors.metrics import kendall_tau, percentiles, regret
from predictors.rivals import TREES, cell_features
from predictors.scale import to_logit

Values = npt.NDArray[np.float64]
SEEDS = 5  # of meta-training; the first is that of the shipped model


def final_check(
    model: MetaD2A,
    store: Store,
    *,
    data: Path,
    cache: Path | None,
    on_progress: Say = lambda line: None,
) -> dict[str, Any]:
    """Rank of all 15,625 cells of CIFAR-10 by ours and by the rivals, what measured ones add, the generator's draws.

    ``data`` holds ``images`` and ``nasbench201``. Accuracies are the published test means after 200 epochs.
    """
    truth = store.values(CIFAR10, RECIPE, metric="test_accuracy")
    if not truth:
        raise UserError("the database lacks CIFAR-10's table: run `metad2a database import nasbench201 FILE` first")
    chosen = finite_space(SPACE)
    cells = [chosen.parse(text) for text in truth]
    accuracy = np.array(list(truth.values()))
    task = extract(load_task(data / "images" / "cifar10.npz", as_stored=True), cache=cache)
    known = episodes(store, images=data / "images", usable=may_teach, cache=cache)
    ours = [_order(model, task, cells)]
    plain = _numbered(model.predictor.predict(task, finite_space(SPACE).classes, recipe=RECIPE).mean, cells)
    for seed in range(1, SEEDS):
        on_progress(f"meta-training seed {seed} of {SEEDS - 1}")
        ours.append(_order(_meta_train(model, known, seed), task, cells))
    zero_cost = read_zero_cost(data / "nasbench201")[CIFAR10]
    variants = {
        "ours, mean of all meta-trainings": np.mean(ours, axis=0),
        "ours, without the memory of ImageNet16-120's table": plain,
        "forest fitted on ImageNet16-120's table": _forest(store, cells),
    }
    rivals = variants | _rivals(store, zero_cost, list(truth), cells)
    taus = [kendall_tau(each, accuracy) for each in ours]
    return {
        "cells": len(cells),
        "tau ours": {"median": float(np.median(taus)), "range": [min(taus), max(taus)], "seeds": taus},
        "tau": {name: kendall_tau(values, accuracy) for name, values in rivals.items()},
        "mean regret of the top 10": {
            "ours": _spread([regret(each, accuracy, top=10) for each in ours]),
            **{name: regret(values, accuracy, top=10) for name, values in rivals.items()},
        },
        "few measurements": _few(model, store, task, zero_cost),
        "generator": generator_figures(model.generator, task, known, cells, accuracy).to_json(),
    }


def _few(
    model: MetaD2A, store: Store, task: TaskFeatures, zero_cost: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    classes = finite_space(SPACE).classes
    prior = model.score(task, classes, recipe=RECIPE).mean
    orders = np.stack([model.score(task, classes, recipe=each).mean for each in model.header["tasks"]], axis=1)
    table = read_table(store, CIFAR10, recipe=RECIPE)
    return few_measurements(table, prior, model.embed(classes), zero_cost, orders)


def generator_figures(
    generator: Generator,
    task: TaskFeatures,
    known: Sequence[Episode],
    cells: Sequence[Architecture],
    accuracy: Values,
) -> GeneratorFigures:
    """What 500 draws are worth: validity, percentiles, uniqueness, novelty, and the right z against others.

    ``accuracy`` (n,) is that of the ``cells``, in percent.
    """
    import torch

    number, chosen = {cell: i for i, cell in enumerate(cells)}, finite_space(SPACE)
    stranger = next(each.features for each in known if each.recipe == "metad2a")
    latents = {
        RIGHT: generator.latent(task, recipe=RECIPE),
        OTHER: generator.latent(stranger, recipe="metad2a"),
        "zero z": torch.zeros(generator.config.latent),
    }
    ranks = percentiles(accuracy, accuracy)
    drawn = {name: generator.generate(z, 500, seed=0) for name, z in latents.items()}
    picked = {name: np.array([number[each] for each in found]) for name, found in drawn.items()}
    rng = np.random.default_rng(0)
    picked["random"] = rng.integers(len(cells), size=500)
    trained = _trained_on(known)
    right = drawn[RIGHT]
    return GeneratorFigures(
        valid=sum(each in number for each in right) / len(right),
        unique=len(set(right)) / len(right),
        novel=sum(chosen.class_number(each) not in trained for each in set(right)) / len(set(right)),
        drawn={
            name: Drawn(
                percentile=float(ranks[found[:100]].mean()),
                accuracy=float(accuracy[found].mean()),
                of_ten=float(np.mean([accuracy[found[i : i + 10]].max() for i in range(0, 500, 10)])),
                of_hundred=float(np.mean([accuracy[found[i : i + 100]].max() for i in range(0, 500, 100)])),
            )
            for name, found in picked.items()
        },
    )


def _trained_on(known: Sequence[Episode]) -> set[int]:
    """Classes among each task's measured best, which the generator was shown."""
    from metad2a.generate.lessons import GOOD

    return {int(cell) for each in Known.of(known).tables for cell in each.cells[np.argsort(-each.accuracy)[:GOOD]]}


def _order(model: MetaD2A, task: TaskFeatures, cells: Sequence[Architecture]) -> Values:
    """Predicted logit accuracy of every cell; each canonical class is encoded once."""
    return _numbered(model.score(task, finite_space(SPACE).classes, recipe=RECIPE).mean, cells)


def _numbered(scores: Values, cells: Sequence[Architecture]) -> Values:
    """Scores of the classes -> of cells."""
    chosen = finite_space(SPACE)
    return np.array([scores[chosen.class_number(cell)] for cell in cells])


def _forest(store: Store, cells: Sequence[Architecture]) -> Values:
    """What a random forest (Breiman, 2001) on graph features says that learnt from ImageNet16-120's column."""
    from sklearn.ensemble import RandomForestRegressor

    column = store.values(IMAGENET16, RECIPE, metric="test_accuracy")
    values = to_logit([column[str(each)] for each in cells])
    inputs = cell_features(cells)
    found: Values = RandomForestRegressor(TREES, min_samples_leaf=3, random_state=0).fit(inputs, values).predict(inputs)
    return found


def _meta_train(model: MetaD2A, known: Sequence[Episode], seed: int) -> MetaD2A:
    tables = Known.of(known).tables
    first = meta_train(fresh(model.predictor.config, seed=seed), tables, TABLES_FIRST, seed=seed)
    rest = [each for each in known if each.recipe != model.header["recipe"]]
    learnt = meta_train(first, rest, THEN_TASKS, seed=seed)
    return MetaD2A(learnt, model.generator, model.known, model.header, "", memory=remember(learnt, tables))


def _rivals(
    store: Store, zero_cost: Mapping[str, Mapping[str, float]], texts: Sequence[str], cells: Sequence[Architecture]
) -> dict[str, Values]:
    copied = store.values(IMAGENET16, RECIPE, metric="test_accuracy")
    naswot = zero_cost["naswot"]
    skeleton = _published_skeleton()
    chosen = finite_space(SPACE)
    lowest = min(value for value in naswot.values() if np.isfinite(value))
    return {
        "copying ImageNet16-120": np.array([copied[text] for text in texts]),
        "parameters": np.array([chosen.parameters(cell, skeleton) for cell in cells], dtype=np.float64),
        "naswot (published)": np.array([max(naswot.get(text, lowest), lowest) for text in texts]),
    }


def _published_skeleton() -> Any:
    from databases.architectures.skeleton import Skeleton

    return Skeleton(16, 5, 3, 10)


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {"median": float(np.median(values)), "range": [min(values), max(values)]}
