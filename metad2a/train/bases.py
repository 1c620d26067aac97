"""Weights to begin with, by name, made ready for the images of a task.

| name | is |
|---|---|
| hog | histograms of oriented gradients, which nothing trained |
| own | our residual network, pretrained on Tiny-ImageNet |
| lite0 | EfficientNet-Lite0, pretrained on ImageNet (extra ``photos``) |

What a user adds to them is called other.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from databases.architectures.networks.hog import HOGNetwork
from databases.architectures.skeleton import Blueprint
from databases.architectures.supernets.families import LITE0, RESIDUAL, open_family
from databases.architectures.supernets.pretrained import Family, Pretrained, Stages
from databases.errors import UserError
from metad2a.train.classifier import Classifier

FAMILY_OF = {"own": RESIDUAL, "lite0": LITE0}
OTHER = "other"
CELLS = 8  # of HOG along a side


@dataclass(frozen=True, eq=False)
class Base:
    """Weights to begin with, made ready for the channels of a task.

    Attributes:
        name: what people call it. digest: names the weights.
        network: as in `Classifier`; its linear layer is of no use to the task.
        blueprint: number of classes -> how the network is made.
        mean, scale: (channels,) normalisation that the weights expect.
        side: in pixels, the only one that the network takes, to which it enlarges images; None: any.
    """

    name: str
    digest: str
    network: nn.Module
    blueprint: Callable[[int], Blueprint]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    side: int | None = None

    def at(self, resolution: int) -> Classifier:
        """The network at a resolution, for its features."""
        return Classifier(self.network, self.blueprint(2), self.mean, self.scale, resolution)

    def with_head(
        self, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], *, resolution: int
    ) -> Classifier:
        """A copy with a linear layer of weights (classes, d) and (classes,)."""
        network = copy.deepcopy(self.network)
        head = nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # draws no random number
        head.weight, head.bias = (nn.Parameter(torch.from_numpy(each).clone()) for each in (weight, bias))
        network.classifier = head
        return Classifier(network.eval(), self.blueprint(len(weight)), self.mean, self.scale, resolution)


def open_base(name: str, *, channels: int, resolution: int, stages: Stages | None = None) -> Base:
    """The base of that name for images of 1 or 3 channels; ``stages`` names a slice of a pretrained family.

    Raises:
        UserError: there is none of that name, or its weights are not installed.
    """
    if name == "hog":
        return _hog(channels, resolution)
    if name in FAMILY_OF:
        return of_family(name, open_family(FAMILY_OF[name].name), channels=channels, stages=stages)
    raise UserError(f"given the weights {name!r}; known are hog, {', '.join(FAMILY_OF)}; give one of these")


def installed() -> dict[str, bool]:
    """Whether the weights of each name are there."""
    return {"hog": True, **{name: _why_not(family.name) is None for name, family in FAMILY_OF.items()}}


def absent() -> list[str]:
    """A line for each name whose weights are not there: what they would bring, and how to get them."""
    found = (_why_not(family.name) for family in FAMILY_OF.values())
    return [each for each in found if each is not None]


def _why_not(family: str) -> str | None:
    try:
        open_family(family)
    except UserError as problem:
        return str(problem)
    return None


def family_of(name: str) -> Family:
    """The family of those weights; that of fresh ones is ours."""
    return RESIDUAL if name == "scratch" else FAMILY_OF[name]


def of_family(name: str, family: Pretrained, *, channels: int, stages: Stages | None = None) -> Base:
    """A pretrained family, or its slice of these stages, as a base."""
    network = family.network(stages, input_channels=channels)
    mean, scale = family.normalisation(channels)
    return Base(
        name=name,
        digest=f"{family.digest}-{hashlib.sha256(repr(stages).encode()).hexdigest()[:6]}",
        network=network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        blueprint=lambda classes: family.blueprint(stages, classes=classes, input_channels=channels),
        mean=mean,
        scale=scale,
    )


def _hog(channels: int, resolution: int) -> Base:
    cell = max(1, resolution // CELLS)
    with torch.device("meta"):  # what has weights is not used
        network = HOGNetwork(2, channels, resolution, cell).eval()
    return Base(
        name="hog",
        digest=f"hog-{cell}",
        network=network,
        blueprint=lambda classes: Blueprint("hog:HOGNetwork", (classes, channels, resolution, cell)),
        mean=(0.0,) * channels,
        scale=(255.0,) * channels,
    )
