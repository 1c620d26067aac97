"""What it costs and saves that `recommend` puts the cheapest of cells first that nobody can tell from the best.

    python scripts/cheapest_equal.py

Own measured tasks, each held out with its whole family: the cell expected to be best, and the cheapest of those within
`EQUAL` of one training's noise of it, both among the measured cells. Prints the regret of each, their paired difference
and the multiply-adds saved, with 95% intervals over families. Needs the development data.
"""

from __future__ import annotations

import argparse

import numpy as np

from databases.records.episodes import NEVER_HELD_OUT
from databases.records.recipe import RECIPES
from metad2a.build.shipped import own_measured
from metad2a.recommend.model import load
from metad2a.runtime.home import features_folder, images_folder
from predictors.gain import cheapest_equal_first
from predictors.metrics import bootstrap_interval
from predictors.scale import to_percent

RECIPE = "tiny"


def main() -> None:
    """Judges and prints."""
    model, recipe = load(), RECIPES[RECIPE]
    space, surrogate = model.predictor_space, model.surrogates[RECIPE]
    rows, families = [], []
    for episode, spec in own_measured(RECIPE, images=images_folder(), cache=features_folder()):
        process = None if episode.family in NEVER_HELD_OUT else surrogate.without(episode.family)
        if process is None:
            continue
        statistics, measured = episode.features.statistics, episode.accuracy
        expected = to_percent(process.predict(statistics, episode.cells).mean)
        skeleton = recipe.skeleton(input_channels=1 if spec.grey else 3, classes=len(spec.classes))
        cells = [space.classes[number] for number in episode.cells]
        flops = np.array([space.flops(each, skeleton, resolution=recipe.resolution) for each in cells])
        noise = process.seed_noise_in_points(statistics)
        best, cheap = expected.argmax(), cheapest_equal_first(expected.max() - expected, flops, noise=noise)[0]
        rows.append([*(measured.max() - measured[[best, cheap]]), measured[best] - measured[cheap]])
        rows[-1].append(100 * (1 - flops[cheap] / flops[best]))
        families.append(episode.family)
    print(f"{len(rows)} tasks of {len(set(families))} families")
    names = ("regret of the best, points", "regret of the cheapest equal", "difference", "multiply-adds saved, %")
    for name, values in zip(names, np.array(rows).T, strict=True):
        found = bootstrap_interval(values, families)
        print(f"{name}: {found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
