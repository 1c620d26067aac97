"""Are known tasks that are near by Fisher information better ones to begin a search with than those near by features?

    python scripts/nearest_by_fisher.py [TASKS]

Own measured tasks, each held out with its whole family: a known task tells as much as its accuracies rank the cells
that both have as the task itself does, and as its best cell is good there. Prints what the nearest by each distance
tells, beside a random one, with intervals over families; and what a search loses whose first trainings are the
nearest's best cells, or those that are recommended without the family. `recommend` names neighbours by the features
alone and `search` begins with what is recommended, and will until a row here is better than theirs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from databases.datasets.sampler import build_task
from databases.datasets.task import Task
from databases.records.episodes import NEVER_HELD_OUT, Episode
from metad2a.build.shipped import own_measured
from metad2a.recommend.model import load
from metad2a.reports.report import with_interval
from metad2a.reproduce.task_similarity.tasks import CHANNELS, SIDE, Job, compared
from metad2a.runtime.home import features_folder, images_folder
from predictors.metrics import bootstrap_interval, spearman

MOST_CLASSES, COMMON, SEED = 12, 10, 0  # classes of a task; cells that two tasks share at least
FIRST = 3  # trainings that a search begins with
RECIPE = "tiny"
EMBEDDING, RANDOM, RECOMMENDED = "features (as recommend)", "any other task (mean)", "recommended"
Values = npt.NDArray[np.float64]


def main(tasks: int) -> None:
    """Loads, compares and prints."""
    known = _known(tasks)
    apart = dict(compared(Job(SEED, tuple(task for _, task in known))))
    places = np.stack([episode.features.mean() for episode, _ in known])
    apart[EMBEDDING] = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
    own = [episode for episode, _ in known]
    judged, agreement, lost = _told(own, apart)
    families = [own[place].family for place in judged]
    print(f"{len(judged)} tasks of {len(set(families))} families, among {len(own)}")
    for name in agreement:
        rank, points = (bootstrap_interval(of[name], families).to_json() for of in (agreement, lost))
        saved = bootstrap_interval(np.subtract(lost[EMBEDDING], lost[name]), families).to_json()
        more = "" if name == EMBEDDING else f", saved {with_interval(saved)}"
        print(f"{name}: rank correlation {with_interval(rank)}, points lost {with_interval(points, '.2f')}{more}")
    begun = _begun(own, apart, judged)
    print(f"A search's best after {FIRST} trainings, behind the best measured cell:")
    for name, behind in begun.items():
        points = bootstrap_interval(behind, families).to_json()
        saved = bootstrap_interval(np.subtract(begun[RECOMMENDED], behind), families).to_json()
        more = "" if name == RECOMMENDED else f", saved {with_interval(saved)}"
        print(f"{name}: points lost {with_interval(points, '.2f')}{more}")


def _known(count: int) -> list[tuple[Episode, Task]]:
    """Measured tasks that can be held out, with their images in one size and three channels."""
    images = images_folder()
    found: list[tuple[Episode, Task]] = []
    for each, spec in own_measured(RECIPE, images=images, cache=features_folder()):
        if each.family in NEVER_HELD_OUT:
            continue
        if len(spec.classes) <= MOST_CLASSES and len(found) < count:
            task = build_task(spec, images).resized(SIDE)
            colour = task.images if task.channels == CHANNELS else np.repeat(task.images, CHANNELS, axis=3)
            found.append((each, replace(task, images=colour)))
    return found


def _told(
    own: Sequence[Episode], apart: Mapping[str, Values]
) -> tuple[list[int], dict[str, list[float]], dict[str, list[float]]]:
    """The judged tasks, and by each distance what the nearest of another family tells of them."""
    judged: list[int] = []
    agreement: dict[str, list[float]] = {name: [] for name in (*apart, RANDOM)}
    lost: dict[str, list[float]] = {name: [] for name in (*apart, RANDOM)}
    for target in range(len(own)):
        others = [i for i, each in enumerate(own) if each.family != own[target].family]
        told = {i: found for i in others if (found := _of(own[i], own[target])) is not None}
        if len(told) < 3:
            continue
        judged.append(target)
        for name, distance in apart.items():
            nearest = min(told, key=distance[:, target].__getitem__)
            agreement[name].append(told[nearest][0])
            lost[name].append(told[nearest][1])
        agreement[RANDOM].append(float(np.mean([each[0] for each in told.values()])))
        lost[RANDOM].append(float(np.mean([each[1] for each in told.values()])))
    return judged, agreement, lost


def _begun(own: Sequence[Episode], apart: Mapping[str, Values], judged: Sequence[int]) -> dict[str, list[float]]:
    """Points that the first trainings lose on each judged task, by what they are."""
    surrogate, random = load().surrogates[RECIPE], np.random.default_rng(SEED)
    behind: dict[str, list[float]] = {name: [] for name in (RECOMMENDED, *apart, "random cells")}
    for target in judged:
        task = own[target]
        process = surrogate.without(task.family)
        assert process is not None
        told = process.predict(task.features.statistics, task.cells).mean
        orders = {RECOMMENDED: np.argsort(-told), "random cells": random.permutation(len(task.cells))}
        others = [i for i, each in enumerate(own) if each.family != task.family and _of(each, task) is not None]
        for name, distance in apart.items():
            source = own[min(others, key=distance[:, target].__getitem__)]
            _, mine, theirs = np.intersect1d(source.cells, task.cells, return_indices=True)
            orders[name] = theirs[np.argsort(-source.accuracy[mine])]
        for name, order in orders.items():
            behind[name].append(float(task.accuracy.max() - task.accuracy[order[:FIRST]].max()))
    return behind


def _of(source: Episode, target: Episode) -> tuple[float, float] | None:
    """Rank correlation over the cells of both, and points that the source's best loses on the target; None: too few."""
    _, mine, theirs = np.intersect1d(source.cells, target.cells, return_indices=True)
    if len(mine) < COMMON:
        return None
    there, here = source.accuracy[mine], target.accuracy[theirs]
    return spearman(there, here), float(here.max() - here[there.argmax()])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", type=int, nargs="?", default=24)
    main(parser.parse_args().tasks)
