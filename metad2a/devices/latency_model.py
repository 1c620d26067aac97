"""The shipped latency model: 27 published device settings, and what they have in common for the calibration of others.

The weights are fitted to the table of HELP (Lee, Lee, Chong, Hwang, 2021), in part HW-NAS-Bench (Li et al., 2021), by
`scripts/fit_latency.py`; the table itself is not shipped. Its latencies are of the networks of NAS-Bench-201 as
published: 16 channels, five cells a stage, images of 32 px, ten classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from databases.architectures.space import Architecture, finite_space
from databases.records.latency_table import LatencyTable
from predictors import checkpoint
from predictors.device_calibration import Prior, calibrate, choose_cells, operation_costs
from predictors.latency import SPACE, FittedDevice, Floats, Walks, fit, walks_of
from predictors.metrics import spearman

WEIGHTS = Path(str(files("metad2a") / "weights" / "latency.safetensors"))
RECIPE = "nasbench201"  # the size of the networks that the published latencies are of
MEASURED = 10  # cells that are timed on a new device
CONFIDENCE = 0.8  # of the intervals
POOL, DRAWS, JUDGED = 400, 20, 1000  # cells to choose from, choices, and cells that judge, when intervals are set


@dataclass(frozen=True)
class Hardware:
    """What a published setting is: its name in words, its family (devices measured alike), images at once if known."""

    label: str
    family: str
    batch: int | None = None


def _gpus(name: str, label: str) -> dict[str, Hardware]:
    families = {1: "GPU, few images", 32: "GPU, few images", 256: "GPU, many images"}
    return {f"{name}_{batch}": Hardware(label, family, batch) for batch, family in families.items()}


HARDWARE: dict[str, Hardware] = {
    **_gpus("1080ti", "NVIDIA GTX 1080 Ti"),
    **_gpus("2080ti", "NVIDIA RTX 2080 Ti"),
    **_gpus("titan_rtx", "NVIDIA Titan RTX"),
    **_gpus("titanx", "NVIDIA Titan X"),
    **_gpus("titanxp", "NVIDIA Titan Xp"),
    "gold_6226": Hardware("Intel Xeon Gold 6226", "Xeon"),
    "gold_6240": Hardware("Intel Xeon Gold 6240", "Xeon"),
    "silver_4114": Hardware("Intel Xeon Silver 4114", "Xeon"),
    "silver_4210r": Hardware("Intel Xeon Silver 4210R", "Xeon"),
    "essential_ph_1": Hardware("Essential Phone PH-1", "Essential Phone"),
    "pixel2": Hardware("Google Pixel 2", "Pixel 2"),
    "pixel3": Hardware("Google Pixel 3", "Pixel 3 and Raspberry Pi"),
    "samsung_a50": Hardware("Samsung Galaxy A50", "Galaxy A50"),
    "samsung_s7": Hardware("Samsung Galaxy S7", "Galaxy S7"),
    "raspi4": Hardware("Raspberry Pi 4", "Pixel 3 and Raspberry Pi"),
    "eyeriss": Hardware("Eyeriss accelerator", "Eyeriss"),
    "fpga": Hardware("FPGA", "FPGA"),
}


@dataclass(frozen=True, eq=False)
class LatencyModel:
    """Fitted devices, the costs (5,) of operations on each, and what calibrating another one needs.

    Attributes:
        correlation: Spearman correlation of each device on cells held out of the fit.
        cells: those to time on a new device. factor: of its intervals, see `CalibratedDevice`.
    """

    devices: Mapping[str, FittedDevice]
    costs: Mapping[str, Floats]
    correlation: Mapping[str, float]
    cells: tuple[Architecture, ...]
    factor: float

    @cached_property
    def prior(self) -> Prior:
        """What all devices have in common."""
        return Prior.learn(list(self.costs.values()))


def table_walks(table: LatencyTable) -> Walks:
    """The (cells, 6) walks of a table's rows."""
    parse = finite_space(SPACE).parse
    return walks_of([parse(text) for text in table.cells])


def fit_table(table: LatencyTable) -> LatencyModel:
    """Fits every device of a table whose setting `HARDWARE` describes."""
    walks, names = table_walks(table), [name for name in table.devices if name in HARDWARE]
    fitted = {name: fit(walks, table.of(name)) for name in names}
    costs = {name: operation_costs(walks, table.of(name)) for name in names}
    correlation = {name: spearman(held_out, table.of(name)) for name, (_, held_out) in fitted.items()}
    everything = list(finite_space(SPACE).enumerate())
    chosen = choose_cells(Prior.learn(list(costs.values())), walks_of(everything), MEASURED)
    return LatencyModel(
        devices={name: device for name, (device, _) in fitted.items()},
        costs=costs,
        correlation=correlation,
        cells=tuple(everything[i] for i in chosen),
        factor=interval_factor(table, walks, costs),
    )


def interval_factor(table: LatencyTable, walks: Walks, costs: Mapping[str, Floats]) -> float:
    """Standard deviations within which 80% of latencies lie on devices of families that the prior does not know.

    ``walks`` (n, 6) are the cells of the table, ``costs`` (5,) those of operations on each device.
    """
    rng, errors = np.random.default_rng(0), []
    for name in costs:
        prior = Prior.learn([costs[each] for each in unrelated(name, costs)])
        values = table.of(name)
        for _ in range(DRAWS):
            pool, judged = rng.choice(len(walks), POOL, replace=False), rng.choice(len(walks), JUDGED, replace=False)
            measured = pool[choose_cells(prior, walks[pool], MEASURED)]
            found = calibrate(prior, walks[measured], values[measured], factor=1.0).predict(walks[judged])
            errors.append(np.abs(values[judged] - found.mean) / (found.high - found.mean))
    return float(np.quantile(np.concatenate(errors), CONFIDENCE))


def unrelated(name: str, names: Iterable[str]) -> list[str]:
    """Those of ``names`` that are of another family than the device ``name``."""
    return [each for each in names if HARDWARE[each].family != HARDWARE[name].family]


def save(model: LatencyModel, path: Path, facts: Mapping[str, Any]) -> str:
    """Writes weights and header, with ``facts`` about how they were made.

    Returns:
        The first 16 hex digits of the file's sha256.
    """
    import torch

    def stacked(rows: Sequence[Floats]) -> torch.Tensor:
        return torch.from_numpy(np.stack(rows).astype(np.float32))

    names = list(model.devices)
    tensors = {
        "coefficients": stacked([model.devices[name].coefficients for name in names]),
        "costs": stacked([model.costs[name] for name in names]),
    }
    devices = {
        name: {"least": each.least, "ratios": list(each.ratios), "correlation": model.correlation[name]}
        for name, each in model.devices.items()
    }
    header = {"names": names, "devices": devices, "cells": [str(each) for each in model.cells], "factor": model.factor}
    return checkpoint.save(path, tensors, {**header, **facts}, form=checkpoint.LATENCY_MODEL)


def load(path: Path = WEIGHTS) -> LatencyModel:
    """The model in a file that `save` wrote; raises `UserError` where it cannot be read."""
    arrays, header = checkpoint.load_arrays(path, form=checkpoint.LATENCY_MODEL)
    names, devices = header["names"], header["devices"]
    coefficients, costs = (arrays[name].astype(np.float64) for name in ("coefficients", "costs"))
    parse = finite_space(SPACE).parse
    return LatencyModel(
        devices={
            name: FittedDevice(row, devices[name]["least"], (devices[name]["ratios"][0], devices[name]["ratios"][1]))
            for name, row in zip(names, coefficients, strict=True)
        },
        costs=dict(zip(names, costs, strict=True)),
        correlation={name: devices[name]["correlation"] for name in names},
        cells=tuple(parse(text) for text in header["cells"]),
        factor=header["factor"],
    )


@lru_cache(maxsize=1)
def shipped() -> LatencyModel:
    """The model that comes with metad2a."""
    return load()
