"""The supernet of ENAS's recurrent cells: a map of its own from each earlier node to each later (Pham et al., 2018)."""

from __future__ import annotations

from torch import nn

from databases.architectures.networks.recurrent import HighwayCell


class SharedHighwayCell(HighwayCell):
    """The weights of all cells of up to so many nodes; `take` says which of them it is.

    Args:
        nodes: of the largest cell. inputs: size of an input. width: size of the output.
    """

    def __init__(self, nodes: int, inputs: int, width: int) -> None:
        super().__init__(["identity"], (), inputs, width)
        self.maps = nn.ModuleList(
            nn.ModuleList(nn.Linear(width, 2 * width, bias=False) for _ in range(node)) for node in range(1, nodes)
        )

    def map(self, node: int, source: int) -> nn.Module:
        """The node's own map from that source."""
        found: nn.Module = self.maps[node - 1][source]  # type: ignore[index]
        return found
