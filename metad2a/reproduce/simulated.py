"""A search space that is nothing but its decision graph: for simulations, and for tests."""

from __future__ import annotations

from collections.abc import Sequence

from databases.architectures.decisions import Program
from databases.architectures.space import Architecture, Space
from databases.architectures.typed_graph import GraphBatch


class ProgramSpace(Space):
    """A program under a name; its walks are written as their choices and build nothing.

    Args:
        nodes: inputs that exist before the first decision.
    """

    node_types = ("padding",)
    example = "0-1-0"

    def __init__(self, name: str, program: Program, *, nodes: int = 0) -> None:
        self.name, self.program, self.nodes = name, program, nodes

    def text(self, architecture: Architecture) -> str:
        """The choices, joined by hyphens."""
        return "-".join(map(str, architecture.walk))

    def parse(self, text: str) -> Architecture:
        """Reads the choices; raises `UserError` on anything else."""
        if not all(each.isdecimal() for each in text.split("-")):
            raise self.refuse(text)
        return self.architecture(tuple(map(int, text.split("-"))))

    def key(self, architecture: Architecture) -> str:
        """The text: no two walks are known to be the same."""
        return self.text(architecture)

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """There are none: raises NotImplementedError."""
        raise NotImplementedError(f"the simulated space {self.name} has no graphs")
