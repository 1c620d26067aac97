"""How long one pass through a network takes on a device: a linear model of the operations in its cell.

For a device that was measured on many cells the model is fitted once (`fit`); what is known of a new device from
few measurements is in `predictors.device_calibration`. Both count operations, as hardware runs them one after the
other, and both know that some runtimes leave out operations that make no difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture
from databases.architectures.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201
from databases.errors import UserError

Floats = npt.NDArray[np.float64]
Walks = npt.NDArray[np.int64]
Counted = Literal["all", "used", "fed", "merged"]  # operations that a runtime computes
SPACE = NASBench201.name
NONE = OPERATIONS.index("none")
WIDTH = 2 + 2 * len(EDGES) * (len(OPERATIONS) - 1)  # columns of `features`
RIDGE = 1e-3
FLOOR = 0.3  # of the median latency: below it errors count absolutely, above it relatively
FOLDS = 5  # of the cells that a device was measured on: each is predicted by a fit on the others


@dataclass(frozen=True, eq=False)
class Latencies:
    """Predicted milliseconds of (n,) cells, with the bounds of the 80% interval of one measured value."""

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class FittedDevice:
    """A device that was measured on many cells.

    Attributes:
        coefficients: (WIDTH,) milliseconds of each feature.
        least: the shortest latency measured, below which nothing is predicted.
        ratios: 10% and 90% quantiles of measured / predicted on cells held out of the fit.
    """

    coefficients: Floats
    least: float
    ratios: tuple[float, float]

    def predict(self, walks: Walks) -> Latencies:
        """Latencies of (n, 6) walks."""
        mean = np.maximum(features(walks) @ self.coefficients, self.least)
        return Latencies(mean, mean * self.ratios[0], mean * self.ratios[1])


class LatencyOfCells(Protocol):
    """Predicts latencies of cells of NAS-Bench-201."""

    def predict(self, walks: Walks) -> Latencies:
        """Latencies of (n, 6) walks."""


@dataclass(frozen=True, eq=False)
class OtherLength:
    """A device for networks with another number of cells a stage, ``share`` times as many as those of ``device``.

    Operations run one after the other: what is around the cells, which a network of empty cells takes, stays, and the
    rest grows with their number. On this project's machine, cells of a fifth took 0.7 to 1.0 of what is told so.
    """

    device: LatencyOfCells
    share: float

    def predict(self, walks: Walks) -> Latencies:
        """Latencies of (n, 6) walks."""
        found = self.device.predict(walks)
        around = self.device.predict(np.full((1, len(EDGES)), NONE, dtype=np.int64)).mean
        mean = around + self.share * np.maximum(found.mean - around, 0)
        return Latencies(mean, mean * found.low / found.mean, mean * found.high / found.mean)


def walks_of(architectures: Sequence[Architecture]) -> Walks:
    """The (n, 6) operations of cells of NAS-Bench-201; raises `UserError` for another space."""
    for each in architectures:
        if each.space != SPACE:
            raise UserError(
                f"latencies are known for the space {SPACE!r}, not for {each.space!r}: leave out the device"
            )
    return np.array([each.walk for each in architectures], dtype=np.int64).reshape(-1, len(EDGES))


def used(walks: Walks) -> npt.NDArray[np.bool_]:
    """Which operations are not none and reach the output: (n, 6) -> (n, 6)."""
    alive = walks != NONE
    third = alive[:, 5]  # something leads from node 2 to the output
    second = alive[:, 4] | (alive[:, 2] & third)  # and from node 1
    ends = np.stack([second, third, third, *(np.ones(len(walks), dtype=bool),) * 3], axis=1)
    found: npt.NDArray[np.bool_] = alive & ends
    return found


def fed(walks: Walks) -> npt.NDArray[np.bool_]:
    """Which operations are not none and are reached from the input: (n, 6) -> (n, 6)."""
    alive = walks != NONE
    second = alive[:, 0]  # something leads from the input to node 1
    third = alive[:, 1] | (alive[:, 2] & second)  # and to node 2
    always = np.ones(len(walks), dtype=bool)
    starts = np.stack([always, always, second, always, second, third], axis=1)
    found: npt.NDArray[np.bool_] = alive & starts
    return found


def shares(walks: Walks, counted: Counted = "all") -> Floats:
    """Share of the six edges that take each operation, (n, 6) -> (n, 5); rows add up to 1.

    What is not ``counted`` goes to none. ``used``: all but operations that never reach the output. ``fed``: all but
    those that nothing reaches. ``merged``: of the fed ones that do the same to the same node, all but the first
    count half, as where they run as one operation of more channels (`databases.architectures.networks.cells.Cell`).
    """
    kept = {"all": walks != NONE, "used": used(walks), "fed": fed(walks), "merged": fed(walks)}[counted]
    weight = kept.astype(np.float64)
    if counted == "merged":
        for first, second in itertools.combinations(range(len(EDGES)), 2):
            if EDGES[first][0] == EDGES[second][0]:
                weight[(walks[:, first] == walks[:, second]) & kept[:, second], second] = 0.5
    found = (_one_hot(walks) * weight[:, :, None]).sum(axis=1) / len(EDGES)
    found[:, NONE] = 1 - found.sum(axis=1)
    return np.asarray(found)


def features(walks: Walks) -> Floats:
    """(n, 6) -> (n, WIDTH): 1, whether nothing connects input and output, each edge's operation, the same if used."""
    counted, live = _one_hot(walks)[:, :, 1:], _one_hot(np.where(used(walks), walks, NONE))[:, :, 1:]
    whole, apart = np.ones((len(walks), 1)), ~(used(walks) & fed(walks)).any(axis=1, keepdims=True)
    flat = (len(walks), -1)
    return np.concatenate([whole, apart, counted.reshape(flat), live.reshape(flat)], axis=1)


def fit(walks: Walks, milliseconds: npt.ArrayLike) -> tuple[FittedDevice, Floats]:
    """Least squares of relative errors on (n, 6) walks and (n,) latencies; with the (n,) held-out predictions.

    Each prediction comes from a fit on the other folds; their ratios to the truth give the interval.
    """
    x, y = features(walks), np.asarray(milliseconds, dtype=np.float64)
    least = float(y.min())
    fold = np.random.default_rng(0).permutation(len(y)) % FOLDS
    held_out = np.empty(len(y))
    for k in range(FOLDS):
        held_out[fold == k] = x[fold == k] @ _least_squares(x[fold != k], y[fold != k])
    held_out = np.maximum(held_out, least)
    low, high = np.quantile(y / held_out, [0.1, 0.9])
    return FittedDevice(_least_squares(x, y), least, (float(low), float(high))), held_out


def _least_squares(x: Floats, y: Floats) -> Floats:
    weight = 1 / np.maximum(y, FLOOR * np.median(y))
    a = x * weight[:, None]
    penalty = RIDGE * np.mean(weight**2) * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(a.T @ a + penalty, a.T @ (y * weight)))


def _one_hot(walks: Walks) -> Floats:
    found: Floats = np.eye(len(OPERATIONS))[walks]
    return found
