"""Times networks on the machine at hand: one image, one thread, the median of many passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, image_space
from databases.errors import UserError
from databases.hosting import lent
from databases.records.recipe import Recipe
from metad2a.runtime.clock import seconds_in_turn
from metad2a.train.torch_place import usable_place

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
    with lent(threads=1):
        skeleton = recipe.skeleton(input_channels=IMAGE[0], classes=IMAGE[1])
        networks = [_network(each, skeleton, place) for each in architectures]
        generator = torch.Generator().manual_seed(0)
        image = torch.randn(1, IMAGE[0], recipe.resolution, recipe.resolution, generator=generator)
        image = image.to(place, memory_format=torch.channels_last)
        with torch.inference_mode():
            passes = [partial(_pass, each, image) for each in networks]
            seconds = seconds_in_turn(passes, repeats=repeats, on=place.type, on_progress=on_progress)
    return {each: 1000 * taken for each, taken in zip(architectures, seconds, strict=True)}


def _network(architecture: Architecture, skeleton: Skeleton, place: torch.device) -> nn.Module:
    network = image_space(architecture.space).network(architecture, skeleton).eval()
    return network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _pass(network: nn.Module, image: Tensor) -> None:
    """One pass, with all that was begun on the device finished."""
    network(image)
    if image.device.type == "cuda":
        torch.cuda.synchronize(image.device)
    elif image.device.type == "mps":
        torch.mps.synchronize()
