"""`metad2a device ...`: the target devices whose latencies are known, and how yours becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from databases.usual import MEASURING_RECIPE
from metad2a.cli.folders import check_output_file
from metad2a.cli.options import Json
from metad2a.cli.output import console, print_json, reporting, table

if TYPE_CHECKING:
    from databases.architectures.space import Architecture
    from databases.records.recipe import Recipe
    from metad2a.devices.devices import TargetDevice

app = typer.Typer(help="Target devices of recommend --device: list them, or calibrate your own from ten timings.")
Size = Annotated[
    str, typer.Option("--recipe", help="The timed networks have this recipe's channels, cells and resolution.")
]


@app.command("list")
def list_devices(json: Json = False) -> None:
    """List the published devices and those calibrated here, with the size of the networks timed on them."""
    from databases.records.recipe import recipe as named_recipe
    from metad2a.devices.devices import devices, size_of

    found = devices()
    if json:
        print_json({"devices": [each.to_json() for each in found]})
        return
    headings = ("Device", "What", ">Images", ">Spearman", "Size")
    to = console()
    to.print(table(None, headings, (_row(each) for each in found)))
    to.print("Images: at once; a dash where the publication does not say.")
    to.print("Spearman: predicted against measured on cells held out of the fit.")
    for recipe in dict.fromkeys(each.recipe for each in found):
        to.print(f"Size {recipe}: {size_of(named_recipe(recipe))}.")


@app.command()
def cells(json: Json = False) -> None:
    """Print the ten cells to time on a new device, as the CSV that calibrate --timings reads once filled in."""
    from databases.records.csv_file import csv_text
    from metad2a.devices.devices import COLUMNS
    from metad2a.devices.latency_model import shipped

    chosen = [str(each) for each in shipped().cells]
    if json:
        print_json({"cells": chosen})
        return
    print(csv_text([COLUMNS, *((text, "") for text in chosen)]), end="")


@app.command()
def calibrate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name for recommend --device from now on.")],
    timings: Annotated[
        Path | None,
        typer.Option(
            "--timings",
            metavar="FILE",
            help="CSV with the columns architecture and milliseconds, one pass of one image: ten cells or more, "
            "see device cells.",
            show_default="time them here",
        ),
    ] = None,
    recipe: Size = MEASURING_RECIPE,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Passes of each network; their median counts.")] = 50,
    on: Annotated[str, typer.Option("--on", help="Where torch runs the timed networks: auto, cpu, cuda, mps.")] = "cpu",
    ranking: Annotated[
        Path | None,
        typer.Option("--ranking", metavar="FILE", help="Also write all cells with their latencies, fastest first."),
    ] = None,
    json: Json = False,
) -> None:
    """Learn a device from ten timings, measured here or given, and keep it for recommend --device.

    Measured is one forward pass of one image by torch on one thread, in milliseconds, the median over the
    repeats; on the CPU it is processor time, so other programs count little. It is no measure of larger batches,
    other runtimes or power.
    """
    from databases.records.recipe import recipe as named_recipe
    from metad2a.devices.devices import check_device_name, keep_device, read_timings

    check_device_name(name)
    size = named_recipe(recipe)
    check_output_file(ranking, option="--ranking")
    if timings is not None:
        found, how = read_timings(timings), f"timings from {timings.name}"
    else:
        found, how = _time(size, repeats, on), f"timed here by torch on {on}"
    device = keep_device(name, found, recipe=recipe, how=how)
    _answer(device, found, ranking, json=json)


def _time(size: Recipe, repeats: int, on: str) -> dict[Architecture, float]:
    with reporting("Building the networks ...") as reporter:
        from metad2a.devices.latency_model import shipped
        from metad2a.devices.timing import time_cells

        def tell(done: int) -> None:
            reporter.now(f"Timing, round {done} of {repeats}", done=done, total=repeats)

        return time_cells(shipped().cells, size, repeats=repeats, on=on, on_progress=tell)


def _answer(device: TargetDevice, timings: dict[Architecture, float], path: Path | None, *, json: bool) -> None:
    from metad2a.devices.devices import ranking, write_ranking

    ranked, latencies = ranking(device)
    fastest, middle, slowest = (float(latencies.mean[i]) for i in (0, len(ranked) // 2, -1))
    if path is not None:
        write_ranking(ranked, latencies, path)
        console(stderr=True).print(f"Written: {path}", soft_wrap=True)
    if json:
        measured = [{"architecture": str(cell), "milliseconds": value} for cell, value in timings.items()]
        span = {"fastest_ms": fastest, "slowest_ms": slowest}
        print_json({**device.to_json(), "timings": measured, "cells": len(ranked), **span})
        return
    to = console()
    rows = ((str(cell), f"{value:.4g} ms") for cell, value in sorted(timings.items(), key=lambda each: each[1]))
    to.print(table(f"Timed for {device.name}", ("Cell", ">One image"), rows))
    to.print(f"{device.label}; networks of {device.network}", soft_wrap=True)
    to.print(f"All {len(ranked):,} cells ranked: {fastest:.3g} to {slowest:.3g} ms predicted")
    use = f"metad2a recommend DATA --space nasbench201 --device {device.name} --max-latency {middle:.2g}ms"
    to.print(f"Use it: {use}", soft_wrap=True)


def _row(device: TargetDevice) -> tuple[str, ...]:
    correlation = "-" if device.correlation is None else f"{device.correlation:.3f}"
    return device.name, device.label, str(device.batch or "-"), correlation, device.recipe
