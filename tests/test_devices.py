"""Target devices: shipped latencies, limits, and calibrations from a table of timings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from databases.architectures.space import finite_space
from databases.errors import UserError
from metad2a.devices.devices import check_timings, devices, find_device, read_timings
from predictors.metrics import spearman

CELLS = finite_space("nasbench201").classes[::200]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "home"))


def test_the_published_settings_are_known_and_intervals_hold_the_prediction() -> None:
    assert len(devices()) == 27
    found = find_device("raspi4").predict(CELLS)
    assert (found.mean > 0).all()
    assert (found.low <= found.mean).all() and (found.mean <= found.high).all()


def test_shipped_latencies_order_cells_as_the_table_does(shared: Path) -> None:
    import csv
    import gzip

    with gzip.open(shared / "nasbench201" / "accuracy.csv.gz", "rt") as file:
        texts = {row["arch_str"]: row["arch_index"] for row in csv.DictReader(file)}
    with gzip.open(shared / "nasbench201" / "latency.csv.gz", "rt") as file:
        rows = {row["arch_index"]: row for row in csv.DictReader(file)}
    true = np.array([float(rows[texts[str(each)]]["raspi4_ms"]) for each in CELLS])
    assert spearman(find_device("raspi4").predict(CELLS).mean, true) > 0.9


def test_an_unknown_device_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'nokia'.*raspi4"):
        find_device("nokia")


@pytest.mark.parametrize(
    "lines",
    [
        "cell,ms\n",
        "architecture,milliseconds\nno cell,3\n",
        f"architecture,milliseconds\n{CELLS[3]},-1\n",
        f"architecture,milliseconds\n{CELLS[3]},fast\n",
    ],
)
def test_timings_that_cannot_be_used_are_refused(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "timings.csv"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(UserError):
        check_timings(read_timings(path))
