"""Accuracy by shared weights: a trained supernet scores any architecture of its space (Pham et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from databases.architectures.space import Architecture, SharedSpace

Scores = npt.NDArray[np.float64]  # (architectures,)


@dataclass(eq=False)
class OneShot:
    """A predictor, and a measure for the search loop: percent of images that a child of a supernet gets right.

    Args:
        space: of the architectures. supernet: its trained supernet.
        images, labels: (n, channels, h, w) normalised as in training, and (n,), on the supernet's device; none that
            the supernet was trained on.
        draw: images that each architecture is scored on, drawn anew for each one as in ENAS; None for all.
        batch: images at a time, whose own statistics normalise them. seed: of what is drawn, and of how all are mixed.
    """

    space: SharedSpace
    supernet: nn.Module
    images: Tensor
    labels: Tensor
    draw: int | None = None
    batch: int = 250
    seed: int = 0
    _random: torch.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = torch.Generator().manual_seed(self.seed)

    def predict(self, architectures: Sequence[Architecture]) -> Scores:
        """Shared-weight accuracy in percent of each, (architectures,); the supernet is left as it was."""
        training = self.supernet.training
        self.supernet.eval()
        try:
            with torch.inference_mode():
                return np.array([self._score(each) for each in architectures], dtype=np.float64)
        finally:
            self.supernet.train(training)

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """The same as a `metad2a.search.loop.Measure`."""
        return [float(each) for each in self.predict(architectures)]

    def _score(self, architecture: Architecture) -> float:
        # mixed, since data often come class by class, and the statistics of a batch are to be those of all classes
        generator = self._random if self.draw else torch.Generator().manual_seed(self.seed)
        chosen = torch.randperm(len(self.labels), generator=generator)[: self.draw].to(self.labels.device)
        images, labels = self.images[chosen], self.labels[chosen]
        choices = self.space.choices(architecture)
        parts = [self.supernet(x, choices).argmax(1) for x in _batches(images, self.batch)]
        return float(100 * (torch.cat(parts) == labels).float().mean())


def _batches(images: Tensor, size: int) -> Sequence[Tensor]:
    """Parts of nearly equal size: the statistics of a small rest would be those of few images."""
    return images.chunk(max(1, round(len(images) / size)))
