"""A chain of convolutions with skip connections becomes a trainable network (Zoph, Le, 2017).

The paper's repairs: a layer without inputs takes the image, several inputs are joined in depth, inputs that are
smaller are padded with zeros, and what no layer reads goes to the classifier.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from databases.architectures.networks.plans import Layer, shapes, unread


class ChainNetwork(nn.Module):
    """The layers, each convolution, batch normalisation, ReLU; global average pooling; linear classifier."""

    def __init__(self, layers: Sequence[Layer], channels: int, classes: int) -> None:
        super().__init__()
        self.sources = [each.inputs for each in layers]
        self.unread = unread(layers)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(
                    *(shape.inputs, each.filters, each.kernel),
                    stride=each.stride,
                    padding=(each.kernel[0] // 2, each.kernel[1] // 2),
                    bias=False,
                ),
                nn.BatchNorm2d(each.filters),
                nn.ReLU(),
            )
            for each, shape in zip(layers, shapes(layers, channels=channels, resolution=1), strict=True)
        )
        self.classifier = nn.Linear(sum(layers[i].filters for i in self.unread), classes)

    def forward(self, images: Tensor) -> Tensor:
        """(b, channels, h, w) float -> (b, classes) logits."""
        outputs: list[Tensor] = []
        for layer, sources in zip(self.layers, self.sources, strict=True):
            outputs.append(layer(_joined([outputs[i] for i in sources] or [images])))
        logits: Tensor = self.classifier(_joined([outputs[i] for i in self.unread]).mean(dim=(2, 3)))
        return logits


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """(b, c_i, h_i, w_i) -> (b, sum of c_i, largest h, largest w), zeros below and to the right."""
    if len(parts) == 1:
        return parts[0]
    height, width = (max(each.shape[side] for each in parts) for side in (2, 3))
    return torch.cat([pad(each, (0, width - each.shape[3], 0, height - each.shape[2])) for each in parts], dim=1)
