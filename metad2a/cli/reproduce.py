"""`metad2a reproduce`: the published systems, each shown by one command."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metad2a.cli.folders import check_output_folder
from metad2a.cli.options import (
    DatabaseUrl,
    Images,
    Json,
    NoTracking,
    Output,
    Seed,
    Workers,
    open_to_read,
    open_tracker,
)
from metad2a.cli.output import console, print_json, reporting, table
from metad2a.reproduce import LINES
from metad2a.runtime.home import database_path, home, shared_images

if TYPE_CHECKING:
    from metad2a.reports.report import Report


def reproduce(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of the demonstrations below.", show_default=False)],
    fast: Annotated[
        bool, typer.Option("--fast", help="About 15 s in one process: fewer seeds and loose, for CI.")
    ] = False,
    seed: Seed = 0,
    workers: Workers = 2,
    images: Images = None,
    output: Output = None,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
    json: Json = False,
) -> None:
    """Show that a published system works here: its tables, figures and verdicts.

    A verdict that fails is said so and ends with status 0 like one that holds; what --fast is too short to tell is
    not called a failure. Everything is also written to
    --output, by default to reproduce/NAME in the home folder.
    """
    from metad2a.reproduce import find_demonstration

    found = find_demonstration(name)
    folder = output or home() / "reproduce" / name
    check_output_folder(folder, "report.json", "tables.md", "figure.png", "figure.svg")
    kept = home() / "reproduce" / f"{name}-{seed}.trainings"
    if fast:
        workers = 1  # starting processes takes longer than the work
    with open_to_read(database), reporting(f"{name} ...") as reporter:
        from metad2a.reproduce.demonstration import Context

        report = found.report(
            Context(
                fast=fast,
                seed=seed,
                database=database or str(database_path()),
                images=images or shared_images(),
                workers=workers,
                say=reporter.line,
                trainings=None if fast else kept,
            )
        )
    from metad2a.reports.publish import track_report, write_report

    files = write_report(report, folder)
    if not fast:
        shutil.rmtree(kept, ignore_errors=True)
    told: dict[str, object] = {"fast": fast, "seed": seed, "workers": workers}
    track_report(report, open_tracker(no_tracking), folder, parameters=told)
    answer(report, folder, files, json=json)


def listing() -> str:
    """All demonstrations, one line each, as the end of the help."""
    width = max(map(len, LINES))
    lines = [f"  {name.ljust(width)}  {line}" for name, line in LINES.items()]
    return "\n".join(["\b", "Demonstrations:", *lines])


def answer(report: Report, folder: Path, files: list[str], *, json: bool, **more: Any) -> None:
    """Prints a report that was written to ``files`` in ``folder``; ``more`` joins its JSON."""
    if json:
        print_json({**report.to_json(), **more, "folder": str(folder), "files": files})
    else:
        show(report)
        console().print(f"Written: {', '.join(files)} in {folder}", soft_wrap=True)


def show(report: Report) -> None:
    """Prints the tables, the verdicts and what they come to."""
    from metad2a.reports.publish import summary, verdict_table

    to = console()
    to.print(f"{report.system} ({report.source})")
    to.print(report.setting)
    for each in (*report.tables, *([verdict_table(report)] if report.verdicts else [])):
        to.print(table(each.title, each.headings, each.rows))
    if report.verdicts:
        to.print(summary(report))
