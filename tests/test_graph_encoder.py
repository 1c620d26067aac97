"""The graph encoder tells architectures apart by their operations and by how these are connected."""

from __future__ import annotations

import numpy as np
import torch

from databases.architectures.space import Architecture, space
from databases.architectures.typed_graph import GraphBatch
from predictors.graph_encoder import GraphEncoder, tensors

SPACE = space("nasbench201")
torch.manual_seed(0)
ENCODER = GraphEncoder(types=len(SPACE.node_types), width=16, layers=3, nodes=8).eval()
CELLS = [SPACE.sample(np.random.default_rng(seed)) for seed in range(40)]


def encode(graphs: GraphBatch) -> torch.Tensor:
    with torch.inference_mode():
        vectors: torch.Tensor = ENCODER(*tensors(graphs))
    return vectors


def test_an_architecture_is_encoded_alike_alone_and_in_a_batch() -> None:
    together = encode(SPACE.graphs(CELLS))
    alone = torch.cat([encode(SPACE.graphs([each])) for each in CELLS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_different_cells_have_different_vectors() -> None:
    cells = list(dict.fromkeys(CELLS))
    vectors = encode(SPACE.graphs(cells))
    apart = torch.cdist(vectors, vectors) + torch.eye(len(cells))
    assert apart.min() > 1e-4


def test_where_an_operation_sits_matters() -> None:
    first, last = (Architecture("nasbench201", walk) for walk in ((3, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 3)))
    assert not torch.allclose(encode(SPACE.graphs([first])), encode(SPACE.graphs([last])), atol=1e-4)


def test_edges_and_their_direction_matter() -> None:
    graphs = SPACE.graphs(CELLS)
    for other in (np.zeros_like(graphs.adjacency), graphs.adjacency.transpose(0, 2, 1).copy()):
        assert not torch.allclose(encode(graphs), encode(GraphBatch(graphs.types, other)), atol=1e-3)


def test_one_adjacency_serves_all_as_one_each_does() -> None:
    graphs = SPACE.graphs(CELLS)
    each = GraphBatch(graphs.types, np.repeat(graphs.adjacency, len(CELLS), axis=0))
    torch.testing.assert_close(encode(graphs), encode(each), atol=1e-5, rtol=1e-4)
