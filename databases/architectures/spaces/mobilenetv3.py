"""A space around MobileNetV3 (Howard et al., 2019): width, and of five stages depth, kernels and expansions.

The choices are those of Once-for-All (Cai, Gan, Wang, Zhang, Han, 2020): two to four layers a stage, kernel 3, 5
or 7 and expansion 3, 4 or 6 for each layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from databases.architectures.decisions import Decision
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.skeleton import Blueprint, Skeleton
from databases.architectures.space import Architecture, ImageSpace
from databases.architectures.spaces import stages as staged
from databases.architectures.spaces.stages import StageChoices
from databases.architectures.typed_graph import GraphBatch, TypedNode

WIDTHS = ("0.5", "0.75", "1", "1.25")
STAGES = (StageChoices(kernels=(3, 5, 7), expansions=(3, 4, 6), least=2, most=4),) * 5


class MobileNetV3(ImageSpace):
    """Architectures as ``width 1: 3x3e4 5x5e6, ...``: kernel and expansion of each layer, stages after commas."""

    name = "mobilenetv3"
    node_types = (
        *("padding", "output", "input", *(f"width {width}" for width in WIDTHS)),
        *staged.block_types(STAGES),
    )
    example = "width 1: 3x3e4 3x3e3, 5x5e3 5x5e3 5x5e3, 3x3e6 3x3e3 3x3e3, 3x3e6 3x3e6, 5x5e6 5x5e6 7x7e6"
    program = Parts((Decision("width", WIDTHS), staged.program(STAGES)))

    def stages(self, architecture: Architecture) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Kernel and expansion of each layer of each stage."""
        found = staged.read(STAGES, architecture.walk[1:])
        return tuple(tuple((kernel, int(expansion)) for kernel, expansion in layers) for layers in found)

    def text(self, architecture: Architecture) -> str:
        """The width and the layers."""
        return f"width {WIDTHS[architecture.walk[0]]}: {staged.text(self.stages(architecture))}"

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        width, _, rest = text.removeprefix("width ").partition(": ")
        walk = staged.written(STAGES, staged.parsed(rest))
        if width not in WIDTHS or walk is None:
            raise self.refuse(text)
        return self.written(text, (WIDTHS.index(width), *walk))

    def key(self, architecture: Architecture) -> str:
        """The text: no two walks describe the same network."""
        return self.text(architecture)

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """A row: input, width, and for each stage a node of its own and its layers; output."""
        return GraphBatch.of([self._graph(each) for each in architectures], self.node_types, 3 + staged.places(STAGES))

    def _graph(self, architecture: Architecture) -> list[TypedNode]:
        names = ["input", f"width {WIDTHS[architecture.walk[0]]}", *staged.nodes(self.stages(architecture)), "output"]
        return [(name, [place - 1] if place else []) for place, name in enumerate(names)]

    def blueprint(self, architecture: Architecture, skeleton: Skeleton) -> Blueprint:
        """The stages; the skeleton's cells have no meaning here."""
        width = float(WIDTHS[architecture.walk[0]])
        return Blueprint("mobile:MobileNetwork", (width, self.stages(architecture), skeleton))


MOBILENETV3 = MobileNetV3()
