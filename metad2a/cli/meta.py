"""`metad2a retrain`, `evaluate` and `info`: how the meta-model is made, what it reaches, what is here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from databases.errors import UserError
from databases.usual import DEFAULT_SPACE, MEASURING_RECIPE
from metad2a.cli.folders import check_output_file, check_output_folder
from metad2a.cli.options import (
    DatabaseUrl,
    Images,
    Json,
    Model,
    NoTracking,
    Seed,
    default_database,
    open_store,
    open_tracker,
    shown,
    stored,
)
from metad2a.cli.output import console, print_json, reporting, table
from metad2a.retrain.open_model import open_model
from metad2a.runtime.home import features_folder, home, home_path, shared_images

if TYPE_CHECKING:
    from rich.console import Console

    from metad2a.recommend.experience import Experience
    from metad2a.retrain.retrain import RetrainResult


# long, since an option is a line, and its help stands beside it
def retrain(
    start: Annotated[
        Path,
        typer.Option(
            "--from",
            metavar="shipped|champion|challenger|scratch|FILE",
            help="The model whose encoders stay; scratch meta-trains all anew, on published tables.",
        ),
    ] = Path("shipped"),
    recipe: Annotated[str, typer.Option("--recipe", help="Recipe whose tasks judge the model.")] = MEASURING_RECIPE,
    seed: Seed = 0,
    images: Images = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Checkpoint to write.", show_default="meta.safetensors at home"),
    ] = None,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
    json: Json = False,
) -> None:
    """Learn from what the database holds, and meet the champion.

    Given again, the same command goes on where it was stopped. The result becomes MLflow's challenger, and its
    champion if it is better on held-out tasks. Use it with --model FILE, --model challenger or --model champion.
    """
    target = output or home() / "meta.safetensors"
    check_output_file(target, option="--output")
    with open_store(database) as store, reporting("Reading the database ...") as reporter:
        from metad2a.recommend.experience import experience
        from metad2a.retrain.retrain import retrain as run

        begin = None if str(start) == "scratch" else open_model(None if str(start) == "shipped" else start)
        pipelines = experience(store)
        reporter.line(f"pipelines, learnt anew in each command: {pipelines}")
        if pipelines.own and not store.keys(space=DEFAULT_SPACE):
            _show_pipelines(pipelines, json=json)
            return
        tracker = open_tracker(no_tracking)
        result = run(
            store,
            images=images or shared_images(),
            output=target,
            work=home() / "retrain",
            cache=features_folder(),
            tracker=tracker,
            start=begin,
            recipe=recipe,
            seed=seed,
            on_progress=reporter.line,
        )
    if json:
        print_json({**_retrained(result, recipe), "pipelines": pipelines.to_json()})
    else:
        _show_retrained(result, console())
    if tracker.failure is not None:
        raise UserError(
            f"{target} is written, but MLflow did not register it ({tracker.failure}): --model challenger is not this "
            f"one; use --model {target}, or mend that and give the same command again"
        )


# long, since an option is a line, and its help stands beside it
def evaluate(
    final: Annotated[
        bool, typer.Option("--final", help="Open CIFAR-10 and MNIST too; the model card logs each opening.")
    ] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="In a minute, from the package alone: less than all figures.")
    ] = False,
    space: Annotated[
        Literal["nasbench201", "pipeline", "residual-subnets", "mobilenetv3-subnets"],
        typer.Option("--space", help="Cells; what is foretold of pipelines and lost by choosing; or order of subnets."),
    ] = DEFAULT_SPACE,
    records: Annotated[
        Path | None,
        typer.Option(
            "--records",
            metavar="FILE",
            help="Pipelines or subnets that database export wrote.",
            show_default="the shipped ones",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Also write JSON, tables and a figure into this folder."),
    ] = None,
    json: Json = False,
) -> None:
    """Print the figures of the meta-model on held-out tasks, with the simple rivals beside them.

    Prints the tables of the model card, then tau, spread, noise and noise ceiling of every held-out task, as
    Markdown. --output writes evaluation.json, that text as evaluation.md, and curves as evaluation.png and .svg; with
    --fast they are called evaluation-fast. The search loop is shown by `metad2a reproduce loop`, a benchmark that is
    not ours by `scripts/foreign_benchmark.py`.

    With --space pipeline what fine-tuning reaches is foretold for sources left out, then what choosing by that loses,
    and searchers on measured pipelines (some minutes; --fast: the first alone). With a space of subnets: their order,
    the level, and unless --fast generator, random search and evolution. --output writes report.json and tables.md.
    """
    from metad2a.evaluate.of_spaces import REPORTS

    if space in REPORTS:
        if final:
            raise UserError(f"given --final with the space {space!r}, where nothing is held back for it: leave it out")
        _evaluate_space(space, records, fast=fast, output=output, json=json)
        return
    if records is not None:
        raise UserError(f"given --records with the space {space!r}, whose figures are of the package: leave it out")
    stem = "evaluation-fast" if fast else "evaluation"
    check_output_folder(output, *(f"{stem}.{suffix}" for suffix in ("md", "png", "svg", "json")))
    with reporting("Reading the database ...") as reporter:
        from metad2a.evaluate.evaluation import evaluate as run

        figures = run(final=final, fast=fast, output=output, on_progress=reporter.line)
    if json:
        print_json(figures)
    else:
        from metad2a.evaluate.evaluation_report import report

        print(report(figures), end="")


def _evaluate_space(space: str, records: Path | None, *, fast: bool, output: Path | None, json: bool) -> None:
    """What is told of another space than that of cells."""
    check_output_folder(output, "report.json", "tables.md")
    with reporting("Reading the records ...") as reporter:
        from metad2a.evaluate.of_spaces import report_of
        from metad2a.reports.publish import markdown, write_report

        found = report_of(space, records, fast=fast, say=reporter.line)
        if output is not None:
            reporter.line(f"Written: {', '.join(write_report(found, output))} in {output}")
    if json:
        print_json(found.to_json())
    else:
        print(markdown(found), end="")


def info(
    context: typer.Context,
    model: Model = None,
    card: Annotated[bool, typer.Option("--card", help="Print the whole card of the meta-model.")] = False,
    json: Json = False,
) -> None:
    """Show versions, folders and where networks train; with --card, how the meta-model was made and what it reaches."""
    facts = _facts(model, default_database(context))
    if json:
        print_json(facts)
        return
    to, text = console(), facts.pop("card")
    versions = facts.pop("versions")
    rows = [(name, str(value)) for name, value in {**versions, **facts}.items()]
    to.print(table(None, ("", ""), rows))
    if card:
        to.print(text or "This meta-model has no card.")
    elif text:
        to.print("How the meta-model was made and what it reaches: metad2a info --card")


def _show_pipelines(pipelines: Experience, *, json: bool) -> None:
    """Of a database without cells: whether its pipelines are learnt from, which needs no file."""
    if json:
        print_json({"pipelines": pipelines.to_json()})
    else:
        console().print(f"{pipelines}. The database holds no cells, so no model of these was made.", soft_wrap=True)


def _retrained(result: RetrainResult, recipe: str) -> dict[str, Any]:
    """The JSON of a retraining."""
    kept = {name: result.header[name] for name in ("held_out", "tasks", "architectures", "seed")}
    return {
        "model": str(result.path),
        "weights": result.weights,
        "recipe": recipe,
        **kept,
        "version": result.version,
        "promoted": result.promoted,
        "comparison": None if result.comparison is None else result.comparison.to_json(),
    }


def _show_retrained(result: RetrainResult, to: Console) -> None:
    to.print(f"Written: {result.path} (sha256 {result.weights}...)", soft_wrap=True)
    if result.held_out_tau is not None:
        to.print(table(None, ("Kendall tau inside held-out tasks", ""), _held_out(result.header["held_out"])))
    if result.comparison is not None:
        to.print(f"Against the champion {result.comparison.champion}: {result.comparison.verdict}", soft_wrap=True)
    if result.version is not None:
        place = "champion" if result.promoted else "challenger"
        to.print(f"In MLflow: version {result.version}, {place}")


def _number(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)


def _held_out(figures: dict[str, float | None]) -> Iterator[tuple[str, str]]:
    names = {"tau": "this model", "tau_best_on_average": "best on average"}
    return ((names.get(name, name), _number(value)) for name, value in figures.items())


def _facts(model: Path | None, database: str | None) -> dict[str, Any]:
    from metad2a.recommend.experience import experience
    from metad2a.runtime.versions import versions
    from metad2a.train.torch_place import pick_place

    try:
        loaded = open_model(model)
        weights, card = loaded.weights, loaded.card
    except UserError as problem:
        if model is not None:
            raise
        weights, card = f"none ({problem})", ""
    try:
        with stored(database) as store:
            told = str(experience(store))
    except UserError as problem:
        told = f"yours cannot be read ({problem})"
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home_path() / 'mlflow.db'}"
    return {
        "versions": versions(),
        "trains_on": str(pick_place()),
        "processors": os.cpu_count(),
        "home": str(home_path()),
        "database": shown(database),
        "tracking": re.sub(r"//[^/@]*@", "//", tracking),
        "weights": weights,
        "pipelines": told,
        "card": card,
    }
