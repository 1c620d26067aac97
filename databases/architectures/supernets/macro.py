"""The supernet of ENAS's macro space: every layer with every operation, and every skip connection (Pham et al., 2018).

A skip connection has no weights but those of the reductions on its way, which all architectures share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor, nn

from databases.architectures.networks.macro import MacroNetwork
from databases.architectures.networks.operations import OPERATIONS
from databases.architectures.skeleton import Skeleton
from databases.architectures.supernets.mixed_edge import Choice, MixedEdge

Plan: TypeAlias = Sequence[tuple[Choice, Sequence[int]]]  # of each layer the operation, and what is added to it


class MacroSupernet(nn.Module):
    """As many layers as asked for, in the skeleton of `MacroNetwork`."""

    def __init__(self, operations: Sequence[str], layers: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.around = MacroNetwork([("avg3x3", tuple(range(place))) for place in range(layers)], skeleton)
        self.around.operations = nn.ModuleList(
            MixedEdge([OPERATIONS[name](norm.num_features, norm.num_features, 1) for name in operations])
            for norm in self.around.norms
            if isinstance(norm, nn.BatchNorm2d)
        )

    def forward(self, images: Tensor, plan: Plan) -> Tensor:
        """(b, input_channels, h, w) float and each layer's choice and skips -> (b, classes) logits."""
        around = self.around
        y = x = around.stem(images)
        outputs: dict[int, Tensor] = {}
        for place, (choice, skips) in enumerate(plan):
            later = {skip for _, each in plan[place:] for skip in each} | {place - 1}
            outputs = {output: self._reduced(place, output, outputs[output]) for output in later & outputs.keys()}
            y = around.operations[place](outputs[place - 1] if place else x, choice)
            for skip in skips:
                y = y + outputs[skip]
            outputs[place] = around.norms[place](y)
        logits: Tensor = around.head(outputs[len(plan) - 1])
        return logits

    def _reduced(self, place: int, output: int, value: Tensor) -> Tensor:
        """An earlier output as the layer at ``place`` needs it."""
        name = f"{place}-{output}"
        if name not in self.around.reductions:
            return value
        reduced: Tensor = self.around.reductions[name](value)
        return reduced
