"""Prints how much signal the measured records hold: for every recipe and task, spread, noise and ceiling.

    python scripts/measured_signal.py DATABASE

Spread and noise are standard deviations in points: between sensible cells (those with a convolution), and between seeds
of one cell; the ceiling is Kendall's tau of one training seed against another. Of a task measured under one seed the
last two are not known. The seconds are those of a training as it ran, on a machine that had other work.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from databases.records.episodes import held_out_accuracy
from databases.records.store import Store
from predictors.metrics import kendall_tau

FEWEST = 5  # cells under two seeds, for noise and ceiling


def main(database: str) -> None:
    """Prints a line a task and a mean a recipe."""
    with Store(database) as store:
        names = {entry.key: entry.name for entry in store.tasks()}
        records = store.records(source="own")
    by_task: dict[tuple[str, str], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    seconds: dict[str, list[float]] = defaultdict(list)
    for record in records:
        by_task[record.recipe, record.task][record.architecture][record.seed] = held_out_accuracy(record)
        seconds[record.recipe].append(record.train_seconds or np.nan)
    ceilings: dict[str, list[float]] = defaultdict(list)
    print(f"{'recipe':9s} {'task':36s} cells  mean  spread noise ceiling")
    for (recipe, task), cells in sorted(by_task.items(), key=lambda each: (each[0][0], names[each[0][1]])):
        sensible = [seeds for cell, seeds in cells.items() if "conv" in cell]
        several = np.array([[v[0], v[1]] for v in sensible if {0, 1} <= v.keys()])
        values = [float(np.mean(list(seeds.values()))) for seeds in sensible]
        line = f"{recipe:9s} {names[task]:36s} {len(values):5d} {np.mean(values):5.1f} {np.std(values):6.2f}"
        if len(several) >= FEWEST:
            noise = (several[:, 0] - several[:, 1]).std() / np.sqrt(2)
            ceilings[recipe].append(kendall_tau(several[:, 0], several[:, 1]))
            line += f" {noise:6.2f} {ceilings[recipe][-1]:6.2f}"
        print(line)
    for recipe, found in ceilings.items():
        cost = np.nanmean(seconds[recipe])
        print(f"{recipe}: mean ceiling {np.mean(found):.2f} over {len(found)} tasks, {cost:.1f} s a training")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    main(parser.parse_args().table)
