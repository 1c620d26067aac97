"""Several networks that answer together: the mean of their class probabilities (Hansen, Salamon, 1990)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Member(NamedTuple):
    """One network of an average.

    Attributes:
        network: its class and arguments. resolution: height and width that it takes.
        mean, scale: (channels,) normalisation of its images, 0..255. temperature: what its logits are divided by.
    """

    network: nn.Module
    resolution: int
    mean: Sequence[float]
    scale: Sequence[float]
    temperature: float


class AverageNetwork(nn.Module):
    """Each member sees the images in its own size and normalisation.

    Args:
        members: networks for the same classes. resolution: height and width of the images that are given, in pixels.

    Attributes:
        largest: height and width of the images that the members see, the largest of them.
    """

    def __init__(self, members: Sequence[Member], resolution: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(Prepared(each, resolution) for each in members)
        self.largest = max(each.resolution for each in members)

    def load_members(self, weights: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes the weights of each member's network."""
        for member, each in zip(self.members, weights, strict=True):
            assert isinstance(member, Prepared)
            member.network.load_state_dict(each)

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, resolution, resolution) float, 0..255 -> (b, classes) logarithms of probabilities."""
        shares = torch.stack([member(images).softmax(dim=1) for member in self.members])
        return shares.mean(dim=0).clamp(min=1e-12).log()


class Prepared(nn.Module):
    """A member with what is done to its images."""

    mean: Tensor
    scale: Tensor
    shares: Tensor

    def __init__(self, member: Member, resolution: int) -> None:
        super().__init__()
        self.network, self.temperature = member.network, member.temperature
        shape = (1, -1, 1, 1)
        self.register_buffer("mean", torch.tensor(member.mean, dtype=torch.float32).view(shape))
        self.register_buffer("scale", torch.tensor(member.scale, dtype=torch.float32).view(shape))
        self.register_buffer("shares", triangle(resolution, member.resolution))

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, resolution, resolution) -> (b, classes) logits."""
        if self.shares.shape[0] != self.shares.shape[1]:
            images = self.shares.T @ (images @ self.shares)
        x = (images - self.mean) / self.scale
        logits: Tensor = self.network(x.contiguous(memory_format=torch.channels_last)) / self.temperature
        return logits


def triangle(old: int, new: int) -> Tensor:
    """(old, new): how much of each new pixel comes from each old one when a row is resized bilinearly, as in Pillow."""
    step = old / new
    centres = (torch.arange(new) + 0.5) * step
    distances = (torch.arange(old).view(-1, 1) + 0.5 - centres).abs() / max(step, 1.0)
    weights = (1 - distances).clamp(min=0)
    return weights / weights.sum(0)
