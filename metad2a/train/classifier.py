"""What every way to train makes: a network, how it is built, and how images become its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.networks.average import AverageNetwork
from databases.architectures.skeleton import Blueprint
from databases.datasets.task import Images, resize_images
from databases.errors import UserError
from databases.hosting import own_ways
from metad2a.train.batches import normalised
from metad2a.train.memory import was_short
from metad2a.train.precision import half

Places: TypeAlias = npt.NDArray[np.intp]

BATCH_PIXELS, LEAST_BATCH = 2**17, 32  # of one batch, and its images: what a CPU's cache likes, twice as fast as more


@dataclass(frozen=True, eq=False)
class Classifier:
    """A working image classifier.

    Attributes:
        network: in eval mode on the CPU; ``features`` (b, c, h, w) -> (b, d) and the linear layer ``classifier``.
        blueprint: how the network is made.
        mean, scale: (channels,) normalisation of the images, 0..255.
        resolution: height and width that the network takes, in pixels.
    """

    network: nn.Module
    blueprint: Blueprint
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    resolution: int

    @own_ways()
    def logits(self, images: Images, places: Places | None = None) -> npt.NDArray[np.float32]:
        """(n, h, w, c) uint8 of any size -> (n, classes); or of those at (m,) places alone -> (m, classes)."""
        return self._run(self.network, images, places)

    def features(
        self, images: Images, places: Places | None = None, *, mirrored: bool = False
    ) -> npt.NDArray[np.float32]:
        """The same -> (n, d), of the images as they are or mirrored; rounded where faster."""
        run: nn.Module = _Features(self.network)
        with half(self.network):
            return self._run(run, images, places, mirrored=mirrored)

    def resized(self, images: Images) -> Tensor:
        """(n, h, w, c) uint8 of any size -> (n, c, resolution, resolution) uint8."""
        ready = np.require(resize_images(images, self.resolution), requirements=("C", "W"))  # torch warns of others
        return torch.from_numpy(ready).permute(0, 3, 1, 2)

    def normalised(self, images: Tensor) -> Tensor:
        """(b, c, h, w) uint8 -> float32 as the network takes them, channels last in memory."""
        return normalised(images, self.mean, self.scale)

    def _run(
        self, network: nn.Module, images: Images, places: Places | None, *, mirrored: bool = False
    ) -> npt.NDArray[np.float32]:
        """Batch by batch, smaller ones where memory is short.

        Raises:
            UserError: a single image does not fit.
        """
        side = self.network.largest if isinstance(self.network, AverageNetwork) else self.resolution
        batch = max(LEAST_BATCH, BATCH_PIXELS // side**2)
        count, found = len(images) if places is None else len(places), list[Tensor]()
        with torch.inference_mode():
            while (done := sum(map(len, found))) < count:
                next_ones = slice(done, done + batch)
                try:
                    some = images[next_ones] if places is None else images[places[next_ones]]
                    some = some[:, :, ::-1] if mirrored else some
                    found.append(network(self.normalised(self.resized(some))).float())
                except (RuntimeError, MemoryError) as problem:
                    if not was_short(problem):
                        raise
                    if batch == 1:
                        raise UserError("there is no memory for a single image: choose a lower resolution") from problem
                    batch = -(-batch // 2)
        together: npt.NDArray[np.float32] = torch.cat(found).numpy()
        return together


class _Features(nn.Module):
    """A network's features as a module."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, d)."""
        found: Tensor = self.network.features(x)  # type: ignore[operator]
        return found
