"""Graph encoder: message passing over the typed graph of an architecture, many architectures at once.

Dense graph convolutions (Morris et al., 2019; torch-geometric) along the edges and against them, with
residual connections; read out at the output node and as the mean over the nodes. Whoever only looks cells up
(`EncodedCells`) is spared the import of torch-geometric, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from databases.architectures.typed_graph import GraphBatch


class GraphEncoder(nn.Module):
    """Typed graphs -> one vector each.

    Args:
        types: size of the vocabulary of node types (0 is padding).
        width: size of the vectors. layers: rounds of message passing.
        nodes: most nodes of a graph; each place has an embedding of its own.
    """

    def __init__(self, *, types: int, width: int, layers: int, nodes: int) -> None:
        from torch_geometric.nn import DenseGraphConv

        super().__init__()
        self.embed = nn.Embedding(types, width, padding_idx=0)
        self.place = nn.Parameter(torch.zeros(nodes, width))
        self.forth = nn.ModuleList(DenseGraphConv(width, width) for _ in range(layers))
        self.back = nn.ModuleList(DenseGraphConv(width, width, bias=False) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.out = nn.Linear(2 * width, width)

    def forward(self, types: Tensor, adjacency: Tensor) -> Tensor:
        """(n, nodes) int64, (n or 1, nodes, nodes) -> (n, width)."""
        x = self.embed(types) + self.place[: types.shape[1]]  # (n, nodes, width)
        for forth, back, norm in zip(self.forth, self.back, self.norms, strict=True):
            x = x + torch.relu(norm(forth(x, adjacency) + back(x, adjacency.transpose(1, 2))))
        vectors: Tensor = self.out(torch.cat([x[:, -1], x.mean(1)], dim=-1))
        return vectors


class EncodedCells(nn.Module):
    """Stands for a trained `GraphEncoder` where architectures are only looked up.

    Args:
        vectors: (n, width), of every class of a finite space.
        weights: of the encoder; kept, so that what is saved is whole.
    """

    def __init__(self, vectors: Tensor, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.vectors, self.weights = vectors, dict(weights)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination.update({f"{prefix}{name}": value for name, value in self.weights.items()})

    def _load_from_state_dict(self, *_: Any) -> None:
        """The weights are those that it was made with."""


def tensors(graphs: GraphBatch) -> tuple[Tensor, Tensor]:
    """The arrays of a `GraphBatch` as tensors."""
    return torch.from_numpy(graphs.types), torch.from_numpy(graphs.adjacency)
