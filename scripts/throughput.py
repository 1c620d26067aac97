"""Prints how fast `metad2a database build` measures, beside two processes that only train.

    python scripts/throughput.py [IMAGES] [--tasks 2]
    python scripts/throughput.py --finetune            # the fine-tunings of a search, beside a plain loop

Both sides do the same trainings by the recipe `tiny` on two cores. The plain side is two processes, each of which
trains its half in a loop and keeps nothing; start-up and the making of the tasks count on both sides.

A fine-tuning is compared in CPU time of one thread, both sides in turn, with the same network, images, augmentation,
batch and precision; the plain loop knows no schedule, no limit on gradients and no average of the weights.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from databases.architectures.space import space
from databases.architectures.spaces.pipeline import PIPELINE
from databases.datasets.sampler import build_task, sample_specs
from databases.datasets.task import Task
from databases.records.recipe import recipe
from databases.records.store import Store
from metad2a.build.build import build, core_rounds
from metad2a.runtime.home import images_folder
from metad2a.train.augment import Augment, augmented
from metad2a.train.classifier import Classifier
from metad2a.train.finetune import BATCH, FROZEN, Layers, Tuning, finetune, freeze
from metad2a.train.pipeline import OURS, base_of
from metad2a.train.precision import half
from metad2a.train.probe import width
from metad2a.train.train import train

RECIPE = "tiny"
MOST_LOST = 0.15
PIPELINES = ("own 32px all rate0.03 whole", "own 48px half rate0.03 whole", "lite0 64px all rate0.01 whole")
FLIP = Augment(flip=True)
SHORT, STEPS, REPEATS = 4, 40, 5


def plainly(images: Path, tasks: int, half: int) -> None:
    """Trains every second of the build's networks, keeping nothing."""
    specs = sample_specs(images, tasks=tasks, seed=0)
    jobs, _ = core_rounds(specs, images, per_task=1, recipe=RECIPE, judged=tasks, seeds=1)
    made = {spec: build_task(spec, images) for spec in specs}
    for job in jobs[half::2]:
        train(made[job.spec], space(job.space).parse(job.architecture), recipe=recipe(RECIPE), seed=0)


def two_plain_processes(images: Path, tasks: int) -> float:
    """Wall seconds of both halves side by side."""
    begin = time.perf_counter()
    command = [sys.executable, __file__, str(images), f"--tasks={tasks}"]
    running = [subprocess.Popen([*command, f"--half={half}"]) for half in (0, 1)]
    if any(each.wait() for each in running):
        raise SystemExit("a plain process failed: see above")
    return time.perf_counter() - begin


def one_build(images: Path, tasks: int) -> tuple[float, int]:
    """Wall seconds of the build of the core, and its trainings."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "database.db") as store:
        begin = time.perf_counter()
        built = build(store, images, tasks=tasks, per_task=1, recipe=RECIPE, judged=tasks, seeds=1)
        return time.perf_counter() - begin, built.done


def ours(begin: Classifier, task: Task, layers: Layers, *, kept: bool) -> float:
    """CPU seconds of `STEPS` steps of a fine-tuning: a longer one less a shorter one, which share all else."""
    took = []
    for steps in (SHORT, SHORT + STEPS):
        start = time.process_time()
        finetune(begin, task, Tuning(layers, steps=steps, statistics=kept, augment=FLIP))
        took.append(time.process_time() - start)
    return took[1] - took[0]


def plain_loop(begin: Classifier, task: Task, layers: Layers, *, kept: bool) -> float:
    """CPU seconds of as many steps of the same network in a loop of its own."""
    network = copy.deepcopy(begin.network).to(memory_format=torch.channels_last).train()
    freeze(network, FROZEN[layers], statistics=kept)
    network.train()
    learning = [each for each in network.parameters() if each.requires_grad]
    optimiser = torch.optim.SGD(learning, 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
    images, labels = begin.resized(task.images), torch.from_numpy(task.labels)
    generator = torch.Generator().manual_seed(0)
    start = time.process_time()
    for _ in range(STEPS):  # plain on purpose: what the one loop is compared with
        chosen = torch.randint(len(labels), (BATCH,), generator=generator)
        x = begin.normalised(augmented(images[chosen], FLIP, generator))
        with half(network):
            logits = network(x)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return time.process_time() - start


def fine_tunings() -> None:
    """Images a second of both, and the ratio, for each of some pipelines."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 255, (320, 64, 64, 3), dtype=np.uint8), np.arange(320) % 10
    task = Task("noise", images, labels, np.zeros(320, dtype=np.uint8), tuple("0123456789"))
    for text in PIPELINES:
        pipeline = PIPELINE.pipeline(PIPELINE.parse(text))
        base, kept = base_of(pipeline, task), pipeline.weights not in OURS
        weight, bias = np.zeros((10, width(base)), dtype=np.float32), np.zeros(10, dtype=np.float32)
        begin = base.with_head(weight, bias, resolution=pipeline.resolution)
        layers: Layers = pipeline.training  # type: ignore[assignment]
        took = [
            (ours(begin, task, layers, kept=kept), plain_loop(begin, task, layers, kept=kept)) for _ in range(REPEATS)
        ]
        mine, plain = (statistics.median(each) for each in zip(*took, strict=True))
        speeds = f"{STEPS * BATCH / mine:6.0f} images a CPU second, a plain loop {STEPS * BATCH / plain:6.0f}"
        print(f"{text:32s} {speeds}: {plain / mine:.2f} of its speed   (target 0.90)", flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?", type=Path)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--half", type=int)
    parser.add_argument("--finetune", action="store_true")
    given = parser.parse_args()
    if given.finetune:
        fine_tunings()
        return
    images = given.images or images_folder()
    if given.half is not None:
        plainly(images, given.tasks, given.half)
        return
    built, trainings = one_build(images, given.tasks)
    plain = two_plain_processes(images, given.tasks)
    for name, seconds in (("database build, 2 workers", built), ("two plain processes", plain)):
        print(f"{name:28s} {trainings} trainings in {seconds:6.1f} s: {3600 * trainings / seconds:5.0f} an hour")
    print(f"{'the build reaches':28s} {plain / built:.2f} of the plain speed   (target {1 - MOST_LOST})")


if __name__ == "__main__":
    main()
