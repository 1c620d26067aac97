"""Compares our zero-cost scores with the published ones and with ImageNet16-120's accuracies.

    python scripts/zero_cost_correlation.py [--cells 200] [--seed 0]

Random cells of NAS-Bench-201 in the published skeleton at 16 px, one batch of Tiny-ImageNet. Published: a
table of scores (FreeREA), whose batch came from ImageNet16-120, and the mean test accuracy after 200 epochs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import space
from databases.datasets.sampler import TaskSpec, build_task
from databases.records.csv_file import cell_number, read_rows
from metad2a.runtime.home import images_folder, shared_data
from predictors.metrics import kendall_tau, spearman
from predictors.zero_cost import worst_for_singular, zero_cost

Columns = dict[str, npt.NDArray[np.float64]]
SCORES = ("naswot", "synflow", "logsynflow")
ACCURACY = "imagenet16_120_test_acc_200ep_mean"


def published(folder: Path, *, cells: int, seed: int) -> tuple[list[str], Columns]:
    """Texts of random cells, their published scores and, under ``accuracy``, their accuracy in percent."""
    columns = {score: f"imagenet16_120_{score}" for score in SCORES}
    accuracies = read_rows(folder / "accuracy.csv.gz", ("arch_index", "arch_str", ACCURACY))
    texts = {row["arch_index"]: (row["arch_str"], cell_number(row, ACCURACY)) for _, row in accuracies}
    scores = {row["arch_index"]: row for _, row in read_rows(folder / "zero_cost.csv.gz", columns.values())}
    chosen = np.random.default_rng(seed).choice(sorted(texts), size=min(cells, len(texts)), replace=False)
    table: Columns = {
        score: np.array([cell_number(scores[index], column) for index in chosen], dtype=np.float64)
        for score, column in columns.items()
    }
    table["naswot"] = worst_for_singular(table["naswot"])
    table["accuracy"] = np.array([texts[index][1] for index in chosen], dtype=np.float64)
    return [texts[index][0] for index in chosen], table


def rows(ours: Columns, table: Columns) -> Iterator[tuple[str, str, float, float]]:
    """What, against what, Spearman, Kendall."""
    for name, score in ours.items():
        if name in table:
            yield f"our {name}", "published", spearman(score, table[name]), kendall_tau(score, table[name])
        pair = score, table["accuracy"]
        yield f"our {name}", "accuracy", spearman(*pair), kendall_tau(*pair)
    for name in SCORES:
        pair = table[name], table["accuracy"]
        yield f"published {name}", "accuracy", spearman(*pair), kendall_tau(*pair)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    texts, table = published(shared_data() / "nasbench201", cells=given.cells, seed=given.seed)
    task = build_task(TaskSpec("tinyimagenet100_16px", tuple(range(100)), 8), images_folder())
    begin, architectures = time.process_time(), [space("nasbench201").parse(text) for text in texts]
    skeleton = Skeleton(channels=16, cells=5, input_channels=3, classes=120)
    ours = zero_cost(task, architectures, skeleton=skeleton, batch=given.batch, seed=given.seed)
    seconds = (time.process_time() - begin) / len(texts)
    print(f"{len(texts)} cells, seed {given.seed}, batch {given.batch}, {seconds:.2f} CPU-seconds a cell")
    print(f"{'':22}{'against':12}{'Spearman':>9}{'Kendall':>9}")
    for name, against, rho, tau in rows(ours, table):
        print(f"{name:22}{against:12}{rho:9.3f}{tau:9.3f}")


if __name__ == "__main__":
    main()
