"""The commands of ``metad2a`` and what holds for all of them. Heavy packages are imported by the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from metad2a.cli import (
    compare,
    database,
    device,
    meta,
    predict,
    pretrain,
    recommend,
    reproduce,
    runs,
    service,
    training,
)
from metad2a.cli.guard import GuardedGroup
from metad2a.cli.options import Marked

app = typer.Typer(
    cls=GuardedGroup,
    rich_markup_mode=None,  # plain help takes half the time
    context_settings={"max_content_width": 100},
    suggest_commands=False,  # a mistake names the nearest and lists them all
    pretty_exceptions_enable=False,
    epilog="Every command that answers and ends knows --json. All is kept in METAD2A_HOME, by default ~/.metad2a.",
)


def _version(asked: bool) -> None:
    if asked:
        from metad2a import __version__

        print(f"metad2a {__version__}")
        raise typer.Exit


@app.callback()
def everywhere(
    context: typer.Context,
    database: Annotated[
        str | None, typer.Option("--database", metavar="URL", help="Database to use in the command.")
    ] = None,
    no_tracking: Annotated[bool, typer.Option("--no-tracking", help="Do not record runs in MLflow.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Bring a folder of labelled images, get back the network that fits it."""
    context.obj = {"database": database, "no_tracking": no_tracking}


app.command(cls=Marked)(recommend.recommend)
app.command(cls=Marked)(training.search)
app.command()(training.train)
app.command()(runs.export)
app.command()(predict.predict)
app.command()(runs.runs)
app.command()(pretrain.pretrain)
app.add_typer(database.app, name="database")
app.add_typer(device.app, name="device")
app.command()(meta.retrain)
app.command()(meta.evaluate)
app.command()(meta.info)
app.command()(compare.compare)
app.command(epilog=reproduce.listing())(reproduce.reproduce)
app.command()(service.serve)
app.command()(service.worker)
app.add_typer(service.tokens, name="token")
