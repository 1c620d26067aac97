"""`metad2a search`, `train` and `export`: real trainings, kept in run folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from metad2a import cli
from metad2a.cli import pipeline
from metad2a.cli.options import (
    PIPELINE,
    AnySpace,
    Budget,
    Data,
    DatabaseUrl,
    Device,
    Groups,
    Json,
    Model,
    NoTracking,
    Output,
    Seed,
    check_meaning,
    check_output_folder,
    duration,
    open_store,
    open_tracker,
)
from metad2a.cli.output import Reporter, console, print_json, reporting, table
from metad2a.cli.pipeline import Augment, Baseline
from metad2a.cli.recommend import compact
from metad2a.reports.words import percent, short, span
from metad2a.retrain.open_model import open_model

if TYPE_CHECKING:
    from databases.datasets.task import Task
    from metad2a.export.export import Exported
    from metad2a.search.result import SearchProgress, SearchResult
    from metad2a.search.run_state import Trained

Space = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="NAME",
        help="Search space, such as nasbench201, mobilenetv3 or enas-micro.",
        show_default="nasbench201",
    ),
]
Recipe = Annotated[str, typer.Option("--recipe", metavar="tiny|shallow|small|standard", help="How to train.")]


def search(
    context: typer.Context,
    data: Data,
    train: Annotated[int, typer.Option("--train", min=1, help="How many cells to train at most.")] = 3,
    budget: Budget = None,
    recipe: Recipe = "small",
    searcher: Annotated[
        str,
        typer.Option("--searcher", metavar="NAME", help="What asks for the next cell, such as zero-shot or random."),
    ] = "surrogate",
    space: AnySpace = PIPELINE,
    augment: Augment = "auto",
    baseline: Baseline = False,
    stop_early: Annotated[
        bool, typer.Option("--stop-early/--train-all", help="Give trainings up whose learning curve is hopeless.")
    ] = True,
    groups: Groups = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    model: Model = None,
    output: Output = None,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
    json: Json = False,
) -> None:
    """Find, train, test and export the network that fits your images, in the seconds of --budget (60 by default).

    Probes of pretrained networks on your images give a working model in seconds; then what promises most is
    fine-tuned in the time that is left, and validation chooses. Given again, the same command goes on where it was
    stopped, and a larger budget goes on further.

    In another --space, such as nasbench201, networks of that space are trained from scratch: recommended ones first,
    then those that promise most improvement a second, given all trainings so far.
    """
    from databases.architectures.space import image_space
    from metad2a.search.controllers import check_name

    seconds = duration(budget)
    check_meaning(context, space)
    if space == PIPELINE:
        ways = pipeline.Ways(augment, baseline, groups, no_tracking=no_tracking, json=json)
        pipeline.search(data, ways, seconds=seconds, seed=seed, output=output)
        return
    check_output_folder(output)
    check_name(searcher)
    chosen = image_space(space)
    with open_store(database) as store, reporting("Reading the images ...") as reporter:
        from metad2a.search.search import check_training
        from metad2a.search.search import search as run

        check_training(recipe, seconds, device)
        asked = open_model(model)
        task = _load(data, seed, groups, reporter)
        reporter.now("Ranking the cells ...")
        result = run(
            asked,
            task,
            train=train,
            seconds=seconds,
            recipe=recipe,
            searcher=searcher,
            space=chosen.name,
            stop_early=stop_early,
            seed=seed,
            store=store,
            tracker=open_tracker(no_tracking),
            device=device,
            begun=cli.started,
            on_progress=lambda each: _tell(reporter, each),
        )
    _answer(result, _copy(result, output), json=json)


def train(
    data: Data,
    architecture: Annotated[
        str, typer.Option("--architecture", metavar="CELL", help="The cell's text, as recommend prints it.")
    ],
    space: Space = None,
    recipe: Recipe = "small",
    groups: Groups = "auto",
    seed: Seed = 0,
    budget: Budget = None,
    device: Device = "auto",
    output: Output = None,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
    json: Json = False,
) -> None:
    """Train, test and export one cell. Given again, the same command goes on where it was stopped."""
    from databases.architectures.space import DEFAULT_SPACE, image_space

    seconds, cell = duration(budget), image_space(space or DEFAULT_SPACE).parse(architecture)
    check_output_folder(output)
    with open_store(database) as store, reporting("Reading the images ...") as reporter:
        from metad2a.search.search import check_training, train_one

        check_training(recipe, seconds, device)
        result = train_one(
            _load(data, seed, groups, reporter),
            cell,
            store=store,
            recipe=recipe,
            seconds=seconds,
            seed=seed,
            tracker=open_tracker(no_tracking),
            device=device,
            begun=cli.started,
            on_progress=lambda each: _tell(reporter, each),
        )
    _answer(result, _copy(result, output), json=json)


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, as search and train print it.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for model.safetensors and model.py.")],
    form: Annotated[
        Literal["torch", "onnx"], typer.Option("--format", help="onnx also writes model.onnx (extra onnx).")
    ] = "torch",
    json: Json = False,
) -> None:
    """Write the best network of a run as weights and a model.py that needs torch alone."""
    from metad2a.search.runs import export_run

    check_output_folder(output)
    exported = export_run(run, output)
    graph: dict[str, str] = {}
    if form == "onnx":
        from metad2a.export.onnx import export_onnx

        graph = {"onnx": str(export_onnx(exported.folder))}
    if json:
        print_json({"run": run, **_files(exported), **graph, **_card(exported)})
        return
    to, card = console(), exported.card
    to.print(f"{card.architecture} for {card.task}, recipe {card.recipe}", soft_wrap=True)
    to.print(f"validation {percent(card.valid_accuracy)}, test {percent(card.test_accuracy)}")
    _print_files(exported)


def runs(json: Json = False) -> None:
    """List the runs of search and train, the latest first."""
    from metad2a.search.run_list import all_runs

    found = all_runs()
    if json:
        print_json({"runs": [each.to_json() for each in found]})
        return
    headings = ("=Run", "Best", ">Validation", ">Test", ">Trained", ">Time", "Last")
    rows = (
        (
            each.name,
            "-" if each.best is None else compact(each.best),
            percent(each.valid_accuracy),
            percent(each.test_accuracy),
            str(each.trained),
            span(each.seconds),
            f"{each.last:%Y-%m-%d %H:%M}",
        )
        for each in found
    )
    console().print(table(None, headings, rows) if found else "No run yet: metad2a search DATA makes one.")


def _load(data: str, seed: int, groups: str, reporter: Reporter) -> Task:
    from databases.datasets.loading import load_task

    task = load_task(data, seed=seed, groups=groups)
    for note in task.notes:
        reporter.line(f"note: {note}")
    return task


def _tell(reporter: Reporter, each: SearchProgress) -> None:
    """One event of a search, on stderr."""
    name = f"{each.number} of {each.count}: {compact(each.architecture)}"
    if each.stage == "epoch" and each.epoch is not None:
        loss = f"loss {each.epoch.train_loss:.3f}"
        text = f"Training {name}, epoch {each.epoch.epoch} of {each.epoch.epochs}, {loss}"
        reporter.now(text, done=each.epoch.epoch, total=each.epoch.epochs)
    elif each.stage == "started":
        reporter.now(f"Training {name}", done=0, total=1)
    elif each.stage == "tested":
        reporter.now("Testing and exporting the best ...")
    elif each.trained is not None:
        took = f"in {span(each.trained.seconds)}"
        how = {"trained": took, "stopped": f"given up {took}: hopeless"}.get(each.stage, "known from before")
        reporter.line(f"{name}: validation {percent(each.trained.valid_accuracy)}, {how}")


def _copy(result: SearchResult, output: Path | None) -> Exported:
    """The exported network, in the folder that was asked for if there is one."""
    from metad2a.export.export import save

    if output is None:
        return result.exported
    return save(result.exported.training, result.exported.card, output)


def _answer(result: SearchResult, exported: Exported, *, json: bool) -> None:
    if json:
        print_json(_plain(result, exported))
        return
    to = console()
    rows = [_row(each, best=each.architecture == result.best) for each in result.trained]
    headings = ("", "Cell", ">Expected", ">Validation", ">Epochs", ">Time", ">Parameters", ">FLOPs")
    to.print(table("Trained networks", headings, rows))
    why = ", the best by validation" if len(result.trained) > 1 else ""
    to.print(f"{result.best}{why}", soft_wrap=True)
    to.print(
        f"validation {percent(result.valid_accuracy)}; test {percent(result.test_accuracy)}, "
        "on images that chose nothing"
    )
    to.print(f"{span(result.seconds)} in all; run {result.folder.name}", soft_wrap=True)
    for note in result.notes:
        to.print(f"Note: {note}")
    _print_files(exported)


def _row(each: Trained, *, best: bool) -> tuple[str, ...]:
    return (
        "*" if best else "",
        compact(each.architecture),
        percent(each.expected_accuracy),
        percent(each.valid_accuracy),
        f"{each.epochs}{'' if each.complete else ' (given up)' if each.stopped else ' (cut)'}",
        span(each.seconds),
        short(each.parameters),
        short(each.flops),
    )


def _print_files(exported: Exported) -> None:
    to = console()
    to.print(f"Written: {exported.weights} and {exported.program.name}, which loads it.", soft_wrap=True)


def _plain(result: SearchResult, exported: Exported) -> dict[str, Any]:
    """The JSON of a search or a training."""
    from dataclasses import asdict

    trained = [{**asdict(each), "architecture": str(each.architecture)} for each in result.trained]
    return {
        "run": result.folder.name,
        **_card(exported),
        "trained": trained,
        "seconds": result.seconds,
        "resumed": result.resumed,
        "stopped_by": result.stopped_by,
        "notes": list(result.notes),
        **_files(exported),
    }


def _card(exported: Exported) -> dict[str, Any]:
    card = exported.card
    return {
        "architecture": card.architecture,
        "valid_accuracy": card.valid_accuracy,
        "test_accuracy": card.test_accuracy,
        "recipe": card.recipe,
        "seed": card.seed,
        "task": card.task,
        "fingerprint": card.fingerprint,
        "complete": card.complete,
    }


def _files(exported: Exported) -> dict[str, str]:
    return {"weights": str(exported.weights), "program": str(exported.program)}
