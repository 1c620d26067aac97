"""A space around MobileNetV3 (Howard et al., 2019): width, and of five stages depth, kernels and expansions.

The choices are those of Once-for-All (Cai, Gan, Wang, Zhang, Han, 2020): two to four layers a stage, kernel 3, 5
or 7 and expansion 3, 4 or 6 for each layer. The layers of a stage are a loop, so that they share statistics.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from databases.architectures.decisions import Chain, Decision, Repeat
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, ImageSpace
from databases.architectures.typed_graph import GraphBatch, TypedNode

WIDTHS = ("0.5", "0.75", "1", "1.25")
KERNELS, EXPANSIONS = ("3", "5", "7"), ("3", "4", "6")
STAGES, LEAST, MOST = 5, 2, 4  # stages, layers of a stage
_LAYER = re.compile(r"(\d)x\1e(\d)")


def _stage(number: int) -> Parts:
    name = f"stage {number}"
    layer = Chain(Decision(f"{name} kernel", KERNELS), Decision(f"{name} expansion", EXPANSIONS))
    more = Decision(f"{name} depth", ("stop", "one more"))
    return Parts((*[layer] * (LEAST - 1), Repeat(layer, more, MOST - LEAST + 1)))


class MobileNetV3(ImageSpace):
    """Architectures as ``width 1: 3x3e4 5x5e6, ...``: kernel and expansion of each layer, stages after commas."""

    name = "mobilenetv3"
    node_types = (
        *("padding", "output", "input", *(f"width {width}" for width in WIDTHS)),
        *(f"stage {number}" for number in range(1, STAGES + 1)),
        *(f"{kernel}x{kernel}e{expansion}" for kernel in KERNELS for expansion in EXPANSIONS),
    )
    example = "width 1: 3x3e4 3x3e3, 5x5e3 5x5e3 5x5e3, 3x3e6 3x3e3 3x3e3, 3x3e6 3x3e6, 5x5e6 5x5e6 7x7e6"
    program = Parts((Decision("width", WIDTHS), *(_stage(number) for number in range(1, STAGES + 1))))

    def stages(self, architecture: Architecture) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Kernel and expansion of each layer of each stage."""
        rest, stages = list(architecture.walk[1:]), []
        for _ in range(STAGES):
            layers: list[tuple[int, int]] = []
            more = True
            while more:
                layers.append((int(KERNELS[rest.pop(0)]), int(EXPANSIONS[rest.pop(0)])))
                more = len(layers) < LEAST or (len(layers) < MOST and bool(rest.pop(0)))
            stages.append(tuple(layers))
        return tuple(stages)

    def text(self, architecture: Architecture) -> str:
        """The width and the layers."""
        stages = (" ".join(f"{k}x{k}e{e}" for k, e in layers) for layers in self.stages(architecture))
        return f"width {WIDTHS[architecture.walk[0]]}: {', '.join(stages)}"

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        width, _, rest = text.removeprefix("width ").partition(": ")
        if width not in WIDTHS:
            raise self.refuse(text)
        walk = [WIDTHS.index(width)]
        for stage in rest.split(", "):
            layers = _LAYER.findall(stage)
            for place, (kernel, expansion) in enumerate(layers):
                if kernel not in KERNELS or expansion not in EXPANSIONS:
                    raise self.refuse(text)
                walk += [1] * (place >= LEAST) + [KERNELS.index(kernel), EXPANSIONS.index(expansion)]
            walk += [0] * (len(layers) < MOST)
        return self.written(text, tuple(walk))

    def key(self, architecture: Architecture) -> str:
        """The text: no two walks describe the same network."""
        return self.text(architecture)

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """A row: input, width, and for each stage a node of its own and its layers; output."""
        places = 3 + STAGES * (1 + MOST)
        return GraphBatch.of([self._graph(each) for each in architectures], self.node_types, places)

    def _graph(self, architecture: Architecture) -> list[TypedNode]:
        names = ["input", f"width {WIDTHS[architecture.walk[0]]}"]
        for number, layers in enumerate(self.stages(architecture), start=1):
            names += [f"stage {number}", *(f"{k}x{k}e{e}" for k, e in layers)]
        return [(name, [place - 1] if place else []) for place, name in enumerate([*names, "output"])]

    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """The stages; the skeleton's cells have no meaning here."""
        width = float(WIDTHS[architecture.walk[0]])
        return Blueprint("mobile:MobileNetwork", (width, self.stages(architecture), skeleton))


MOBILENETV3 = MobileNetV3()
