"""`metad2a recommend`: the ranked pipelines, or architectures of a space, for a dataset, as a table or as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from databases.errors import UserError, unknown
from databases.usual import AUTOMATIC, DEFAULT_SPACE, LISTED, LOOKED_AT, MEASURING_RECIPE, SEARCHED_SPACE, USUAL_SECONDS
from metad2a.cli import pipeline
from metad2a.cli.folders import check_output_folder
from metad2a.cli.options import (
    Also,
    AnySpace,
    Data,
    Groups,
    Json,
    MaxFlops,
    MaxLatency,
    MaxParams,
    Model,
    Output,
    Seed,
    Target,
    check_meaning,
    default_database,
    how_many,
    stored,
)
from metad2a.cli.output import WIDTH, console, print_json, reporting, table, tell_written
from metad2a.recommend.amounts import amount
from metad2a.reports.words import percent, short, span
from metad2a.retrain.open_model import open_model

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from databases.architectures.skeleton import Skeleton
    from databases.architectures.space import Architecture, Space
    from metad2a.cli.tables import FittedTable
    from metad2a.recommend.model import MetaD2A
    from metad2a.recommend.recommendation import Candidate, Recommendation

WRITTEN_OUT = 20
RETRAIN_FIRST = "the database has records of it: run metad2a retrain, then add --model challenger"


# long, since an option is a line, and its help stands beside it
def recommend(
    context: typer.Context,
    data: Data,
    top: Annotated[
        str, typer.Option("--top", metavar="N|all", help="How many to list, beside the front of accuracy against cost.")
    ] = str(LISTED),
    space: AnySpace = SEARCHED_SPACE,
    also: Also = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="TIME",
            help="Training time that accuracies hold for (pipeline).",
            show_default=f"{USUAL_SECONDS:g}s",
        ),
    ] = None,
    max_params: MaxParams = None,
    max_flops: MaxFlops = None,
    seed: Seed = 0,
    images_per_class: Annotated[
        int, typer.Option("--images-per-class", min=1, help="How many training images of a class to look at.")
    ] = LOOKED_AT,
    candidates: Annotated[
        Literal["generator", "all", "both"],
        typer.Option("--candidates", help="Cells drawn for these data, the whole space, or both."),
    ] = "both",
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="The training that accuracies hold for.",
            show_default=f"{MEASURING_RECIPE}; with --device one of the size that its latencies are of",
        ),
    ] = None,
    target: Target = None,
    max_latency: MaxLatency = None,
    prefer: Annotated[
        Literal["accuracy", "balanced", "latency"],
        typer.Option(
            "--prefer",
            help="Order by accuracy; by accuracy minus latency, both scaled to 0..1 along the accuracy-latency front "
            "(balanced); or by accuracy minus three times latency.",
        ),
    ] = "accuracy",
    groups: Groups = AUTOMATIC,
    model: Model = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Tell what fits your images: expected accuracy, interval and cost of each, and why. Fine-tunes nothing.

    Probes of pretrained networks look at your images for a few seconds; what --budget of fine-tuning would add is
    learnt from other datasets. In the space nasbench201, cells to train from scratch are ranked in their place.
    """
    from databases.architectures.spaces.pipeline import PipelineSpace
    from databases.datasets.loading import load_task

    count, parameters = how_many(top), amount(max_params, "--max-params")
    flops = amount(max_flops, "--max-flops")
    check_meaning(context, space)
    written = ("recommendation.json", "front.svg", "front.png")
    if isinstance(_ranked(space), PipelineSpace):
        check_output_folder(output, *written, data=data)
        pipeline.recommend(
            data,
            (parameters, flops, max_latency),
            top=count,
            budget=budget,
            seed=seed,
            groups=groups,
            also=pipeline.only_one(also),
            database=default_database(context),
            output=output,
            json=json,
        )
        return
    check_output_folder(output, *written, "overview.svg", "overview.png", "cell-1.svg", data=data)
    with reporting("Reading the images ...") as reporter:
        from metad2a.recommend.here import timed_here
        from metad2a.recommend.limits import Limits
        from metad2a.recommend.measured import measured_here

        limits = Limits(parameters, flops, max_latency, target, prefer)
        _ = limits.target  # an unknown device is refused before any image is read
        asked = None if model is None else open_model(model)  # may know more recipes than the shipped one
        _check_recipe(recipe, asked, default_database(context))
        task = load_task(data, seed=seed, looking=True, groups=groups, on_progress=reporter.reading)
        reporter.now("Ranking the cells ...")
        answer = (asked or open_model(None)).recommend(
            task,
            top=None,
            seed=seed,
            images_per_class=images_per_class,
            candidates=candidates,
            recipe=recipe,
            limits=limits,
        )
        with stored(default_database(context)) as store:
            answer = measured_here(answer, store)
        reporter.now("Timing a few steps ...")
        answer = timed_here(replace(answer, candidates=answer.candidates[:count]), task)
    if output is not None:
        write(answer, output)
    if json:
        print_json(answer.to_json())
    else:
        show(answer, data, console())


def _ranked(space: str) -> Space:
    """The space of that name; refuses one that there is not, and one that nothing shipped ranks."""
    from databases.architectures.space import SPACES

    if space not in SPACES:
        raise unknown("space", space, [SEARCHED_SPACE, DEFAULT_SPACE])
    if not SPACES[space].ranked:
        raise UserError(
            f"given the space {space!r}; what can be recommended are {SEARCHED_SPACE} and {DEFAULT_SPACE}; "
            f"metad2a search --space {space} searches there"
        )
    return SPACES[space]


def _check_recipe(recipe: str | None, model: MetaD2A | None, database: str | None) -> None:
    """Refuses a recipe unknown to the model (None: the shipped one), with advice where the database knows it."""
    from databases.records.recipe import recipe as named_recipe

    if recipe is None:
        return
    try:
        (named_recipe if model is None else model.recipe)(recipe)
    except UserError as problem:
        with stored(database) as store:
            known = store is not None and any(each.recipe == recipe for each in store.summary())
        raise UserError(f"{problem}; {RETRAIN_FIRST}" if known else str(problem)) from None


def write(answer: Recommendation, folder: Path) -> None:
    """Writes the files of ``--output``."""
    from metad2a.reports.plots import write_recommendation

    with reporting("Drawing ..."):
        names = write_recommendation(answer, folder)
    tell_written(names, folder)


def show(answer: Recommendation, data: str, to: Console) -> None:
    """Prints an answer for people."""
    to.print(_candidates(answer, data))
    if to.width < WIDTH:  # the table folds its cells, so those that fit on a page are written out once more
        for rank, each in enumerate(answer.candidates[:WRITTEN_OUT], start=1):
            to.print(f"{rank:>4}  {compact(each.architecture)}", soft_wrap=True)
    to.print(_paragraph("Data", answer.data))
    to.print(_paragraph("Why", answer.reason))
    if answer.best.expected_accuracy is not None and answer.best.interval is not None:
        low, high = answer.best.interval
        told = f"#1 is expected at {answer.best.expected_accuracy:.1f}% (80%: {low:.1f} to {high:.1f})"
        if any(each.behind for each in answer.candidates[1:]):
            told += "; most of that is the level of the data, the same for all: compare by Behind #1, what each lacks "
            told += "of it (80%)"
        to.print(_paragraph("Level", told))
    to.print(_paragraph("Recipe", describe_recipe(answer.recipe, answer.best.skeleton)))
    if answer.device is not None:
        to.print(_paragraph("Latency", f"one pass of networks of {answer.device.network}, with its 80% interval"))
    nearest = ", ".join(f"{each.name} ({each.distance:.2f})" for each in answer.nearest)
    to.print(
        _paragraph("Nearest", f"{nearest or 'no known datasets'}; 1 is the distance of unrelated ones{_limit(answer)}")
    )
    if answer.unlike:
        warning = "these data are unlike all that was learnt: take the figures with care"
        to.print(_paragraph("Warning", warning, "bold yellow"))
    for note in answer.notes:
        to.print(_paragraph("Note", note))


def _limit(answer: Recommendation) -> str:
    return "" if answer.limit is None else f", and beyond {answer.limit:.2f} data count as unlike all that was learnt"


def compact(architecture: Architecture) -> str:
    """The architecture as tables show it and `train --architecture` takes it."""
    from databases.architectures.space import space

    return space(architecture.space).brief(architecture)


def describe_recipe(name: str, skeleton: Skeleton) -> str:
    """The recipe in one line; of one that is not metad2a's, the size of the network."""
    from databases.records.recipe import RECIPES

    it = RECIPES.get(name)
    network = it or skeleton
    cells = "1 cell" if network.cells == 1 else f"{network.cells} cells"
    size = f"{name}: {network.channels} channels, {cells} a stage"
    if it is None:
        return f"{size}; how it trains is not known here"
    steps = f", at least {it.least_steps} steps" if it.least_steps else ""
    return f"{size}, {it.epochs} epochs of {it.resolution} px images in batches of {it.batch}{steps}"


def _candidates(answer: Recommendation, data: str) -> FittedTable:
    last = "From" if answer.device is None else f">ms on {answer.device.name}"
    headings = ("#", "Cell", ">Accuracy", ">Behind #1", ">Params", ">FLOPs", ">Training", last)
    rows = (_row(rank, each) for rank, each in enumerate(answer.candidates, start=1))
    return table(f"Networks for {data}", headings, rows)


def _row(rank: int, candidate: Candidate) -> tuple[str, ...]:
    return (
        str(rank),
        compact(candidate.architecture),
        percent(candidate.expected_accuracy),
        "-" if candidate.behind is None or rank == 1 else "{:z.1f} ({:z.0f} to {:z.0f})".format(*candidate.behind),
        short(candidate.parameters),
        short(candidate.flops),
        span(candidate.expected_seconds),
        candidate.origin if candidate.latency_ms is None else _latency(candidate),
    )


def _latency(candidate: Candidate) -> str:
    """``12.3 (11.0 to 14.1)``, milliseconds and the 80% interval."""
    low, high = candidate.latency_interval_ms or (0.0, 0.0)
    return f"{candidate.latency_ms:.3g} ({low:.3g} to {high:.3g})"


def _paragraph(heading: str, text: str, style: str = "bold") -> Table:
    """A heading and, beside it, text that folds."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=8)
    grid.add_column()
    grid.add_row(Text(heading, style), Text(text))
    return grid
