"""Prints how fast `metad2a database build` measures, beside two processes that only train.

    python scripts/throughput.py [IMAGES] [--tasks 2]

Both sides do the same trainings by the recipe `tiny` on two cores. The plain side is two processes, each of which
trains its half in a loop and keeps nothing; start-up and the making of the tasks count on both sides.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from databases.architectures.space import space
from databases.datasets.sampler import build_task, sample_specs
from databases.records.recipe import recipe
from databases.records.store import Store
from metad2a.build.build import build, core_rounds
from metad2a.runtime.home import shared_data
from metad2a.train.train import train

RECIPE = "tiny"
MOST_LOST = 0.15


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
        built = build(store, images, tasks=tasks, per_task=1, recipe=RECIPE, workers=2, judged=tasks, seeds=1)
        return time.perf_counter() - begin, built.done


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?", type=Path)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--half", type=int)
    given = parser.parse_args()
    images = given.images or shared_data() / "images"
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
