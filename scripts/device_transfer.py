"""Prints whether timings of cells, all that is published of a device, foretell pretrained networks: they do not.

    python scripts/device_transfer.py

On this machine: the ten cells that `metad2a device calibrate` times, a straight line from their multiply-adds to their
milliseconds, and beside what it tells of pretrained networks what these take (one image, one thread, processor time).
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch
from torch import nn

from databases.architectures.networks import cost
from databases.architectures.space import image_space
from databases.architectures.spaces.pipeline import PIPELINE
from databases.records.recipe import recipe
from metad2a.devices.latency_model import RECIPE, shipped
from metad2a.devices.timing import time_cells
from metad2a.train.pipeline import blueprint_of

NETWORKS = ("own 32px probe whole", "own 48px probe whole", "own 32px probe slim-short")
PHOTOS = ("lite0 64px probe whole", "lite0 128px probe whole")
REPEATS = 15


def milliseconds(network: nn.Module, side: int) -> float:
    """Median of some passes of one image."""
    image, took = torch.randn(1, 3, side, side).contiguous(memory_format=torch.channels_last), []
    with torch.inference_mode():
        for _ in range(3 + REPEATS):
            begin = time.thread_time()
            network(image)
            took.append(time.thread_time() - begin)
    return 1_000 * median(took[3:])


def line() -> tuple[float, float]:
    """Milliseconds a million multiply-adds, and those of none."""
    size = recipe(RECIPE)
    timed = time_cells(shipped().cells, size, repeats=REPEATS)
    skeleton = size.skeleton(input_channels=3, classes=10)
    shape = (3, size.resolution, size.resolution)
    counts = [cost.multiply_adds(image_space(each.space).network(each, skeleton), shape) / 1e6 for each in timed]
    slope, start = np.polyfit(counts, list(timed.values()), 1)
    return float(slope), float(start)


def main() -> None:
    """One line a network."""
    torch.set_num_threads(1)
    slope, start = line()
    print(f"ten cells: {start:.2f} ms and {slope:.4f} ms a million multiply-adds")
    for text in (*NETWORKS, *PHOTOS):
        pipeline = PIPELINE.pipeline(PIPELINE.parse(text))
        network = blueprint_of(pipeline, channels=3, classes=10).build().eval()
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        count = cost.multiply_adds(network, (3, pipeline.resolution, pipeline.resolution)) / 1e6
        told, took = start + slope * count, milliseconds(network, pipeline.resolution)
        print(f"{text:26s} {count:6.1f} M: told {told:5.2f} ms, takes {took:5.2f}: {told / took:.1f} times")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
