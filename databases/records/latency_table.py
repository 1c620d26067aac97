"""The published table of latencies: NAS-Bench-201's networks on 27 device settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from databases.errors import UserError
from databases.records.csv_file import cell_number, read_rows


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """Latencies of NAS-Bench-201's networks: (cells, devices) milliseconds, the cells' texts, the devices' names."""

    cells: tuple[str, ...]
    devices: tuple[str, ...]
    milliseconds: npt.NDArray[np.float64]

    def of(self, device: str) -> npt.NDArray[np.float64]:
        """The (cells,) latencies on one device."""
        found: npt.NDArray[np.float64] = self.milliseconds[:, self.devices.index(device)]
        return found


def read_latencies(folder: str | Path) -> LatencyTable:
    """``latency.csv.gz`` (HELP, Lee et al., 2021; in part HW-NAS-Bench, Li et al., 2021), cells in its order.

    The cells are named by ``accuracy.csv.gz`` in the same folder. Raises UserError where a file is missing, a row
    is damaged, or a latency is missing or not above zero.
    """
    named = read_rows(Path(folder) / "accuracy.csv.gz", ("arch_index", "arch_str"))
    architectures = {row["arch_index"]: row["arch_str"] for _, row in named}
    path = Path(folder) / "latency.csv.gz"
    cells, values, devices = list[str](), list[list[float]](), tuple[str, ...]()
    for line, row in read_rows(path, ("arch_index",)):
        devices = devices or tuple(name.removesuffix("_ms") for name in row if name.endswith("_ms"))
        found = [cell_number(row, f"{name}_ms") for name in devices]
        if row["arch_index"] not in architectures or not all(each is not None and each > 0 for each in found):
            raise UserError(f"{path}, line {line}: an arch_index of accuracy.csv.gz and latencies above 0 are needed")
        cells.append(architectures[row["arch_index"]])
        values.append([each for each in found if each is not None])
    return LatencyTable(tuple(cells), devices, np.array(values).reshape(len(cells), len(devices)))
