"""The main job on handwritten digits: recommend a cell, train it beside two others, write the model.

    python -m metad2a.cli.demo [--output DIR] [--model FILE] [--seed N]

The recommended cell, the median one of the ranking and one of its bottom tenth are trained alike, with the
same seed, by the recipe that the ranking holds for. Neither the home folder nor tracking is used.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metad2a.cli.guard import guarded
from metad2a.cli.options import check_output_folder
from metad2a.cli.output import Reporter, console, reporting, table
from metad2a.cli.recommend import compact, describe_recipe
from metad2a.reports.words import percent, short, span

if TYPE_CHECKING:
    from databases.datasets.task import Task
    from metad2a.recommend.recommendation import Candidate, Recommendation
    from metad2a.train.training import Progress, Training

DATA, RECIPE = "sklearn:digits", "tiny"
FOLDER = Path("metad2a-demo")
PLACES = (("recommended", 0.0), ("median", 0.5), ("bottom tenth", 0.95))  # shares of the ranking


@dataclass(frozen=True)
class Contestant:
    """One trained cell: which it is, its rank (from 1), its training, test accuracy in percent."""

    title: str
    rank: int
    candidate: Candidate
    training: Training
    test_accuracy: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the demonstration; exits as the command line does."""
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m metad2a.cli.demo", description=description)
    parser.add_argument("--output", type=Path, default=FOLDER, metavar="DIR", help="folder for the model")
    parser.add_argument("--model", type=Path, metavar="FILE", help="meta-model, by default the shipped one")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    sys.exit(guarded(lambda: _alone(given.output, given.model, given.seed)))


def _alone(folder: Path, model: Path | None, seed: int) -> None:
    """The demonstration on one thread: small networks gain nothing by two, and lose on a busy machine."""
    from databases.hosting import lent

    with lent(threads=1):
        demo(folder, model=model, seed=seed)


def demo(folder: Path, *, model: Path | None = None, seed: int = 0) -> tuple[Contestant, ...]:
    """Recommends, trains three cells, writes the recommended one into ``folder`` and tells the story."""
    begin, to = time.monotonic(), console()
    check_output_folder(folder)
    with reporting("Reading the digits ...") as reporter:
        from databases.datasets.loading import load_task
        from databases.datasets.task import TEST
        from databases.records.recipe import recipe
        from metad2a.export.export import export
        from metad2a.recommend.model import load

        task = load_task(DATA, seed=seed)
        reporter.line(f"{len(task.images):,} images of handwritten digits, {task.classes} classes")
        reporter.now("Ranking all cells ...")
        answer = load(model).recommend(task, top=None, seed=seed, recipe=RECIPE)
        seconds = span(time.monotonic() - begin)
        reporter.line(f"{len(answer.candidates):,} cells ranked without training one, in {seconds}")
        trained = tuple(_train(task, answer, place, reporter, seed=seed) for place in range(len(PLACES)))
        best = trained[0]
        exported = export(
            best.training,
            task=task,
            architecture=best.candidate.architecture,
            recipe=recipe(RECIPE),
            folder=folder,
            seed=seed,
            test_accuracy=best.test_accuracy,
        )
    to.print(table("Trained alike, same seed", HEADINGS, map(_row, trained)))
    to.print(verdict(trained, len(task.part(TEST)[1])))
    to.print(f"\nRecipe {describe_recipe(RECIPE, best.candidate.skeleton)}.")
    to.print(f"Written: {exported.weights} and {exported.program.name}, which loads it with torch alone.")
    to.print(f"{span(time.monotonic() - begin)} in all. Now with your own images: metad2a recommend FOLDER")
    return trained


HEADINGS = ("", ">Rank", "Cell", ">Expected", ">Test", ">Parameters", ">Trained in")


def verdict(trained: Sequence[Contestant], test_images: int) -> str:
    """The outcome in plain words, whichever it is, with the part that chance has in it."""
    best, median, bottom = (each.test_accuracy for each in trained)
    share = sum(each.test_accuracy for each in trained) / (100 * len(trained))
    chance = 100 * math.sqrt(share * (1 - share) / test_images)
    order = "is the best of the three" if best > max(median, bottom) else "is not alone at the top here"
    return (
        f"The recommended cell {order}: {best - median:+.1f} points against the median one, "
        f"{best - bottom:+.1f} against that of the bottom tenth, on {test_images} images that no "
        f"training saw (chance alone moves a figure by about {chance:.1f})."
    )


def _train(task: Task, answer: Recommendation, place: int, reporter: Reporter, *, seed: int) -> Contestant:
    """Trains and tests the cell at one of the `PLACES`."""
    from databases.datasets.task import TEST
    from databases.records.recipe import recipe
    from metad2a.train.inference import accuracy
    from metad2a.train.train import train

    title, share = PLACES[place]
    rank = min(int(share * len(answer.candidates)), len(answer.candidates) - 1)
    candidate, chosen = answer.candidates[rank], recipe(answer.recipe)

    def on_epoch(progress: Progress) -> None:
        text = f"Training {place + 1} of {len(PLACES)}: the {title} cell"
        reporter.now(text, done=progress.epoch, total=progress.epochs)

    small = task.resized(chosen.resolution)
    training = train(small, candidate.architecture, recipe=chosen, seed=seed, device="cpu", on_epoch=on_epoch)
    tested = accuracy(training, small, TEST)
    assert tested is not None  # the digits always have a test part
    reporter.line(f"{title}: test {percent(tested)} after {span(training.seconds)} of training")
    return Contestant(title, rank + 1, candidate, training, tested)


def _row(each: Contestant) -> tuple[str, ...]:
    candidate = each.candidate
    return (
        each.title,
        f"{each.rank:,}",
        compact(candidate.architecture),
        percent(candidate.expected_accuracy),
        percent(each.test_accuracy),
        short(candidate.parameters),
        span(each.training.seconds),
    )


if __name__ == "__main__":
    main()
