"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

import math
import re
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from databases.errors import UserError
from databases.usual import DEFAULT_SPACE, SEARCHED_SPACE, USUAL_SECONDS
from metad2a.cli import process
from metad2a.runtime.home import DATABASE, database_path, home_path, home_to_read, picture_room

if TYPE_CHECKING:
    from databases.datasets.task import Task
    from databases.records.store import Store
    from metad2a.cli.output import Reporter
    from metad2a.runtime.tracking import Tracker

_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _location(context: typer.Context, value: str | None) -> str | None:
    """The command's own value, else the one given before the command."""
    found = value or default_database(context)
    if found in ("sqlite://", "sqlite:///", "sqlite:///:memory:", ":memory:"):
        raise UserError(f"given --database {found}, in which nothing would be kept; give a file, or sqlite:///FILE")
    return found


def _tracking_off(context: typer.Context, value: bool) -> bool:
    return value or bool((context.obj or {}).get("no_tracking"))


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Folder of class folders, zip of one, .npz file (x and y) or sklearn:digits.",
        show_default=False,
    ),
]
MaxParams = Annotated[str | None, typer.Option("--max-params", metavar="N", help="Most parameters, such as 300k.")]
MaxFlops = Annotated[
    str | None, typer.Option("--max-flops", metavar="N", help="Most FLOPs for one image, such as 1.5M.")
]
Target = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="Target device of latencies, see metad2a device list."),
]
MaxLatency = Annotated[
    str | None,
    typer.Option(
        "--max-latency",
        metavar="TIME",
        help="Most latency of an image, such as 15ms: on this machine (pipeline), or as predicted for --device "
        "(networks).",
    ),
]
AnySpace = Annotated[
    str,
    typer.Option(
        "--space",
        metavar="NAME",
        help="pipeline (pretrained weights, resolution, fine-tuning), or a space of networks trained from scratch, "
        "such as nasbench201.",
    ),
]
Groups = Annotated[
    str,
    typer.Option(
        "--groups",
        metavar="auto|none|folder|prefix|FILE",
        help="What belongs together and is never divided: near copies by their look, pictures of one folder within a "
        "class folder, with one beginning of their names, or by a CSV file (file, group).",
    ),
]
Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also",
        metavar="timm:NAME[@FILE]|FILE",
        help="A pretrained network of your own that competes too (pipeline): of timm (extra timm), its weights in a "
        "file or downloaded by timm, or a file that metad2a pretrain wrote.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="The same seed gives the same answer.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        callback=_location,
        help="Path or URL (sqlite, postgresql) of the database.",
        show_default="database.db in the home folder",
    ),
]
NoTracking = Annotated[
    bool, typer.Option("--no-tracking", callback=_tracking_off, help="Do not record runs in MLflow.")
]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Folder of image sources.", show_default="the shared data"),
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes, one thread each.")]
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="processes|ray:auto|ray:HOST:PORT",
        help="Where the workers are: here, or in the Ray cluster that this machine belongs to (extra ray).",
    ),
]
Output = Annotated[Path | None, typer.Option("--output", metavar="DIR", help="Also write the result into this folder.")]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model", metavar="FILE|champion|challenger", help="Meta-model to ask.", show_default="the shipped one"
    ),
]
On = Annotated[str, typer.Option("--on", help="auto (CUDA, then MPS, then the CPU), or one of torch's names.")]


def _budget(default: str) -> Any:
    limit = "Time limit, such as 90s, 10m or 1h30m; loading counts too."
    return typer.Option("--budget", metavar="TIME", help=limit, show_default=default)


Budget = Annotated[str | None, _budget("none")]
SearchBudget = Annotated[str | None, _budget(f"{USUAL_SECONDS:g}s; in spaces of networks none")]


def default_database(context: typer.Context) -> str | None:
    """The path or URL given before the command."""
    location: str | None = (context.obj or {}).get("database")
    return location


def open_store(location: str | None) -> Store:
    """The database at a path or URL, by default the one in the home folder, to write to."""
    store = open_to_read(location)
    store.check_writable()
    return store


def open_to_read(location: str | None) -> Store:
    """The same for whoever only reads, and may have no permission to write."""
    from databases.records.store import Store

    return Store(location or database_path())


def stored(location: str | None) -> AbstractContextManager[Store | None]:
    """The same where there is one: whoever only reads makes none."""
    there = location is not None or (home_to_read() / DATABASE).is_file()
    return open_to_read(location) if there else nullcontext()


def shown(location: str | None) -> str:
    """Where that database is, without a password."""
    if location is None or "://" not in location:
        return location or str(home_path() / DATABASE)
    from sqlalchemy import make_url

    return make_url(location).render_as_string(hide_password=True)


def open_tracker(no_tracking: bool) -> Tracker:
    """MLflow, or nothing."""
    from metad2a.runtime.tracking import NullTracker, Tracker

    return NullTracker() if no_tracking else Tracker()


def duration(text: str | None) -> float | None:
    """90s -> 90.0, 1h30m -> 5400.0 seconds; None stays."""
    if text is None:
        return None
    given = text.strip()
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", given)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != given or not 0 < seconds < math.inf:
        raise UserError(f"--budget {text!r}: give a time above zero with its unit, such as 90s, 10m or 1h30m")
    return seconds


AGAIN = 3.0  # times what a finished run took to begin: it may answer, on a machine that is busier now
RANKING_SECONDS = 10.0  # kept beside reading: to group and rank, and to train and test a little


def reading_ends(seconds: float | None, *, again: float = 0.0) -> float:
    """The monotonic second at which the images must be read, where the program has so many seconds in all.

    A finished run that took the seconds ``again`` to begin is let begin once more.
    """
    if seconds is None:
        return math.inf
    return (process.started or time.monotonic()) + max(seconds - RANKING_SECONDS, AGAIN * again)


def read_images(
    data: str, reporter: Reporter, *, seed: int, groups: str, seconds: float | None, up_to: int | None = None
) -> Task:
    """All images, to train with, in a program that has so many seconds in all; what is to be known is told."""
    from databases.datasets.loading import load_task, name_of
    from metad2a.search.runs import finished_runs

    again = max((state.prepared for state in finished_runs(name_of(data))), default=0.0)
    task = load_task(
        data,
        up_to=up_to,
        seed=seed,
        groups=groups,
        deadline=reading_ends(seconds, again=again),
        room=picture_room(),
        on_progress=reporter.reading,
    )
    for note in task.notes:
        reporter.line(f"note: {note}")
    return task


def how_many(text: str) -> int | None:
    """5 -> 5, all -> None."""
    if text == "all":
        return None
    if not re.fullmatch(r"[1-9]\d*", text):
        raise UserError(f"--top {text!r}: give a whole number from 1, or all")
    return int(text)


OF_NETWORKS = {  # options that mean nothing in the space of pipelines
    *("train", "recipe", "stop_early", "on", "model", "workers", "executor"),
    *("images_per_class", "candidates", "target"),
}
OF_NETWORKS_HERE = {"recommend": {"prefer"}}  # in one command
OF_PIPELINES = {"also", "baseline"}  # and only there
OF_PIPELINES_HERE = {"recommend": {"budget"}, "search": {"prefer"}}

# what means nothing in the space, always and in one command; where it does; and a space to give
FOREIGN_TO_PIPELINES = (OF_NETWORKS, OF_NETWORKS_HERE, "in spaces of networks", DEFAULT_SPACE)
FOREIGN_TO_NETWORKS = (OF_PIPELINES, OF_PIPELINES_HERE, "in the space pipeline", SEARCHED_SPACE)

OF_CELLS = (  # measured by scripts/device_transfer.py
    "given --device with the space 'pipeline': what is known of devices are latencies of cells, which foretell those "
    "of pretrained networks more than 2 times wrong: leave it out, milliseconds and --max-latency are of this machine; "
    f"or give --space {DEFAULT_SPACE}"
)


class Marked(TyperCommand):
    """A command of all spaces, whose help marks the options that mean something in spaces of networks only."""

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(name, **options)
        never = OF_NETWORKS | OF_NETWORKS_HERE.get(name or "", set())
        for option in self.params:
            if isinstance(option, TyperOption) and option.name in never:
                option.help = f"{(option.help or '').removesuffix('.')} (networks)."


def given(context: typer.Context) -> list[Any]:
    """The options and arguments that stand on the command line."""
    sources = [(each, context.get_parameter_source(each.name or "")) for each in context.command.params]
    return [each for each, source in sources if source is not None and source.name == "COMMANDLINE"]


def named(context: typer.Context, option: Any) -> str:
    """The option as it stands on the command line: ``--train-all`` is another name than ``--stop-early``."""
    off = option.secondary_opts and context.params.get(option.name) is False
    return str((option.secondary_opts if off else option.opts)[0])


def check_meaning(context: typer.Context, space: str) -> None:
    """Refuses an option that was given and that would mean nothing in the space."""
    from databases.architectures.spaces.pipeline import holds_pipelines

    always, here, where, other = FOREIGN_TO_PIPELINES if holds_pipelines(space) else FOREIGN_TO_NETWORKS
    foreign = always | here.get(context.command.name or "", set())
    for option in given(context):
        if option.name in foreign:
            advice = f"it has a meaning {where} only: leave it out, or give --space {other}"
            told = f"given {named(context, option)} with the space {space!r}: {advice}"
            raise UserError(OF_CELLS if option.name == "target" else told)
