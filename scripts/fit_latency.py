"""Fits the shipped latency model (metad2a/weights/latency.safetensors) to the published table of 27 device settings.

    python scripts/fit_latency.py [--output FILE]

Needs the development data (METAD2A_SHARED). Writes weights, never the table; prints how well each device is fitted.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from databases.records.latency_table import read_latencies
from metad2a.devices.latency_model import WEIGHTS, fit_table, save
from metad2a.runtime.home import shared_data


def main() -> None:
    """Fits, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    output = parser.parse_args().output
    folder = shared_data() / "nasbench201"
    table = read_latencies(folder)
    model = fit_table(table)
    digest = hashlib.sha256((folder / "latency.csv.gz").read_bytes()).hexdigest()[:16]
    sha = save(model, output, {"table": "latency.csv.gz", "table_sha256": digest, "rows": len(table.cells)})
    for name, correlation in model.correlation.items():
        low, high = model.devices[name].ratios
        print(f"{name:16s} Spearman on held-out cells {correlation:.3f}, 80% of cells {low:.2f} to {high:.2f} of it")
    print(f"intervals of calibrated devices: {model.factor:.2f} standard deviations; cells to time:")
    print(*model.cells, sep="\n")
    print(f"{output.name}: sha256 {sha}..., {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
