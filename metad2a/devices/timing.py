"""Times networks on the machine at hand: one image, one thread, the median of many passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor, nn

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, image_space
from databases.errors import UserError
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.train.torch_place import usable_place

WARM_UP = 5  # passes of each network that are not counted
IMAGE = (3, 10)  # channels of the image and classes of the timed networks


def time_cells(
    architectures: Sequence[Architecture],
    recipe: Recipe,
    *,
    repeats: int = 50,
    on: str = "cpu",
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict[Architecture, float]:
    """Milliseconds of one forward pass of each cell's network at the recipe's size.

    The networks (three channels, ten classes) run in eval mode in float32 on one image in memory. Passes of all
    networks alternate, so that what slows the machine for a while slows all alike; the median of ``repeats``
    passes is taken. Torch uses one thread meanwhile. On the CPU it is this thread's processor time, which is how
    long a pass takes where no other program wants the core; elsewhere it is the time until the device is done.
    Preparing the image is not part of it.

    Args:
        architectures: cells to time.
        recipe: gives channels, cells a stage and resolution.
        repeats: passes of each network that count.
        on: torch's name of what is timed.
        on_progress: is told how many rounds are done.
    """
    if repeats < 1:
        raise UserError(f"repeats {repeats}: give 1 or more")
    place = usable_place(on)
    clock = _clock(place)
    with lent(threads=1):
        skeleton = recipe.skeleton(input_channels=IMAGE[0], classes=IMAGE[1])
        networks = [_network(each, skeleton, place) for each in architectures]
        generator = torch.Generator().manual_seed(0)
        image = torch.randn(1, IMAGE[0], recipe.resolution, recipe.resolution, generator=generator)
        image = image.to(place, memory_format=torch.channels_last)
        with torch.inference_mode():
            rounds = list[list[float]]()
            for done in range(WARM_UP + repeats):
                rounds.append([_pass(network, image, clock) for network in networks])
                on_progress(max(0, done + 1 - WARM_UP))
    counted = zip(*rounds[WARM_UP:], strict=True)
    return {each: 1000 * median(times) for each, times in zip(architectures, counted, strict=True)}


def _clock(place: torch.device) -> Callable[[], float]:
    fine = time.get_clock_info("thread_time").resolution < 1e-5
    return time.thread_time if place.type == "cpu" and fine else time.perf_counter


def _network(architecture: Architecture, skeleton: Skeleton, place: torch.device) -> nn.Module:
    network = image_space(architecture.space).network(architecture, skeleton).eval()
    return network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _pass(network: nn.Module, image: Tensor, clock: Callable[[], float]) -> float:
    """Seconds of one pass, with all that was begun on the device finished."""
    begin = clock()
    network(image)
    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)
    elif image.device.type == "mps":
        torch.mps.synchronize()
    return clock() - begin
