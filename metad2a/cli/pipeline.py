"""What `metad2a search` and `metad2a recommend` say of pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from databases.errors import UserError, in_a_line
from databases.usual import AUTOMATIC, USUAL_SECONDS
from metad2a.cli import process
from metad2a.cli.folders import check_output_folder, copied
from metad2a.cli.options import duration, open_store, open_tracker, read_images, stored
from metad2a.cli.output import console, print_json, reporting, table, tell_written
from metad2a.cli.tracked import drawn
from metad2a.recommend.front import EQUAL
from metad2a.reports.words import percent, short, span

if TYPE_CHECKING:
    from databases.datasets.task import Task
    from metad2a.cli.tables import FittedTable
    from metad2a.export.export import Exported
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
LIMITS = ("max-params", "max-flops", "max-latency")
Most: TypeAlias = tuple[int | None, int | None, str | None]  # what these are given
MOST_CLASSES = 20  # of a confusion matrix that is printed


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
    check_output_folder(output, "mistakes.png", network=True, data=data)
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
        pictures = _mistakes(result, task, exported.folder)
    if options.json:
        print_json({**plain(result, exported), "mistakes": None if pictures is None else str(pictures)})
    else:
        _answer(result, exported, task)
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
    if answer.equal is not answer.best:
        faster = 1 - answer.equal.latency_ms / answer.best.latency_ms
        to.print(
            f"The small one is as good: {answer.equal.pipeline} takes {100 * faster:.0f}% less time an image, and is "
            f"expected within {EQUAL:g} points of the best.",
            soft_wrap=True,
        )
    for note in answer.notes:
        to.print(f"Note: {note}", soft_wrap=True)
    to.print(f"Next: {after(data, asked)}", soft_wrap=True)


def after(data: str, asked: Mapping[str, object]) -> str:
    """The search of what was recommended, with the same options."""
    options = {"budget": f"{USUAL_SECONDS:g}s"} | {k: v for k, v in asked.items() if v not in (None, AUTOMATIC)}
    return f"metad2a search {quote(data)}" + "".join(f" --{k} {quote(str(v))}" for k, v in options.items())


def _mistakes(result: PipelineResult, task: Task, folder: Path) -> Path | None:
    """The sheet of test pictures that were taken for another class, where there are any."""
    from metad2a.reports.pipeline_figures import write_mistakes

    found = result.report
    labels = task.labels[found.places]
    return write_mistakes(task.images, found.taken, labels, task.class_names, folder, places=found.places)


def _answer(result: PipelineResult, exported: Exported, task: Task) -> None:
    to = console()
    headings = ("", "Pipeline", ">Validation", ">Passes", ">Time", ">Parameters", ">FLOPs")
    rows = [
        (
            "*" if str(each.architecture) == str(result.best) else "",
            str(each.architecture),
            percent(each.valid_accuracy),
            str(each.epochs),
            span(each.seconds),
            short(each.parameters),
            short(each.flops),
        )
        for each in result.trained
    ]
    to.print(table("Trained pipelines", headings, rows))
    alone = len(result.members) == 1
    named = " and ".join(map(str, result.members)) + (", the best by validation" if alone else ", their mean")
    to.print(named, soft_wrap=True)
    valid, test = percent(result.valid_accuracy), percent(result.test_accuracy)
    to.print(f"validation {valid}, which chose; test {test}, on images that chose nothing")
    found = result.report
    to.print(
        f"macro F1 {found.macro_f1:.3f}; log-loss {found.loss:.3f} calibrated by the temperature "
        f"{result.temperature:.2f}, {found.loss_uncalibrated:.3f} without",
        soft_wrap=True,
    )
    to.print(f"{found.megabytes:.1f} MB of weights; {found.milliseconds:.1f} ms an image here")
    _by_class(result, task)
    if result.rivals:
        to.print(beside(result))
    run = result.folder.name
    to.print(f"{span(result.seconds)} in all; run {run}", soft_wrap=True)
    for note in result.notes:
        to.print(f"Note: {note}", soft_wrap=True)
    to.print(f"Written: {exported.weights} and {exported.program.name}, which loads it:", soft_wrap=True)
    next_ones = (f"cd {quote(str(exported.folder))}", "python model.py PICTURE", f"metad2a predict {run} PICTURES")
    to.print("\n".join(f"    {each}" for each in next_ones), soft_wrap=True)


def beside(result: PipelineResult) -> FittedTable:
    """What the same seconds give without a choice, and ours."""
    others = len(result.members) - 1
    name = f"ours: {result.best}" + (f" and {others} more" if others else "")
    ours = (name, result.valid_accuracy, result.test_accuracy, result.seconds)
    rivals = [(each.name, each.valid_accuracy, each.test_accuracy, each.seconds) for each in result.rivals]
    rows = [(name, percent(valid), percent(test), span(took)) for name, valid, test, took in (*rivals, ours)]
    return table("In the same seconds", ("", ">Validation", ">Test", ">Time"), rows)


def _by_class(result: PipelineResult, task: Task) -> None:
    """Accuracy of each class, and what it was taken for."""
    names, confusion = [*map(in_a_line, task.class_names)], result.report.confusion
    if not confusion.sum():
        return
    wrong = confusion.copy()
    wrong[range(len(names)), range(len(names))] = 0
    rows = []
    for index, name in enumerate(names):
        worst = int(wrong[index].argmax())
        mistaken = f"{names[worst]} ({wrong[index, worst]})" if wrong[index, worst] else ""
        rows.append((name, str(confusion[index].sum()), percent(result.report.recall[index]), mistaken))
    if len(rows) > MOST_CLASSES:
        rows = sorted(rows, key=lambda row: float(row[2].rstrip("%")) if row[2] != "-" else 101.0)[:MOST_CLASSES]
    title = "Test images by class" if len(rows) == len(names) else f"Test images of the {len(rows)} classes told worst"
    console().print(table(title, ("Class", ">Images", ">Right", "Most often taken for"), rows))


def plain(result: PipelineResult, exported: Exported) -> dict[str, Any]:
    """What a search tells as JSON values."""
    from dataclasses import asdict

    trained = [{**asdict(each), "architecture": str(each.architecture)} for each in result.trained]
    report = {**asdict(result.report), "confusion": result.report.confusion.tolist()}
    del report["taken"], report["places"]
    return {
        "run": result.folder.name,
        "architecture": str(result.best),
        "valid_accuracy": result.valid_accuracy,
        "test_accuracy": result.test_accuracy,
        "temperature": result.temperature,
        "report": report,
        "rivals": [asdict(each) for each in result.rivals],
        "trained": trained,
        "seconds": result.seconds,
        "resumed": result.resumed,
        "notes": list(result.notes),
        "weights": str(exported.weights),
        "program": str(exported.program),
    }
