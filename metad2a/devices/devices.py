"""Target devices by name: the published ones, and those that a user calibrated, which are kept at home.

A device is kept as what was measured on it (``devices/NAME.json`` under METAD2A_HOME), so a better model of devices
in general makes old calibrations better too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from databases.architectures.space import Architecture, finite_space, space
from databases.errors import UserError, unknown
from databases.records.csv_file import cell_number, csv_text, read_rows
from databases.records.recipe import RECIPES, Recipe
from databases.records.recipe import recipe as named_recipe
from databases.records.record import utc_now
from metad2a.devices import latency_model
from metad2a.devices.latency_model import HARDWARE, MEASURED
from metad2a.runtime.files import keep_files, write_results
from metad2a.runtime.home import home, home_path
from predictors.device_calibration import calibrate
from predictors.latency import SPACE, Latencies, LatencyOfCells, OtherLength, walks_of

COLUMNS = ("architecture", "milliseconds")  # of a file of timings
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class TargetDevice:
    """A device whose latencies can be predicted.

    Attributes:
        origin: ``published`` or ``calibrated``. label: what it is, in words.
        recipe: the size of the networks that its latencies are of is that of this recipe.
        batch: images at once, None where the publication does not say.
        measured: cells behind the prediction. correlation: Spearman on cells held out of the fit, where known.
    """

    name: str
    origin: str
    label: str
    recipe: str
    batch: int | None
    measured: int | None
    correlation: float | None
    model: LatencyOfCells

    def predict(self, architectures: Sequence[Architecture]) -> Latencies:
        """Milliseconds of one pass, with the 80% interval of a measured value; `UserError` for another space."""
        return self.model.predict(walks_of(architectures))

    def of_size(self, recipe: Recipe) -> TargetDevice:
        """The device for networks of a recipe's size, where those differ from its own in the number of cells alone."""
        own = named_recipe(self.recipe)
        same_cells = (own.channels, own.resolution) == (recipe.channels, recipe.resolution)
        if not same_cells or own.cells == recipe.cells or RECIPES.get(recipe.name) != recipe:
            return self
        return replace(self, recipe=recipe.name, model=OtherLength(self.model, recipe.cells / own.cells))

    def check_builds(self, recipe: Recipe) -> None:
        """Raises `UserError` for a recipe that builds networks of another size: a limit would be of others."""
        if self.of_size(recipe).size != size_of(recipe):
            raise UserError(
                f"latencies on {self.name} are known for networks of {self.size}, or of other numbers of cells; "
                f"the recipe {recipe.name!r} builds {size_of(recipe)}: give a recipe of that size, or calibrate the "
                f"device by `metad2a device calibrate --recipe {recipe.name}`"
            )

    @property
    def size(self) -> str:
        """The size of the networks that the latencies are of."""
        return size_of(named_recipe(self.recipe))

    @property
    def network(self) -> str:
        """That size, and how many images go through at once."""
        return self.size if self.batch is None else f"{self.size}, {self.batch} at once"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = ("name", "origin", "label", "recipe", "batch", "measured", "correlation", "network")
        return {name: getattr(self, name) for name in plain}


def size_of(recipe: Recipe) -> str:
    """The size of a recipe's networks, in words."""
    cells = "1 cell" if recipe.cells == 1 else f"{recipe.cells} cells"
    return f"{recipe.channels} channels, {cells} a stage, images of {recipe.resolution} px"


def devices() -> list[TargetDevice]:
    """All known devices: the published ones, then those calibrated here, each by name."""
    names = [path.stem for path in sorted(_folder().glob("*.json"))]
    return [*(_published(name) for name in sorted(HARDWARE)), *(_calibrated(name) for name in names)]


def find_device(name: str) -> TargetDevice:
    """The device of that name; raises `UserError` that lists the known ones."""
    if name in HARDWARE:
        return _published(name)
    if _NAME.fullmatch(name) and _file(name).is_file():
        return _calibrated(name)
    known = [*sorted(HARDWARE), *(path.stem for path in sorted(_folder().glob("*.json")))]
    raise unknown("device", name, known, more=", or calibrate it by `metad2a device calibrate`")


def check_device_name(name: str) -> None:
    """Raises `UserError` unless a device may be calibrated under that name."""
    if name in HARDWARE:
        raise UserError(f"{name!r} is a published device: calibrate yours under another name")
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a device: give letters, digits, dots, dashes and underscores")


def keep_device(name: str, timings: Mapping[Architecture, float], *, recipe: str, how: str) -> TargetDevice:
    """Keeps a calibration at home, in place of an earlier one of that name, and gives the device.

    Args:
        name: of the device, used from then on.
        timings: milliseconds of one pass, batch 1, of each timed cell: at least `MEASURED` cells.
        recipe: the timed networks had this recipe's size.
        how: where the timings come from, in words.

    Raises:
        UserError: an unusable name, too few cells, a time that is not above zero, an unknown recipe.
    """
    check_device_name(name)
    check_timings(timings)
    named_recipe(recipe)
    home()  # which can be written, or says what to do
    kept = {"recipe": recipe, "how": how, "created": utc_now()}
    cells = {str(each): milliseconds for each, milliseconds in timings.items()}
    text = json.dumps({**kept, "milliseconds": cells}, indent=1) + "\n"
    keep_files(_folder(), {_file(name).name: text.encode()})
    return _calibrated(name)


def check_timings(timings: Mapping[Architecture, float]) -> None:
    """Raises `UserError` for too few cells or an impossible time."""
    for each, milliseconds in timings.items():
        if not math.isfinite(milliseconds) or milliseconds <= 0:
            raise UserError(f"{milliseconds:g} ms for {each}: a latency is a number of milliseconds above 0")
    if len(timings) < MEASURED:
        raise UserError(
            f"timings of {len(timings)} different cells: at least {MEASURED} are needed, `metad2a device cells` "
            "lists those that tell most"
        )


def read_timings(path: Path) -> dict[Architecture, float]:
    """A CSV file with the columns architecture and milliseconds; of a cell that is timed several times, the median.

    Raises:
        UserError: it cannot be read, or a line holds no cell of NAS-Bench-201 or no time above zero.
    """
    found: dict[Architecture, list[float]] = {}
    for line, row in read_rows(path, COLUMNS):
        try:
            cell = space(SPACE).parse(row["architecture"].strip())
            milliseconds = cell_number(row, "milliseconds")
            if milliseconds is None or not math.isfinite(milliseconds) or milliseconds <= 0:
                given = row["milliseconds"] or "nothing"
                raise UserError(f"a latency is a number of milliseconds above 0, got {given[:40]}")
        except UserError as error:
            raise UserError(f"{path}, line {line}: {error}") from None
        found.setdefault(cell, []).append(milliseconds)
    timings = {cell: median(times) for cell, times in found.items()}
    check_timings(timings)
    return timings


def ranking(device: TargetDevice) -> tuple[list[Architecture], Latencies]:
    """Every cell of the space with its predicted latency, the fastest first."""
    cells = list(finite_space(SPACE).enumerate())
    found = device.predict(cells)
    order = np.argsort(found.mean, kind="stable")
    return [cells[i] for i in order], Latencies(found.mean[order], found.low[order], found.high[order])


def write_ranking(cells: Sequence[Architecture], latencies: Latencies, path: Path) -> None:
    """Writes a `ranking` as CSV: the columns of timings, and the bounds of the 80% interval."""
    rows = zip(cells, latencies.mean, latencies.low, latencies.high, strict=True)
    lines = ((cell, *(f"{each:.6g}" for each in values)) for cell, *values in rows)
    text = csv_text([(*COLUMNS, "low", "high"), *lines])
    write_results(path.absolute().parent, {path.name: text.encode()})


def _folder() -> Path:
    return home_path() / "devices"


def _file(name: str) -> Path:
    return _folder() / f"{name}.json"


def _published(name: str) -> TargetDevice:
    model, hardware = latency_model.shipped(), HARDWARE[name]
    correlation = model.correlation[name]
    recipe = latency_model.RECIPE
    return TargetDevice(
        name, "published", hardware.label, recipe, hardware.batch, None, correlation, model.devices[name]
    )


def _calibrated(name: str) -> TargetDevice:
    path = _file(name)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        timings = {space(SPACE).parse(text): float(value) for text, value in kept["milliseconds"].items()}
        recipe, label = named_recipe(kept["recipe"]).name, str(kept["how"])
        check_timings(timings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} holds no calibration ({error}): calibrate {name!r} again") from None
    shipped = latency_model.shipped()
    model = calibrate(shipped.prior, walks_of(list(timings)), list(timings.values()), factor=shipped.factor)
    return TargetDevice(name, "calibrated", label, recipe, 1, len(timings), None, model)
