"""Prints how much signal the measured records hold: for every recipe and task, spread, noise and ceiling.

    python scripts/measured_signal.py DATABASE

Spread and noise are standard deviations in points (between cells, and between seeds of one cell); the ceiling is
Kendall's tau of one training seed against another. Only tasks measured under several seeds are shown. The seconds are
those of a training as it ran, on a machine that had other work.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np

from databases.records.store import Store
from metad2a.episodes import held_out_accuracy
from predictors.metrics import kendall_tau


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
    print(f"{'recipe':9s} {'task':28s} cells  mean  spread noise ceiling")
    for (recipe, task), cells in sorted(by_task.items()):
        several = np.array([[v[0], v[1]] for v in cells.values() if {0, 1} <= v.keys()])
        if len(several) < 5:
            continue
        noise = (several[:, 0] - several[:, 1]).std() / np.sqrt(2)
        ceilings[recipe].append(kendall_tau(several[:, 0], several[:, 1]))
        spread, mean = several.mean(1).std(), several.mean()
        line = f"{len(several):5d} {mean:6.1f} {spread:6.2f} {noise:6.2f} {ceilings[recipe][-1]:6.2f}"
        print(f"{recipe:9s} {names[task]:28s} {line}")
    for recipe, values in ceilings.items():
        cost = np.nanmean(seconds[recipe])
        print(f"{recipe}: mean ceiling {np.mean(values):.2f} over {len(values)} tasks, {cost:.1f} s a training")


if __name__ == "__main__":
    main(sys.argv[1])
