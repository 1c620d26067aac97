"""Other model families and parts of ours, each judged by leave-one-source-out like the model that is shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.datasets.features import PLAIN, STATISTICS
from databases.records.episodes import NEVER_HELD_OUT, Episode
from metad2a.evaluate.own_figures import REGRETS
from metad2a.evaluate.own_tasks import FEWEST_JUDGED, ceiling, interval, regret_of_best
from predictors.embedding import Embedding
from predictors.meta import MetaPredictor
from predictors.metrics import kendall_tau, regret
from predictors.rivals import TREES, best_on_average, graph_features, units
from predictors.surrogates import KERNEL, PROBED, measured
from predictors.task_process import Kernel, TaskProcess

Values = npt.NDArray[np.float64]
Ranking = Callable[[Episode], Values]  # an unseen task -> (n,) scores of its cells
Learner = Callable[[Sequence[Episode]], Ranking]  # from the known tasks
RANK, RIDGE = 8, 30.0


def ablations(model: MetaPredictor, own: Sequence[Episode], *, every: int = 1) -> dict[str, Any]:
    """Tau inside held-out own tasks (all; and those with a noise ceiling of 0.4 or more) and regrets of each variant.

    Regrets are on all tasks, in points. With ``every`` only one source of so many is held out.
    """
    embed = Embedding.of_space(model)
    sources = sorted({each.family for each in own} - set(NEVER_HELD_OUT))[::every]
    judged = [each for each in own if each.family in sources]
    clear = [ceiling(each) >= FEWEST_JUDGED for each in judged]
    families = [each.family for each in judged]
    found = {}
    for name, learner in _variants(embed).items():
        shown: dict[int, dict[str, float]] = {}
        for family in sources:
            others = [each for each in own if each.family != family]
            rank, average = learner(others), best_on_average(others)
            for i, task in enumerate(judged):
                if task.family == family:
                    among = np.array([cell in average for cell in task.cells.tolist()])
                    shown[i] = _shown(rank(task)[among], task.accuracy[among])
        values = {kind: [shown[i][kind] for i in range(len(judged))] for kind in ("tau", *REGRETS)}
        sure = [i for i, each in enumerate(clear) if each]
        found[name] = {
            "all": interval(values["tau"], families),
            "judged": interval([values["tau"][i] for i in sure], [families[i] for i in sure]),
            **{kind: interval(values[kind], families) for kind in REGRETS},
        }
    return found


def _shown(scores: Values, accuracy: Values) -> dict[str, float]:
    """What a ranking is worth on the cells of one task: tau, and regrets in points."""
    return {
        "tau": kendall_tau(scores, accuracy),
        "first pick": regret(scores, accuracy),
        "best of three": regret_of_best(scores, accuracy, 3),
    }


def _variants(embed: Embedding) -> dict[str, Learner]:
    def looks_at(*names: str) -> Kernel:
        return replace(KERNEL, looks_at=tuple(STATISTICS.index(name) for name in names))

    kernels = {
        "process, probes and pixels' landmark, as shipped": KERNEL,
        "process, probes": replace(KERNEL, looks_at=PROBED),
        "process, pixels' landmark": looks_at("pixel_accuracy"),
        "process, no dataset": replace(KERNEL, product=0.0),
        "process, features' landmarks": looks_at("feature_accuracy", "feature_margin"),
        "process, features' and pixels' landmarks": looks_at("feature_accuracy", "feature_margin", "pixel_accuracy"),
        "process, pixels' and shape": looks_at("pixel_accuracy", "shape_accuracy"),
        "process, colour, texture, shape": looks_at("colour_accuracy", "texture_accuracy", "shape_accuracy"),
        "process, all landmarks": looks_at(*(name for name in PLAIN if name.endswith(("_accuracy", "_margin")))),
        "process, images and classes": looks_at("log_train_images", "log_classes", "log_images_a_class"),
        "process, all statistics but the probes": looks_at(*PLAIN),
        "process, all statistics": looks_at(*STATISTICS),
        "process, no effect of a single cell": replace(KERNEL, own=1e-6),
    }
    return {
        **{name: _process(embed, kernel) for name, kernel in kernels.items()},
        "process, half of the tasks": _process(embed, KERNEL, every=2),
        "low rank, task statistics x cell embedding": _low_rank(embed),
        "forest on statistics and graph": _forest,
        "three nearest tasks": _nearest(embed),
    }


def _process(embed: Embedding, kernel: Kernel, *, every: int = 1) -> Learner:
    def learn(known: Sequence[Episode]) -> Ranking:
        process = TaskProcess([measured(each) for each in known[::every]], embed, kernel)
        return lambda task: process.predict(task.features.statistics, task.cells).mean

    return learn


def _low_rank(embed: Embedding) -> Learner:
    """Ridge regression on the products of task statistics and the main directions of the cells' embedding."""
    from sklearn.linear_model import Ridge

    def learn(known: Sequence[Episode]) -> Ranking:
        given = np.array([each.features.statistics for each in known], dtype=np.float64)
        center, spread = given.mean(0), given.std(0) + 1e-6
        vectors = [embed(each.cells) for each in known]
        directions = np.linalg.svd(np.concatenate(vectors), full_matrices=False)[2][:RANK].T

        def inputs(each: Episode, cells: Values) -> Values:
            about = np.append(np.clip((each.features.statistics - center) / spread, -2, 2), 1.0)
            products: Values = ((cells @ directions)[:, :, None] * about).reshape(len(cells), -1)
            return products

        x = np.concatenate([inputs(each, cells) for each, cells in zip(known, vectors, strict=True)])
        y = np.concatenate([units(each) for each in known])
        ridge = Ridge(alpha=RIDGE, fit_intercept=False).fit(x, y)
        return lambda task: np.asarray(ridge.predict(inputs(task, embed(task.cells))))

    return learn


def _forest(known: Sequence[Episode]) -> Ranking:
    from sklearn.ensemble import RandomForestRegressor

    def inputs(each: Episode) -> Values:
        cells = graph_features(each)
        return np.concatenate([cells, np.tile(each.features.statistics, (len(cells), 1))], axis=1)

    forest = RandomForestRegressor(TREES, min_samples_leaf=3, random_state=0)
    forest.fit(np.concatenate([inputs(each) for each in known]), np.concatenate([units(each) for each in known]))
    return lambda task: np.asarray(forest.predict(inputs(task)))


def _nearest(embed: Embedding) -> Learner:
    """A process over the three tasks with the most similar statistics alone, all counted alike."""

    def learn(known: Sequence[Episode]) -> Ranking:
        given = np.array([each.features.statistics for each in known], dtype=np.float64)

        def rank(task: Episode) -> Values:
            apart = (((given - task.features.statistics) / (given.std(0) + 1e-6)) ** 2).sum(1)
            near = [measured(known[i]) for i in np.argsort(apart)[:3]]
            process = TaskProcess(near, embed, replace(KERNEL, average=1.0, product=0.0))
            return process.predict(task.features.statistics, task.cells).mean

        return rank

    return learn
