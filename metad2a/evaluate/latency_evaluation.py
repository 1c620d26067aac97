"""How well cells are ranked for a device that nothing was known of before ten of them were timed on it.

Devices are split as by HELP (Lee, Lee, Chong, Hwang, 2021): what is known of devices in general comes from the
meta-train devices alone, the method was chosen by them and the meta-valid devices (three titanx and gold_6240), and
the figures are of the meta-test devices. Every figure has 20 draws of the ten cells: at random, or chosen from 400 at
random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import image_space
from databases.records.latency_table import LatencyTable, read_latencies
from metad2a.devices.latency_model import CONFIDENCE, MEASURED, POOL, fit_table, interval_factor, table_walks
from predictors.device_calibration import Prior, calibrate, choose_cells, operation_costs
from predictors.latency import SPACE, Floats, Walks, shares
from predictors.metrics import bootstrap_interval, spearman

META_TRAIN = (
    *("1080ti_1", "1080ti_32", "1080ti_256", "silver_4114", "silver_4210r"),
    *("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"),
)
META_TEST = ("titan_rtx_256", "gold_6226", "fpga", "pixel2", "raspi4", "eyeriss")
PUBLISHED = {"HELP, ten measurements each (published)": 0.932}
CHOSEN, RANDOM = "ten chosen cells", "ten random cells"
DRAWS, COMPONENTS = 20, 3
RIDGE, LAYER_RIDGE = 0.3, 0.1  # as COMPONENTS, what serves these rivals best on meta-train and meta-valid devices
Ints = npt.NDArray[np.int64]
Method = Callable[[Ints, Floats], Floats]  # rows measured, milliseconds -> predictions for all rows


def latency_figures(folder: Path | None, *, fast: bool = False, devices: Sequence[str] = META_TEST) -> dict[str, Any]:
    """Spearman correlations on ``devices`` held out, as a plain dictionary; a reason where the table is absent.

    Args:
        folder: holds ``latency.csv.gz`` and ``accuracy.csv.gz``.
        fast: three draws instead of 20.
        devices: to judge on: the meta-test devices, others for choosing a method.
    """
    if folder is None or not (folder / "latency.csv.gz").is_file():
        return {"skipped": "needs the development data: no latency.csv.gz"}
    table = read_latencies(folder)
    walks = table_walks(table)
    prior = Prior.learn([operation_costs(walks, table.of(name)) for name in META_TRAIN])
    draws = _draws(walks, prior, 3 if fast else DRAWS)
    found = {name: _of_device(name, table, walks, prior, draws) for name in devices}
    return {
        "held out": list(devices),
        "mean Spearman": {kind: _means(found, kind) for kind in (CHOSEN, RANDOM)},
        "without measurements": _unmeasured(table, walks, devices),
        "published": PUBLISHED,
        "paired difference": {kind: _paired(found, kind) for kind in (CHOSEN, RANDOM)},
        "devices": {name: {kind: _of_draws(of[kind]) for kind in (CHOSEN, RANDOM)} for name, of in found.items()},
        f"coverage of the {100 * CONFIDENCE:.0f}% interval": _coverage(table, walks, prior, draws[CHOSEN], devices),
        "known devices, Spearman on held-out cells": dict(fit_table(table).correlation) if not fast else {},
    }


def _draws(walks: Walks, prior: Prior, count: int) -> dict[str, list[Ints]]:
    rng = np.random.default_rng(0)
    pools = [rng.choice(len(walks), POOL, replace=False) for _ in range(count)]
    return {
        CHOSEN: [pool[choose_cells(prior, walks[pool], MEASURED)] for pool in pools],
        RANDOM: [pool[:MEASURED] for pool in pools],
    }


def _methods(name: str, table: LatencyTable, walks: Walks, prior: Prior) -> dict[str, Method]:
    """What predicts from ten measurements; ``shuffled`` is the control."""
    counted = shares(walks)
    components = _components(table, name)

    def ours(rows: Ints, values: Floats) -> Floats:
        return calibrate(prior, walks[rows], values).predict(walks).mean

    def shuffled(rows: Ints, values: Floats) -> Floats:
        return ours(rows, np.random.default_rng(int(rows[0])).permutation(values))

    return {
        "ours": ours,
        "SVD and ridge": lambda rows, values: _ridge(components, rows, values / values.mean(), RIDGE),
        "layer-wise linear": lambda rows, values: _ridge(counted * 6, rows, values / values.mean(), LAYER_RIDGE),
        "control, measurements shuffled": shuffled,
    }


def _components(table: LatencyTable, name: str) -> Floats:
    """The (cells, COMPONENTS) first singular vectors of the standardised latencies on meta-train devices."""
    known = np.stack([table.of(each) for each in META_TRAIN if each != name], axis=1)
    known = (known - known.mean(0)) / known.std(0)
    left: Floats = np.linalg.svd(known, full_matrices=False)[0]
    return np.asarray(left[:, :COMPONENTS] * np.sqrt(len(left)))


def _ridge(x: Floats, rows: Ints, values: Floats, penalty: float) -> Floats:
    """Ridge regression with a free constant on the measured rows; predictions for all rows."""
    from sklearn.linear_model import Ridge

    found: Floats = Ridge(alpha=penalty).fit(x[rows], values).predict(x)
    return found


def _of_device(
    name: str, table: LatencyTable, walks: Walks, prior: Prior, draws: Mapping[str, Sequence[Ints]]
) -> dict[str, dict[str, list[float]]]:
    """Kind of draw -> method -> one Spearman correlation a draw, over the cells that were not measured."""
    truth, methods = table.of(name), _methods(name, table, walks, prior)
    found: dict[str, dict[str, list[float]]] = {}
    for kind, of_kind in draws.items():
        for rows in of_kind:
            others = np.delete(np.arange(len(walks)), rows)
            for method, predict in methods.items():
                value = spearman(predict(rows, truth[rows])[others], truth[others])
                found.setdefault(kind, {}).setdefault(method, []).append(value)
    return found


def _means(found: Mapping[str, Mapping[str, Mapping[str, list[float]]]], kind: str) -> dict[str, Any]:
    """Mean over devices: the interval is over draws, ``over devices`` resamples the devices too few to tell much."""
    names = list(found)
    means = {}
    for method in found[names[0]][kind]:
        values = np.array([found[name][kind][method] for name in names])  # (devices, draws)
        across = bootstrap_interval(values.mean(1), names)
        means[method] = {**_interval(values.mean(0)), "over devices": [across.low, across.high]}
    return means


def _paired(found: Mapping[str, Mapping[str, Mapping[str, list[float]]]], kind: str) -> dict[str, Any]:
    """Ours less each rival on the same draws, mean over devices."""
    methods = next(iter(found.values()))[kind]
    mean = {m: np.mean([of[kind][m] for of in found.values()], axis=0) for m in methods}
    return {f"ours minus {m}": _interval(mean["ours"] - mean[m]) for m in methods if m != "ours"}


def _of_draws(methods: Mapping[str, list[float]]) -> dict[str, Any]:
    return {method: _interval(np.array(values)) for method, values in methods.items()}


def _interval(values: Floats) -> dict[str, float]:
    """Mean of one value a draw, with its interval."""
    return bootstrap_interval(values).to_json()


def _unmeasured(table: LatencyTable, walks: Walks, devices: Sequence[str]) -> dict[str, float]:
    """Mean Spearman correlation of rankings that need no measurement."""
    space, skeleton = image_space(SPACE), Skeleton()
    cells = [space.architecture(tuple(int(op) for op in walk)) for walk in walks]
    costs = {
        "FLOPs": [space.flops(each, skeleton, resolution=32) for each in cells],
        "parameters": [space.parameters(each, skeleton) for each in cells],
    }
    return {what: float(np.mean([spearman(of, table.of(name)) for name in devices])) for what, of in costs.items()}


def _coverage(
    table: LatencyTable, walks: Walks, prior: Prior, draws: Sequence[Ints], devices: Sequence[str]
) -> dict[str, float]:
    """Share of unmeasured cells inside the interval, whose factor was set on meta-train devices; by device."""
    costs = {name: operation_costs(walks, table.of(name)) for name in META_TRAIN}
    factor = interval_factor(table, walks, costs)
    shared = []
    for name in devices:
        truth, inside = table.of(name), []
        for rows in draws:
            found = calibrate(prior, walks[rows], truth[rows], factor=factor).predict(walks)
            inside.append(float(np.mean((found.low <= truth) & (truth <= found.high))))
        shared.append(float(np.mean(inside)))
    over = bootstrap_interval(shared, list(devices))
    return {**over.to_json(), "factor": factor} | dict(zip(devices, shared, strict=True))
