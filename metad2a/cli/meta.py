"""`metad2a retrain`, `evaluate` and `info`: how the meta-model is made, what it reaches, what is here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from databases.errors import UserError
from databases.usual import MEASURING_RECIPE
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
        reporter.line(f"pipelines, learnt anew in each command: {experience(store)}")
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
        print_json(_retrained(result, recipe))
    else:
        _show_retrained(result, console())
    if tracker.failure is not None:
        raise UserError(
            f"{target} is written, but MLflow did not register it ({tracker.failure}): --model challenger is not this "
            f"one; use --model {target}, or mend that and give the same command again"
        )


def evaluate(
    final: Annotated[
        bool, typer.Option("--final", help="Open CIFAR-10 and MNIST too; the model card logs each opening.")
    ] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="In a minute, from the package alone: less than all figures.")
    ] = False,
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
    """
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
