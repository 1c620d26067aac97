"""A row of layers with skip connections becomes a trainable network (ENAS macro; Pham, Guan, Zoph, Le, Dean, 2018).

A layer applies its operation to the layer before and adds the outputs of the layers that its skip connections
name. After one and after two thirds of the layers the resolution is halved and the channels doubled, and so are
those of every earlier output that a later layer still reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from databases.architectures.networks.operations import OPERATIONS, FactorizedReduction, Head, Stem
from databases.architectures.skeleton import Skeleton

Layer = tuple[str, tuple[int, ...]]  # operation, earlier layers whose outputs are added


class MacroNetwork(nn.Module):
    """Stem, the layers, classifier; the depth is the architecture's, the skeleton's cells have no meaning here."""

    def __init__(self, layers: Sequence[Layer], skeleton: Skeleton) -> None:
        super().__init__()
        channels = skeleton.channels
        self.skips = [skips for _, skips in layers]
        self.stem = Stem(skeleton.input_channels, channels)
        self.operations, self.norms = nn.ModuleList(), nn.ModuleList()
        self.reductions = nn.ModuleDict()  # "place-output": before the layer at that place, of that output
        for place, (name, _) in enumerate(layers):
            if place and place in (len(layers) // 3, 2 * len(layers) // 3):
                for output in self._needed(place):
                    self.reductions[f"{place}-{output}"] = FactorizedReduction(channels, 2 * channels)
                channels *= 2
            self.operations.append(OPERATIONS[name](channels, channels, 1))
            self.norms.append(nn.BatchNorm2d(channels))
        self.head = Head(channels, skeleton.classes)

    def _needed(self, place: int) -> list[int]:
        """The outputs before ``place`` that it or a later layer reads."""
        skips = {skip for skips in self.skips[place:] for skip in skips if skip < place}
        return sorted(skips | {place - 1})

    def forward(self, images: Tensor) -> Tensor:
        """(b, input_channels, h, w) float -> (b, classes) logits."""
        x = self.stem(images)
        outputs: dict[int, Tensor] = {}
        for place, (operation, norm) in enumerate(zip(self.operations, self.norms, strict=True)):
            for output in list(outputs):
                if f"{place}-{output}" in self.reductions:
                    outputs[output] = self.reductions[f"{place}-{output}"](outputs[output])
            y = operation(outputs[place - 1] if place else x)
            for skip in self.skips[place]:
                y = y + outputs[skip]
            outputs[place] = norm(y)
        logits: Tensor = self.head(outputs[len(self.skips) - 1])
        return logits
