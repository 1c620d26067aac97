"""Prints how well ten timings on this machine tell the latencies of other cells on it.

    python scripts/calibration_check.py [--recipe tiny] [--cells 60] [--repeats 25]

Times the ten cells of `metad2a device calibrate` and others in the same rounds: half from all walks, half from the
cheapest members of the canonical classes, which `recommend` ranks. Nothing is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from databases.architectures.space import Architecture, finite_space
from databases.records.recipe import recipe
from metad2a.devices.latency_model import shipped
from metad2a.devices.timing import time_cells
from predictors.device_calibration import calibrate
from predictors.latency import SPACE, walks_of
from predictors.metrics import spearman


def main() -> None:
    """Times and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=25)
    given = parser.parse_args()
    space, rng, model = finite_space(SPACE), np.random.default_rng(0), shipped()
    drawn = {
        name: [of[i] for i in rng.choice(len(of), given.cells // 2, replace=False) if of[i] not in model.cells]
        for name, of in (("all walks", list(space.enumerate())), ("canonical classes", space.classes))
    }
    cells = dict.fromkeys([*model.cells, *(each for of in drawn.values() for each in of)])
    times = time_cells(list(cells), recipe(given.recipe), repeats=given.repeats)

    def measured(of: Sequence[Architecture]) -> np.ndarray:
        return np.array([times[each] for each in of])

    device = calibrate(model.prior, walks_of(model.cells), measured(model.cells), factor=model.factor)
    for name, of in drawn.items():
        found, truth = device.predict(walks_of(of)), measured(of)
        error = float(np.median(np.abs(found.mean / truth - 1)))
        inside = float(np.mean((found.low <= truth) & (truth <= found.high)))
        print(
            f"{given.recipe}, {len(of)} other cells from {name}: Spearman {spearman(found.mean, truth):.3f}, "
            f"median error {100 * error:.0f}%, 80% interval covers {100 * inside:.0f}%"
        )


if __name__ == "__main__":
    main()
