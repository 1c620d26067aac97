"""`metad2a predict`: the classes of pictures, by the network of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from metad2a.cli import process
from metad2a.cli.folders import check_output_file, refuse_read_later
from metad2a.cli.options import Json
from metad2a.cli.output import console, print_json, reporting
from metad2a.reports.words import seen
from metad2a.runtime.files import write_results

NO_PICTURE = 1  # exit status where a picture cannot be read


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, or a folder that an export wrote.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES", help="Pictures, or folders or zips of them.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="CSV file to write.", show_default="stdout")
    ] = None,
    json: Json = False,
) -> None:
    """Classify pictures with the network of a run: CSV of file, class and probability."""
    from databases.records.csv_file import csv_text
    from metad2a.search.predict import open_network, predictions, rows_of

    refuse_read_later(output, images, option="--output")
    check_output_file(output, option="--output")
    network = open_network(run)
    failed, notes = list[str](), list[str]()
    with reporting("Classifying the pictures ..."):
        found = list(predictions(network, images, on_failure=failed.append, on_note=notes.append))
    told = csv_text(rows_of(found))
    if output is not None:
        write_results(output.absolute().parent, {output.name: told.encode(errors=process.ESCAPED)})
        console(stderr=True).print(f"Written: {output}", soft_wrap=True)
    if json:
        listed = [{"file": each.file, "class": each.name, "probability": each.probability} for each in found]
        print_json({"predictions": listed, "failed": failed, "notes": notes})
    elif output is None:
        sys.stdout.write(seen(told) if sys.stdout.isatty() else told)
    for each in [*(f"Note: {note}" for note in notes), *failed]:
        console(stderr=True).print(each, soft_wrap=True)
    if failed:
        raise typer.Exit(NO_PICTURE)
