"""`metad2a runs` and `export`: what earlier searches and trainings left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from databases.errors import UserError
from metad2a.cli.folders import check_output_folder
from metad2a.cli.options import Json
from metad2a.cli.output import console, print_json, table
from metad2a.cli.recommend import compact
from metad2a.reports.words import percent, span

if TYPE_CHECKING:
    from metad2a.export.export import Exported


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, as search and train print it.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for model.safetensors and model.py.")],
    form: Annotated[
        Literal["torch", "onnx", "mlflow"],
        typer.Option(
            "--format", help="onnx also writes model.onnx (extra onnx), mlflow a folder for mlflow models serve."
        ),
    ] = "torch",
    register: Annotated[
        str | None,
        typer.Option("--register", metavar="NAME", help="Also a new version of this model in MLflow's registry."),
    ] = None,
    json: Json = False,
) -> None:
    """Write the best network of a run as weights and a model.py that needs torch alone."""
    from metad2a.search.runs import export_run

    check_output_folder(output, *_more(form), network=True)
    if register is not None and form != "mlflow":
        raise UserError("--register means nothing without --format mlflow: add that, or leave it out")
    if register is not None:
        from metad2a.export.mlflow_model import check_model_name

        check_model_name(register)
    exported = export_run(run, output)
    more = _in_form(form, exported, register, run)
    if json:
        print_json({"run": run, **files_of(exported), **more, **told_of_card(exported)})
        return
    to, card = console(), exported.card
    to.print(f"{card.architecture}{_with(card.others)} for {card.task}, recipe {card.recipe}", soft_wrap=True)
    to.print(f"validation {percent(card.valid_accuracy)}, test {percent(card.test_accuracy)}")
    print_files(exported)
    if "onnx" in more:
        to.print(f"Written: {more['onnx']}, the same network as ONNX.", soft_wrap=True)
    if "mlflow" in more:
        told = f"{more['mlflow']}: mlflow models serve -m {more.get('registered', more['mlflow'])} --env-manager local"
        to.print(told, soft_wrap=True)


def _in_form(form: str, exported: Exported, register: str | None, run: str) -> dict[str, str]:
    """Writes the other forms that were asked for; where each is."""
    if form == "onnx":
        from metad2a.export.onnx import export_onnx

        return {"onnx": str(export_onnx(exported.folder))}
    if form != "mlflow":
        return {}
    from metad2a.export.mlflow_model import export_mlflow, register_network

    folder = export_mlflow(exported)
    registered = {} if register is None else {"registered": register_network(folder, register, run)}
    return {"mlflow": str(folder), **registered}


def _more(form: str) -> tuple[str, ...]:
    """What a form writes beside the weights and their program; raises UserError where it cannot be written here."""
    if form == "onnx":
        from metad2a.export.onnx import ONNX, check_packages

        check_packages()
        return (ONNX,)
    if form == "mlflow":
        from metad2a.export.mlflow_model import FOLDER

        return (FOLDER,)
    return ()


def runs(json: Json = False) -> None:
    """List the runs of search and train, the latest first."""
    from metad2a.search.run_list import all_runs, unreadable_runs

    found, broken = all_runs(), unreadable_runs()
    if json:
        print_json({"runs": [each.to_json() for each in found], "unreadable": broken})
        return
    headings = ("=Run", "Best", ">Validation", ">Test", ">Trained", ">Time", "Last")
    rows = (
        (
            each.name,
            "-" if each.best is None else f"{compact(each.best)}{_with(each.others)}",
            percent(each.valid_accuracy),
            percent(each.test_accuracy),
            str(each.trained),
            span(each.seconds),
            f"{each.last:%Y-%m-%d %H:%M}",
        )
        for each in found
    )
    console().print(table(None, headings, rows) if found else "No run yet: metad2a search DATA makes one.")
    for each in broken:
        console().print(f"Cannot be read: {each}", markup=False, highlight=False)


def _with(others: int) -> str:
    """What follows the name of a network that does not answer alone."""
    return f" and {others} more" if others else ""


def print_files(exported: Exported) -> None:
    """Says where the network is."""
    to = console()
    to.print(f"Written: {exported.weights} and {exported.program.name}, which loads it.", soft_wrap=True)


def told_of_card(exported: Exported) -> dict[str, Any]:
    """What the JSON tells of a network."""
    card = exported.card
    return {
        "architecture": card.architecture,
        "others": card.others,
        "valid_accuracy": card.valid_accuracy,
        "test_accuracy": card.test_accuracy,
        "recipe": card.recipe,
        "seed": card.seed,
        "task": card.task,
        "fingerprint": card.fingerprint,
        "complete": card.complete,
    }


def files_of(exported: Exported) -> dict[str, str]:
    """Where it is."""
    return {"weights": str(exported.weights), "program": str(exported.program)}
