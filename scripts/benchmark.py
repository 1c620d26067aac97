"""Prints speed figures, in CPU seconds of one thread (median of five, features ready).

    python scripts/benchmark.py

The reference figures are MetaD2A's own implementation as measured in the project's ANCHORS: 22.7 CPU-s to generate
and score 500 candidates for a task of ten classes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from databases.architectures.space import space
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.datasets.features import extract
from databases.datasets.task import Task, split
from metad2a.generate.decoder import GraphDecoder
from metad2a.recommend.model import load

REFERENCE_500 = 22.7


def cpu_seconds(work: Callable[[], object], *, times: int = 5) -> float:
    """Median process time of ``work`` after one warm-up."""
    work()
    found = []
    for _ in range(times):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return statistics.median(found)


def made_up_task(images: int = 1000, classes: int = 10) -> Task:
    """Noise images: speed does not depend on what they show."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) % classes
    pictures = rng.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    names = tuple(f"class {i}" for i in range(classes))
    return Task("noise", pictures, labels.astype(np.int64), split(labels.astype(np.int64)), names)


def cold_start(task: Task, *, times: int = 3) -> tuple[float, float]:
    """Median wall seconds and peak memory (GiB) of fresh `metad2a recommend` on 1,000 images, threads as usual."""
    code = (
        "import resource, sys; from metad2a.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    usual = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    walls, memory = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npz"
        np.savez(path, x=task.images, y=task.labels)
        command = [sys.executable, "-c", code, "recommend", str(path), "--json"]
        for _ in range(times):
            begin = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=usual)
            walls.append(time.perf_counter() - begin)
            json.loads(done.stdout)
            memory = max(memory, int(done.stderr.split()[-1]) / 2**20)
    return statistics.median(walls), memory


def main() -> None:
    """Measures and prints."""
    torch.set_num_threads(1)
    model, task = load(), made_up_task()
    features = extract(task)

    def generate_and_score() -> None:
        found = model.generate(features, recipe="tiny", count=500)
        model.score(features, found, recipe="tiny")

    def score_all() -> None:
        nasbench = NASBench201()  # a new one: no class list cached
        model.predictor.predict(features, nasbench.classes, recipe="nasbench201")

    policy, draws = GraphDecoder(space("nasbench201"), context=0, width=64), torch.Generator().manual_seed(0)

    @torch.inference_mode()
    def walk() -> None:
        policy.sample(torch.zeros(1000, 1), generator=draws)

    space("nasbench201").canonical(next(iter(space("nasbench201").enumerate())))
    rows = {
        "500 candidates generated and scored": (cpu_seconds(generate_and_score), 0.25),
        "all 15,625 cells scored": (cpu_seconds(score_all), 0.5),
        "1,000 walks of 6 decisions, one thread": (cpu_seconds(walk), 0.1),
        "features of 200 images": (cpu_seconds(lambda: extract(task)), None),
    }
    for name, (seconds, target) in rows.items():
        print(f"{name:40s} {seconds:7.3f} CPU-s" + (f"   (target {target})" if target else ""))
    ratio = REFERENCE_500 / rows["500 candidates generated and scored"][0]
    print(f"{'against the reference (22.7 CPU-s)':40s} {ratio:7.0f} times faster")
    wall, memory = cold_start(task)
    print(f"{'recommend, cold start, 1,000 images':40s} {wall:7.2f} s wall   (target 5)")
    print(f"{'peak memory':40s} {memory:7.2f} GiB   (target 1.2)")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
