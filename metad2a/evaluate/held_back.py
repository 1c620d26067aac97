"""Own measurements on the held-back images, CIFAR-10 and MNIST: made and looked at by the final check alone.

They lie in a database of their own, so that no training and no choice of model can meet them. MNIST's digits recur in
MNIST-M, an own source: its figures stand with and without such relatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from databases.architectures.spaces.nasbench201_core import CORE
from databases.datasets.sampler import TaskSpec, build_task, family
from databases.errors import Say
from databases.records.episodes import Episode, episodes
from databases.records.store import Store
from metad2a.build.build import Measurement, entry, measure
from metad2a.evaluate.final_figures import HeldBack
from metad2a.evaluate.own_tasks import ceiling
from metad2a.recommend.model import MetaD2A
from metad2a.retrain.held_out import conformal_factors, leave_one_source_out, tau
from metad2a.retrain.may_teach import may_teach
from metad2a.runtime.executors import processes as executor
from predictors.metrics import regret
from predictors.rivals import best_on_average, copied_ranking, level_and_gain, parameters_of
from predictors.scale import to_logit, to_percent
from predictors.surrogates import learn_process

SPECS = (TaskSpec("cifar10", tuple(range(10)), 96), TaskSpec("mnist", tuple(range(10)), 96))
RELATIVE = {"cifar10": "cifar10", "mnist": family("mnist_m")}  # the family of known tasks to leave out beside it
SEEDS = 3


def measure_held_back(store: Store, images: Path, *, recipe: str, on_progress: Say = lambda line: None) -> None:
    """Measures the common core on both tasks under three seeds, as far as ``store`` lacks it."""
    tasks = {spec: build_task(spec, images) for spec in SPECS}
    for spec, task in tasks.items():
        store.add_task(entry(task, spec))
    known = {(key.task, key.architecture, key.seed) for key in store.keys(recipe=recipe)}
    jobs = [Measurement(spec, images, cell, recipe, s) for s in range(SEEDS) for spec in SPECS for cell in CORE]
    todo = [each for each in jobs if (tasks[each.spec].fingerprint, each.architecture, each.seed) not in known]
    for done, record in enumerate(executor.run(measure, todo, workers=2), start=1):
        store.add([record])
        if done % 20 == 0:
            on_progress(f"{done} of {len(todo)} trainings on CIFAR-10 and MNIST")


def held_back_tasks(
    model: MetaD2A, store: Store, own: Sequence[Episode], *, images: Path, cache: Path | None, recipe: str
) -> dict[str, HeldBack]:
    """Tau, regrets, error of the level and coverage on both tasks, ours and the rivals'.

    ``own`` are the known own tasks. MNIST has relatives among them: its figures stand with and without these.
    """
    found: dict[str, HeldBack] = {}
    for episode in episodes(store, images=images, usable=may_teach, cache=cache):
        if episode.recipe != recipe:
            continue
        source = episode.features.source
        strangers = [each for each in own if each.family != RELATIVE[source]]
        found[source] = _figures(model, episode, strangers)
        if len(strangers) < len(own):
            found[f"{source}, relatives known"] = _figures(model, episode, own)
    return found


def _figures(model: MetaD2A, episode: Episode, known: Sequence[Episode]) -> HeldBack:
    process = learn_process(model.predictor, known)
    factors = conformal_factors(leave_one_source_out(process, known))
    ours = process.predict(episode.features.statistics, episode.cells)
    average = best_on_average(known)
    rankings = {
        "ours": ours.mean,
        "best on average": np.array([average.get(cell, np.nan) for cell in episode.cells.tolist()]),
        "nearest task's": copied_ranking(episode, known),
        "parameters": parameters_of(episode),
    }
    residual = np.abs(to_logit(episode.accuracy) - ours.mean)
    whole = {name: values for name, values in rankings.items() if np.isfinite(values).all()}
    return HeldBack(
        tau={name: tau(values, episode) for name, values in rankings.items()} | {"noise ceiling": ceiling(episode)},
        first_pick={name: regret(values, episode.accuracy) for name, values in whole.items()},
        predicted=float(np.median(to_percent(ours.mean))),
        measured=level_and_gain(episode)[0],
        coverage={percent: float((residual <= factor * ours.std).mean()) for percent, factor in factors.items()},
    )
