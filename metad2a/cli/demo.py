"""The main job on a hundred handwritten digits: find the network that fits, beside what the same seconds give without.

    python -m metad2a.cli.demo [--output DIR] [--seconds N] [--seed N]

Ten images of a digit are for training and ten for validation; the others are all for testing, once. A plain network
from scratch gets as many seconds as the whole search. Neither the home folder nor tracking is used.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from databases.hosting import own_process
from metad2a.cli.folders import check_output_folder
from metad2a.cli.guard import guarded
from metad2a.cli.output import console, reporting
from metad2a.cli.pipeline_answer import beside

if TYPE_CHECKING:
    from databases.datasets.task import Task
    from metad2a.search.pipelines.search import PipelineResult

DATA, FEW = "sklearn:digits", 10  # images of a class for training, and for validation
FOLDER, SECONDS = Path("metad2a-demo"), 20.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the demonstration; exits as the command line does."""
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m metad2a.cli.demo", description=description)
    parser.add_argument("--output", type=Path, default=FOLDER, metavar="DIR", help="folder for the model")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for the search, and for the plain network")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    sys.exit(guarded(lambda: _alone(given.output, given.seconds, given.seed)))


def _alone(folder: Path, seconds: float, seed: int) -> None:
    """The demonstration on one thread: small networks gain nothing by two, and lose on a busy machine."""
    from databases.hosting import lent

    with lent(threads=1):
        demo(folder, seconds=seconds, seed=seed)


def demo(folder: Path, *, seconds: float = SECONDS, seed: int = 0) -> PipelineResult:
    """Searches, compares, writes the network into ``folder`` and tells the story."""
    to = console()
    check_output_folder(folder, network=True)
    with reporting("Reading the digits ...") as reporter, TemporaryDirectory() as place:
        from databases.datasets.loading import load_task
        from metad2a.export.export import save
        from metad2a.search.pipelines.search import search_pipelines

        task = few_of_each(load_task(DATA, seed=seed), FEW)
        reporter.line(task.summary)
        result = search_pipelines(
            task,
            seconds=seconds,
            baseline=True,
            seed=seed,
            folder=Path(place) / "run",
            cache=Path(place) / "features",
            line=reporter.line,
            now=lambda text: reporter.now(f"{text} ..."),
        )
        exported = save(result.exported.training, result.exported.card, folder)
    to.print(beside(result))
    to.print(verdict(result, int(result.report.confusion.sum())))
    to.print(f"Written: {exported.weights} and {exported.program.name}, which loads it with torch alone.")
    to.print("Now with your own images: metad2a search FOLDER")
    return result


def few_of_each(task: Task, count: int) -> Task:
    """The task with at most ``count`` images of each class for training and for validation; all others test."""
    from dataclasses import replace

    import numpy as np

    from databases.datasets.task import TEST

    parts = task.parts.copy()
    for label, part in {*zip(task.labels.tolist(), parts.tolist(), strict=True)}:
        of_kind = np.flatnonzero((task.labels == label) & (task.parts == part))
        parts[of_kind[count:]] = TEST
    return replace(task, parts=parts)


def verdict(result: PipelineResult, test_images: int) -> str:
    """The outcome in plain words, whichever it is, with the part that chance has in it."""
    ours = result.test_accuracy or 0.0
    best = max(result.rivals, key=lambda each: each.test_accuracy or 0.0)
    theirs = best.test_accuracy or 0.0
    chance = 100 * math.sqrt((ours * (100 - ours) + theirs * (100 - theirs)) / 1e4 / max(1, test_images))
    return (
        f"{ours - theirs:+.1f} points against the best of the others ({best.name}), on {test_images:,} images that "
        f"chose nothing (chance alone moves the difference by about {chance:.1f})."
    )


if __name__ == "__main__":
    own_process()
    main()
