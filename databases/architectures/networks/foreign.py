"""Networks of the package timm (Wightman, 2019), by their names: its features and a linear classifier."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

NAME = re.compile(r"[a-z0-9_.]+")  # no colon or slash: timm would read a folder, or ask a server


def timm_package() -> Any:
    """The package; raises ModuleNotFoundError where it is not installed."""
    try:
        import timm
    except RuntimeError:  # torchvision's compiled operators are of another build of torch: their names are enough here
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
        import timm
    return timm


def timm_body(name: str) -> nn.Module:
    """The network of that name with fresh weights, without its classifier: (b, 3, h, w) -> (b, d)."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a network in timm")
    package = timm_package()
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):  # it keeps numbers that no file of weights holds
        body: nn.Module = package.create_model(name, pretrained=False, num_classes=0)
    return body


class TimmNetwork(nn.Module):
    """Features of a network of timm, which takes three colours, and a linear classifier.

    Args:
        name: in timm. channels: of the images; grey ones are given thrice. classes: their number.
        width: of the features. side: pixels that images are enlarged to, where the network takes no others; or 0.
    """

    def __init__(self, name: str, channels: int, classes: int, width: int, side: int) -> None:
        super().__init__()
        self.channels, self.side = channels, side
        self.body = timm_body(name)
        self.classifier = nn.Linear(width, classes)

    def features(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) float, normalised -> (b, width)."""
        x = images.expand(-1, 3, -1, -1) if self.channels == 1 else images
        if self.side:
            x = nn.functional.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        found: Tensor = self.body(x)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) float, normalised -> (b, classes) logits."""
        logits: Tensor = self.classifier(self.features(images))
        return logits
