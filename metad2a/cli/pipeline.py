"""What `metad2a search` and `metad2a recommend` say of pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from databases.errors import UserError
from databases.usual import AUTOMATIC, USUAL_SECONDS
from metad2a.cli import process
from metad2a.cli.folders import check_output_folder, copied
from metad2a.cli.options import duration, open_store, open_tracker, read_images, stored
from metad2a.cli.output import console, print_json, reporting, table, tell_written
from metad2a.cli.pipeline_answer import plain, tell
from metad2a.cli.tracked import drawn
from metad2a.recommend.front import EQUAL
from metad2a.reports.words import percent, span

if TYPE_CHECKING:
    from databases.datasets.task import Task
    from metad2a.recommend.pipelines import PipelineRecommendation
    from metad2a.search.pipelines.search import PipelineResult
    from metad2a.train.bases import Base

Augment = Annotated[
    str, typer.Option("--augment", metavar="auto|none|shift|flip", help="What to do to training images.")
]
Baseline = Annotated[
    bool,
    typer.Option("--baseline", help="Train a plain network for as long again, and probe lite0, to compare (pipeline)."),
]
Preference = Annotated[
    Literal["accuracy", "latency"],
    typer.Option("--prefer", help="latency: the fastest of those that are as good on validation images (pipeline)."),
]
PICTURED = ("mistakes.png", "confusion.csv", "confusion.png")  # beside the network
LIMITS = ("max-params", "max-flops", "max-latency")
Most: TypeAlias = tuple[int | None, int | None, str | None]  # what these are given


@dataclass(frozen=True)
class SearchOptions:
    """What is asked beside data and time."""

    augment: str
    baseline: bool
    groups: str
    also: str | None
    most: Most
    prefer: Preference
    database: str | None
    searcher: str | None
    no_tracking: bool
    json: bool


def search(data: str, options: SearchOptions, *, seconds: float | None, seed: int, output: Path | None) -> None:
    """`metad2a search` in the space of pipelines."""
    check_output_folder(output, *PICTURED, network=True, data=data)
    with open_store(options.database) as store, reporting("Reading the images ...") as reporter:
        from databases.architectures.spaces.pipeline import PIPELINE
        from metad2a.recommend.pipeline_cost import limits_here
        from metad2a.search.pipelines.search import search_pipelines
        from metad2a.train.augment import check_augment

        check_augment(options.augment)  # refused before any image is read, as the next
        limits = limits_here(*options.most, prefer=options.prefer)
        seconds = USUAL_SECONDS if seconds is None else seconds
        also = _opened(options.also)
        task = read_images(data, reporter, seed=seed, groups=options.groups, seconds=seconds, up_to=PIPELINE.up_to)
        result = search_pipelines(
            task,
            seconds=seconds,
            augment=options.augment,
            baseline=options.baseline,
            limits=limits,
            seed=seed,
            tracker=open_tracker(options.no_tracking),
            begun=process.started,
            draw=drawn,
            also=also if task.channels > 1 else _opened(options.also, channels=task.channels),
            store=store,
            searcher=options.searcher,
            line=reporter.line,
            now=lambda text: reporter.now(f"{text} ..."),
        )
        reporter.now("Drawing what was mistaken ...")
        exported = copied(result.exported, output)
        pictures, matrix = _mistakes(result, task, exported.folder)
    if options.json:
        files = {"mistakes": pictures, "confusion": matrix}
        print_json(plain(result, exported, task) | {name: each and str(each) for name, each in files.items()})
    else:
        tell(result, exported, task)
        if matrix is not None:
            console().print(f"Confusion matrix: {matrix}, and as a picture beside it", soft_wrap=True)
        if pictures is not None:
            console().print(f"Pictures that were taken for another class: {pictures}", soft_wrap=True)


def recommend(
    data: str,
    most: Most,
    *,
    top: int | None,
    budget: str | None,
    seed: int,
    groups: str,
    also: str | None,
    database: str | None,
    output: Path | None,
    json: bool,
) -> None:
    """`metad2a recommend` in the space of pipelines; ``most`` are the limits on parameters, FLOPs and latency."""
    from databases.architectures.spaces.pipeline import PIPELINE
    from databases.datasets.loading import load_task

    with stored(database) as store, reporting("Reading the images ...") as reporter:
        from metad2a.recommend.pipeline_cost import limits_here
        from metad2a.recommend.pipelines import recommend_pipelines
        from metad2a.runtime.home import features_to_read

        limits, seconds, side = limits_here(*most), duration(budget) or USUAL_SECONDS, PIPELINE.up_to
        opened = _opened(also)  # refused before any image is read
        task = load_task(data, up_to=side, seed=seed, looking=True, groups=groups, on_progress=reporter.reading)
        answer = recommend_pipelines(
            task,
            seconds=seconds,
            limits=limits,
            seed=seed,
            cache=features_to_read(),
            also=opened if task.channels > 1 else _opened(also, channels=task.channels),
            store=store,
            now=lambda text: reporter.now(f"{text} ..."),
        )
    if output is not None:
        from metad2a.reports.pipeline_figures import write_pipelines

        tell_written(write_pipelines(answer, output), output)
    if json:
        print_json(answer.to_json())
    else:
        bounds = dict(zip(LIMITS, most, strict=True))
        _show(answer, data, top, {"budget": budget, **bounds, "also": also, "groups": groups, "seed": seed or None})


def only_one(also: list[str] | None) -> str | None:
    """What ``--also`` names; raises UserError where that is more than one network."""
    if also and len(also) > 1:
        raise UserError(f"given --also {len(also)} times; one network of your own competes in a run: give it once")
    return also[0] if also else None


def _opened(also: str | None, *, channels: int = 3) -> Base | None:
    from metad2a.supernets.also import open_also

    return None if also is None else open_also(also, channels=channels)


def _show(answer: PipelineRecommendation, data: str, top: int | None, asked: Mapping[str, object]) -> None:
    """The front of accuracy against cost, then the best ones; ``asked`` are options for a search too."""
    to = console()
    listed = [*answer.front, *(each for each in answer.choices[:top] if each not in answer.front)]
    headings = ("", "Pipeline", ">Accuracy", ">80% interval", ">ms here", ">MB", ">Training")
    rows = (
        (
            "".join(mark for mark, of in (("*", answer.best), ("k", answer.knee), ("=", answer.equal)) if of is each),
            str(each.pipeline),
            percent(each.expected_accuracy),
            f"{each.interval[0]:.1f} to {each.interval[1]:.1f}",
            f"{each.latency_ms:.2g}",
            f"{each.megabytes:.1f}",
            span(each.seconds),
        )
        for each in listed
    )
    to.print(table(f"Pipelines for {data}, the fastest first, then others by accuracy", headings, rows))
    to.print(f"* best  k knee of accuracy against latency  = the fastest within {EQUAL:g} points of the best")
    to.print(f"Data: {answer.data}", soft_wrap=True)
    to.print(f"Why: {answer.reason}", soft_wrap=True)
    if small := _of_the_small(answer):
        to.print(small, soft_wrap=True)
    for note in answer.notes:
        to.print(f"Note: {note}", soft_wrap=True)
    to.print(f"Next: {after(data, asked)}", soft_wrap=True)


def _of_the_small(answer: PipelineRecommendation) -> str:
    """Whether the fastest of those that are as good as the best is another, or the best is the fastest of all."""
    if answer.equal is not answer.best:
        faster = 1 - answer.equal.latency_ms / answer.best.latency_ms
        named = f"The small one is as good: {answer.equal.pipeline} takes {100 * faster:.0f}% less time an image"
        return f"{named}, and is expected within {EQUAL:g} points of the best."
    alone = len(answer.front) == 1 and len(answer.choices) > 1
    return "The small one is the best: of nothing that takes longer an image more is expected." if alone else ""


def after(data: str, asked: Mapping[str, object]) -> str:
    """The search of what was recommended, with the same options."""
    options = {"budget": f"{USUAL_SECONDS:g}s"} | {k: v for k, v in asked.items() if v not in (None, AUTOMATIC)}
    return f"metad2a search {quote(data)}" + "".join(f" --{k} {quote(str(v))}" for k, v in options.items())


def _mistakes(result: PipelineResult, task: Task, folder: Path) -> tuple[Path | None, Path | None]:
    """The sheet of test pictures that were taken for another class, and the table of all, where there are any."""
    from metad2a.reports.confusion import write_confusion
    from metad2a.reports.pipeline_figures import write_mistakes

    found = result.report
    labels = task.labels[found.places]
    pictures = write_mistakes(task.images, found.taken, labels, task.class_names, folder, places=found.places)
    return pictures, write_confusion(found.confusion, task.class_names, folder)
