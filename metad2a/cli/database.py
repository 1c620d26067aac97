"""`metad2a database ...`: what is known, where it comes from, and how more is measured."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from databases.errors import UserError
from databases.paths import user_path
from databases.usual import DEFAULT_SPACE, MEASURING_RECIPE
from metad2a.cli.folders import check_output_file
from metad2a.cli.options import (
    DatabaseUrl,
    Executor,
    Images,
    Json,
    Seed,
    Workers,
    given,
    named,
    open_store,
    open_to_read,
    shown,
    stored,
)
from metad2a.cli.output import Reporter, console, print_json, reporting, table
from metad2a.reports.words import percent, span

if TYPE_CHECKING:
    from collections.abc import Callable

    from metad2a.build.build import Built

app = typer.Typer(help="What is known: import, measure, look at and export records.")
imports = typer.Typer(help="Add published measurements, a table of your own, or a file that export wrote.")
app.add_typer(imports, name="import")


@imports.command("nasbench201")
def import_nasbench201(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NAS-Bench-201-v1_1-096897.pth or accuracy.csv.gz.")],
    database: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Add NAS-Bench-201: the official file, read as data only, or the compact table."""
    from databases.records.importers.tables import import_nasbench201

    _import(import_nasbench201, file, database, json=json)


@imports.command("metad2a")
def import_metad2a(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder of metad2a_meta_train.csv.gz and its like.")
    ],
    database: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Add MetaD2A's own meta-training records: 20-class tasks drawn from ImageNet."""
    from databases.records.importers.tables import import_metad2a

    _import(import_metad2a, folder, database, json=json)


@imports.command("table")
def import_table(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .csv.gz table.")],
    database: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Add a benchmark of your own: task, architecture, recipe, value, seed; images or features beside it.

    \b
    task,architecture,recipe,value,seed,images
    leaves,|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|,mine,81.5,0,leaves/
    leaves,|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|,mine,79.2,0,

    \b
    value     accuracy on held-out images in percent, or another score (0 to 100, higher is better)
    seed      whole number from 0; -1 for a mean over seeds
    images    the task's labelled images, as recommend takes them; once a task is enough
    features  in their place: .npz with features (m, 192) and labels (m,)
    recipe    a name of your own; if you like, channels, cells and resolution of its network
    source    if you like: tasks with related images share one, and are held out together
    groups    if you like: what belongs together among images, as recommend's --groups
    space     if you like: pipeline ("own 48px all rate0.03 whole", recipe probe, 400-steps-anew of own weights,
              400-steps of others), or another in which search trains; empty: nasbench201

    Paths begin at the folder of the table. Afterwards metad2a retrain learns from cells, and recommend and search from
    pipelines, where that helps (metad2a info tells).
    """  # noqa: D301 (typer wants the character)
    from databases.records.importers.own_table import import_table as read

    _import(read, file, database, json=json, notes=True)


@imports.command("records")
def import_records(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A .csv.gz that database export wrote.", show_default="our own, shipped ones"
        ),
    ] = None,
    database: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Add tasks and records that database export wrote; without FILE those that come with metad2a."""
    from metad2a.build.shipped import MEASUREMENTS

    _import(lambda store, path: store.import_csv(path), file or MEASUREMENTS, database, json=json)


# long, since an option is a line, and its help stands beside it
@app.command()
def build(
    context: typer.Context,
    tasks: Annotated[int, typer.Option("--tasks", min=1, help="Tasks to draw from the image sources.")] = 60,
    per_task: Annotated[int, typer.Option("--per-task", min=1, help="Cells, or subnets, to measure on a task.")] = 17,
    recipe: Annotated[str, typer.Option("--recipe", help="How to train cells.")] = MEASURING_RECIPE,
    workers: Workers = 2,
    executor: Executor = "processes",
    judged: Annotated[
        int,
        typer.Option("--judged", min=0, help="Tasks that take what is common to all under several seeds."),
    ] = 10,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Seeds on a judged task.")] = 3,
    seed: Seed = 0,
    space: Annotated[
        Literal["nasbench201", "pipeline", "residual-subnets", "mobilenetv3-subnets"],
        typer.Option(
            "--space",
            help="Cells; whole pipelines, of which a task takes all; or subnets of a pretrained base, without training "
            "(tasks are some of its classes; --per-task counts subnets, all on every task).",
        ),
    ] = DEFAULT_SPACE,
    images: Images = None,
    database: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Measure cells, pipelines or subnets on varied tasks; what the database holds is not measured again."""
    from metad2a.build.builders import BUILDERS, BuildOptions, build_space
    from metad2a.runtime.home import features_folder, images_folder
    from metad2a.runtime.place import Place

    options = BuildOptions(tasks, per_task, recipe, judged, seeds, seed)
    for option in given(context):
        if hasattr(options, option.name) and option.name not in BUILDERS[space].means:
            name = named(context, option)
            raise UserError(f"given {name} with the space {space!r}, of which it says nothing: leave it out")
    with open_store(database) as store, reporting("Drawing the tasks, and measuring the first ...") as reporter:
        begun = time.monotonic()
        built = build_space(
            store,
            images or images_folder(),
            options,
            space=space,
            place=Place(workers=workers, executor=executor),
            cache=features_folder(),
            on_progress=lambda each: _tell(reporter, each, begun),
            on_death=lambda death: reporter.line(str(death)),
        )
    if json:
        print_json({"measured": built.done, "known": built.known, "left": built.left})
    else:
        console().print(f"{built.done:,} measured, {built.known:,} known before, {built.left:,} left")


@app.command()
def info(database: DatabaseUrl = None, json: Json = False) -> None:
    """Count what the database holds, by source and recipe."""
    with stored(database) as store:
        tasks, summary = (0, []) if store is None else (len(store.tasks()), store.summary())
    place = shown(database)
    if json:
        sources = [asdict(each) for each in summary]
        print_json({"database": place, "tasks": tasks, "sources": sources})
        return
    headings = ("Source", "Recipe", ">Tasks", ">Architectures", ">Records")
    rows = [
        (each.source, each.recipe, f"{each.tasks:,}", f"{each.architectures:,}", f"{each.records:,}")
        for each in summary
    ]
    to = console()
    to.print(f"{place}: {tasks:,} tasks, {sum(each.records for each in summary):,} records", soft_wrap=True)
    if rows:
        to.print(table(None, headings, rows))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .csv.gz to write.")],
    source: Annotated[
        str | None, typer.Option("--source", help="Only the records of this source, such as own.")
    ] = None,
    database: DatabaseUrl = None,
    json: Json = False,
) -> None:
    """Write records and their tasks to one compressed file; the same content gives the same bytes."""
    from metad2a.runtime.files import written_file

    file = user_path(file)
    check_output_file(file, option="FILE")
    with open_to_read(database) as store, written_file(file) as draft:
        count = store.export_csv(draft, source=source)
    if json:
        print_json({"file": str(file), "records": count})
    else:
        console().print(f"{count:,} records written to {file}", soft_wrap=True)


def _import(read: Callable[..., int], path: Path, database: str | None, *, json: bool, notes: bool = False) -> None:
    """Reads a file into the database; ``notes`` is whether that tells of what it read."""
    with open_store(database) as store, reporting(f"Reading {path.name} ...") as reporter:
        new = read(store, path, say=lambda note: reporter.line(f"note: {note}")) if notes else read(store, path)
    if json:
        print_json({"path": str(path), "new": new})
    else:
        console().print(f"{new:,} new records from {path}", soft_wrap=True)


def _tell(reporter: Reporter, built: Built, begun: float) -> None:
    """One measurement of a build, on stderr."""
    total, done = built.known + built.done + built.left, built.known + built.done
    record = built.record
    said = "" if record is None else f", last: test {percent(record.test_accuracy)}"
    said += f", {span((time.monotonic() - begun) / max(1, built.done) * built.left)} left"
    reporter.now(f"{done:,} of {total:,} measured{said}", done=done, total=total)
    if built.done % 25 == 0 or built.left == 0:
        reporter.line(f"{done:,} of {total:,} measured{said}")
