"""Prints what slices of a pretrained base are worth after fine-tuning, on three development sources.

    python scripts/slices.py [residual] [--steps 150] [--seeds 2]

Each network begins with its probe (logistic regression on frozen features, statistics taken anew) and is fine-tuned
for the same steps of 32 images at 48 px; the accuracy is that on the test images. Fresh: the same network and steps,
begun with random weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from databases.architectures.supernets.families import open_family
from databases.architectures.supernets.inherit import recalibrate
from databases.architectures.supernets.pretrained import Pretrained, Stages
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, Task
from metad2a.reports.publish import markdown_table
from metad2a.runtime.home import images_folder
from metad2a.train.bases import Base, of_family
from metad2a.train.classifier import Classifier
from metad2a.train.finetune import Tuning, finetune
from metad2a.train.probe import percent_right, probe

SOURCES, SIDE = ("flowers5", "scenes15", "gtsrb"), 48
LIMITS: dict[str, dict[str, float]] = {
    "all of it": {},
    "half the hidden channels": {"expansion": 0.5},
    "least blocks": {"depth": 0},
    "least of both": {"depth": 0, "expansion": 0},
}


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", nargs="?", default="residual")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    family = open_family(options.family)
    tasks = [load_task(images_folder() / f"{name}.npz", resolution=SIDE, as_stored=True) for name in SOURCES]

    def rows() -> Iterator[tuple[str, ...]]:
        for name, limits in LIMITS.items():
            stages = family.family.slice(**{**limits, "expansion": _share(family, limits)})  # type: ignore[arg-type]
            for fresh in (False, True):
                yield name, *_row(family, stages, tasks, options.steps, options.seeds, fresh=fresh)

    headings = (f"slice of {family.name}", "weights", *SOURCES, "parameters", "images/s")
    for line in markdown_table(headings, rows()):
        print(line, flush=True)


def _share(family: Pretrained, limits: dict[str, float]) -> float | None:
    """The limit of the expansion, a share where the base's is one."""
    most = max(expansion for blocks in family.family.stages for _, expansion in blocks)
    return limits["expansion"] * most if "expansion" in limits else None


def _row(
    family: Pretrained, stages: Stages, tasks: list[Task], steps: int, seeds: int, *, fresh: bool
) -> tuple[str, ...]:
    cells, images, begin = [], 0, 0.0
    for task in tasks:
        found = []
        for seed in range(seeds):
            start = _start(family, stages, task, fresh=fresh, seed=seed)
            before = time.process_time()
            tuned = finetune(start, task, Tuning(steps=steps, seed=seed, learning_rate=0.1 if fresh else 0.05))
            begin, images = begin + time.process_time() - before, images + steps * 32
            truth = task.part(TEST)
            found.append(percent_right(tuned.classifier.logits(truth[0]), truth[1]))
        cells.append(f"{np.mean(found):.1f} ({min(found):.1f} to {max(found):.1f})")
    with torch.device("meta"):
        parameters = sum(each.numel() for each in family.blueprint(stages).build().parameters())
    weights = "random" if fresh else "inherited"
    return weights, *cells, f"{parameters / 1e6:.2f} M", f"{images / begin:.0f}"


def _start(family: Pretrained, stages: Stages, task: Task, *, fresh: bool, seed: int) -> Classifier:
    base = of_family("own", family, channels=task.channels, stages=stages)
    if not fresh:
        _take_statistics(base, task)
        return probe(base, task, resolution=SIDE).classifier
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = family.blueprint(stages, classes=task.classes, input_channels=task.channels).build().eval()
    network: nn.Module = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return replace(base.at(SIDE), network=network, blueprint=base.blueprint(task.classes))


def _take_statistics(base: Base, task: Task) -> None:
    classifier = base.at(SIDE)
    images = classifier.resized(task.part(TRAIN)[0][:512])
    recalibrate(base.network, (classifier.normalised(part) for part in images.split(128) if len(part) > 1))


if __name__ == "__main__":
    main()
