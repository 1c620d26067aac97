"""Would shared weights, trained on a user's images, rank cells better than the recommendation does?

    python scripts/refine_one_shot.py [FAMILIES] [STEPS]

One own measured task a family. The recommendation is that of a surrogate without the family; shared weights of
NAS-Bench-201's cells are trained on the task's training images by random children and score its validation images.
Prints Kendall's tau of each, and of their mean rank, with the measured accuracies. There is no `--refine one-shot`:
it was to come only if it ranked better here.
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from databases.architectures.space import shared_space
from databases.datasets.sampler import build_task
from databases.datasets.task import TRAIN, VALIDATION, Task
from databases.hosting import lent
from databases.records.episodes import Episode, held_out_families
from metad2a.build.shipped import own_measured
from metad2a.recommend.model import load
from metad2a.reports.report import paired, with_interval
from metad2a.runtime.home import features_folder, images_folder
from metad2a.supernets.training import SharedRecipe, labelled, new_supernet, train_supernet
from predictors.metrics import kendall_tau
from predictors.one_shot import OneShot

RECIPE, SPACE = "tiny", "nasbench201"
Values = npt.NDArray[np.float64]


@lent(threads=1)
def main(families: int, steps: int) -> None:
    """Compares on one task a family and prints."""
    model = load()
    taus: dict[str, list[float]] = {"recommendation": [], "shared weights": [], "mean of both ranks": []}
    for episode, task in _tasks(families):
        process = model.surrogates[RECIPE].without(episode.family)
        assert process is not None
        told = process.predict(episode.features.statistics, episode.cells).mean
        seen = _shared(episode, task, steps)
        both = rankdata(told) + rankdata(seen)
        for name, each in zip(taus, (told, seen, both), strict=True):
            taus[name].append(kendall_tau(each, episode.accuracy))
        print(f"{task.name}: " + ", ".join(f"{name} {of[-1]:+.2f}" for name, of in taus.items()), flush=True)
    for name, of in taus.items():
        above = with_interval(paired(of, taus["recommendation"]))
        print(f"{name}: tau {np.mean(of):+.2f}, above the recommendation {above}")


def _tasks(count: int) -> list[tuple[Episode, Task]]:
    """The first measured task of each family that can be held out, with its images."""
    images = images_folder()
    own = own_measured(RECIPE, images=images, cache=features_folder())
    families = held_out_families([each for each, _ in own])[:count]
    first = [next(each for each in own if each[0].family == family) for family in families]
    return [(each, build_task(spec, images)) for each, spec in first]


def _shared(episode: Episode, task: Task, steps: int) -> Values:
    """(cells,) accuracies by shared weights."""
    space, recipe = shared_space(SPACE), SharedRecipe(steps=steps, learning_rate=0.1, augment=True)
    train_part, valid = (labelled(task, part, recipe.resolution) for part in (TRAIN, VALIDATION))
    supernet = new_supernet(space, recipe.skeleton(task), seed=0)
    train_supernet(supernet, space, train_part, recipe=recipe)
    classes = load().predictor_space.classes
    return OneShot(space, supernet, valid.images, valid.labels).predict([classes[i] for i in episode.cells])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", type=int, nargs="?", default=8)
    parser.add_argument("steps", type=int, nargs="?", default=1_000)
    asked = parser.parse_args()
    main(asked.families, asked.steps)
