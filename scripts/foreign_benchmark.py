"""A foreign benchmark, imported as a user's table: rank of held-out cells before and after `metad2a retrain`.

    python scripts/foreign_benchmark.py [--cells 50 300] [--seeds 20] [--first 100]

The NinaPro (gestures from muscle signals) and Darcy Flow (a differential equation) columns of NAS-Bench-360 (Tu et
al., 2022) are written as a table of so many measured cells a task, imported by the library call of `metad2a database
import table`, and learnt by that of `metad2a retrain`, which begins with the shipped model. Their data are not at
hand, so the declared features are numbers drawn at random beside the plain facts (how many examples and classes): what
is shown is about held-out *cells* of a measured task, and says nothing about reading a dataset.

That cells are alike by what describes their graphs too, and a linear part of the kernel, were chosen on these two
columns with the draws 0 to 5, beside the own tasks; so the draws here begin at 100, on the same columns.

Held out are all cells of NAS-Bench-201 that compute something else than the measured ones. Rivals: a random forest
(scikit-learn) on operations and graph features of the same rows; a random order is the negative control. The ceiling is
one cell's value against that of another cell that computes the same. Intervals: 95%, bootstrap over the draws.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from databases.architectures.spaces.nasbench201 import NASBench201
from databases.records.csv_file import read_rows
from databases.records.episodes import episodes
from databases.records.importers.own_table import import_table
from databases.records.store import Store
from metad2a.recommend.model import MetaD2A, load
from metad2a.reports.publish import markdown_table
from metad2a.retrain.may_teach import may_teach
from metad2a.retrain.retrain import retrain
from metad2a.runtime.home import shared_data
from metad2a.runtime.tracking import NullTracker
from predictors.metrics import Interval, bootstrap_interval, kendall_tau

Values = npt.NDArray[np.float64]
COLUMNS = {"NinaPro": "ninapro_test_acc_200ep_seed777", "Darcy Flow": "darcyflow_test_score_200ep_seed777"}
FACTS = {"NinaPro": (18, 3956), "Darcy Flow": (2, 1100)}  # classes (a regression has none), examples
RECIPE = "nasbench360-200ep"
SPACE = NASBench201()
CLASS = np.array([SPACE.class_number(each) for each in SPACE.enumerate()])


def main() -> None:
    """Prints a table for each number of measured cells."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--cells", type=int, nargs="+", default=[50, 300], help="measured cells a task")
    options.add_argument("--seeds", type=int, default=20, help="draws of the measured cells")
    options.add_argument("--first", type=int, default=100, help="the first of the draws")
    given = options.parse_args()
    begin, shipped, truth = time.monotonic(), load(), read_truth()
    for task, values in truth.items():
        print(f"{task}: ceiling (equal cells against each other) tau {ceiling(values):.3f}")
    for cells in given.cells:
        found: dict[str, dict[str, list[float]]] = {task: {} for task in COLUMNS}
        for seed in range(given.first, given.first + given.seeds):
            for task, taus in one_draw(shipped, truth, cells, seed).items():
                for name, tau in taus.items():
                    found[task].setdefault(name, []).append(tau)
        show(found, cells, given.seeds)
    print(f"{time.monotonic() - begin:.0f} s in all")


def read_truth() -> dict[str, Values]:
    """Task -> value of every cell, percent, in the order of the space; a negative score counts as 0."""
    row_of = {row["arch_str"]: row for _, row in read_rows(accuracy_table(), ("arch_str", *COLUMNS.values()))}
    rows = [row_of[str(each)] for each in SPACE.enumerate()]
    share = {"NinaPro": 1.0, "Darcy Flow": 100.0}
    return {t: np.array([max(0.0, share[t] * float(row[c])) for row in rows]) for t, c in COLUMNS.items()}


def accuracy_table() -> Path:
    """The compact table of NAS-Bench-201 and NAS-Bench-360."""
    return shared_data() / "nasbench201" / "accuracy.csv.gz"


def one_draw(shipped: MetaD2A, truth: dict[str, Values], cells: int, seed: int) -> dict[str, dict[str, float]]:
    """Task -> ranking -> tau over the held-out cells, for one draw of the measured cells."""
    rng = np.random.default_rng(seed)
    drawn = {task: rng.permutation(len(CLASS))[:cells] for task in truth}
    learnt = learn(shipped, truth, drawn)
    found = {}
    for task, values in truth.items():
        held_out = ~np.isin(CLASS, CLASS[drawn[task]])
        features = next(each.features for each in learnt[1] if each.features.name == task)
        orders = {
            f"before: shipped, as {name}": shipped.score(features, SPACE.classes, recipe=name).mean[CLASS]
            for name in ("nasbench201", "nasbench201-12ep", "metad2a", "tiny")
        }
        orders["after retrain"] = learnt[0].score(features, SPACE.classes, recipe=RECIPE).mean[CLASS]
        orders["forest, same rows"] = forest(values, drawn[task], seed)
        orders["random order"] = rng.permutation(len(CLASS)).astype(np.float64)
        found[task] = {name: kendall_tau(order[held_out], values[held_out]) for name, order in orders.items()}
    return found


def learn(shipped: MetaD2A, truth: dict[str, Values], drawn: dict[str, npt.NDArray[np.int64]]) -> tuple[MetaD2A, list]:
    """Writes the user's table, imports it and retrains; the new model and the tasks as it sees them."""
    texts = [str(each) for each in SPACE.enumerate()]
    with TemporaryDirectory() as name, Store("sqlite://") as store:
        folder = Path(name)
        with (folder / "benchmark.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("task", "architecture", "recipe", "value", "seed", "features"))
            for task, chosen in drawn.items():
                declare(folder / f"{task}.npz", *FACTS[task])
                writer.writerows((task, texts[i], RECIPE, truth[task][i], 777, f"{task}.npz") for i in chosen)
        import_table(store, folder / "benchmark.csv")
        path = folder / "meta.safetensors"
        retrain(store, images=None, output=path, work=folder, tracker=NullTracker(), start=shipped)
        return load(path), episodes(store, images=None, usable=may_teach)


def declare(path: Path, classes: int, examples: int) -> None:
    """Features that say nothing, and the facts that are known."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), 5)
    np.savez(path, features=rng.normal(size=(len(labels), 192)), labels=labels, train_images=examples, channels=1)


def forest(values: Values, drawn: npt.NDArray[np.int64], seed: int) -> Values:
    """A random forest's value for every cell, from operations and graph features."""
    from sklearn.ensemble import RandomForestRegressor

    rows = [(*np.eye(5)[list(each.walk)].ravel(), *SPACE.graph_numbers(each)) for each in SPACE.classes]
    features = np.array(rows)
    model = RandomForestRegressor(200, random_state=seed, n_jobs=1).fit(features[CLASS[drawn]], values[drawn])
    predicted: Values = model.predict(features)[CLASS]
    return predicted


def ceiling(values: Values) -> float:
    """Tau between two cells of each class that has several."""
    order = np.random.default_rng(0).permutation(len(CLASS))
    pairs: dict[int, list[float]] = {}
    for i in order:
        pairs.setdefault(int(CLASS[i]), []).append(float(values[i]))
    several = np.array([each[:2] for each in pairs.values() if len(each) > 1])
    return kendall_tau(several[:, 0], several[:, 1])


def show(found: dict[str, dict[str, list[float]]], cells: int, seeds: int) -> None:
    """Prints Kendall's tau and the paired differences."""
    print(f"\n{cells} measured cells a task, {seeds} draws: Kendall tau over the held-out cells [95% interval]\n")
    rows = [(name, *(interval(taus[name]) for taus in found.values())) for name in next(iter(found.values()))]
    for first, second in (("after retrain", "before: shipped, as nasbench201"), ("after retrain", "forest, same rows")):
        pairs = [interval(np.subtract(taus[first], taus[second])) for taus in found.values()]
        rows.append((f"{first} less {second}", *pairs))
    print(*markdown_table(("ranking", *found), rows), sep="\n")


def interval(values: npt.ArrayLike) -> Interval:
    """The mean over the draws with its interval."""
    given = np.asarray(values, dtype=np.float64)
    return bootstrap_interval(given)


if __name__ == "__main__":
    main()
