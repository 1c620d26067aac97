"""What describes a cell: what is live, its graph, and what feeds each decision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_nasbench201 import (
    NONE,
    ONE,
    POOL,
    SKIP,
    SPACE,
    THREE,
    cell,
)

from databases.architectures.decisions import Walk
from databases.architectures.spaces.nasbench201 import EDGES, OPERATIONS


@pytest.mark.parametrize(
    ("walk", "described"),
    [
        ((THREE,) * 6, (6, 0, 0, 0, 3, 1, 4, math.log(55))),
        ((THREE, NONE, NONE, NONE, NONE, THREE), (0, 0, 0, 0, 0, 0, 0, 0)),  # no path: nothing is live
        ((ONE, THREE, NONE, SKIP, NONE, POOL), (1, 0, 1, 1, 1, 0, 2, math.log(10))),  # the 1x1 leads nowhere
    ],
)
def test_a_description_counts_what_is_live(walk: Walk, described: tuple[float, ...]) -> None:
    assert SPACE.graph_numbers(cell(*walk)) == pytest.approx(described)


def test_the_graph_has_the_operations_as_nodes_fed_along_the_cells_edges() -> None:
    batch = SPACE.graphs([cell(NONE, SKIP, ONE, THREE, POOL, NONE), cell(*[POOL] * 6)])
    names = [SPACE.node_types[kind] for kind in batch.types[0]]
    assert names == ["input", *(OPERATIONS[op] for op in (NONE, SKIP, ONE, THREE, POOL, NONE)), "output"]
    ends = [0, *(end for _, end in EDGES)]
    starts = [*(start for start, _ in EDGES), 3]
    for i, start in enumerate(starts, 1):
        assert np.flatnonzero(batch.adjacency[0, i]).tolist() == [j for j, end in enumerate(ends) if end == start]


def test_decisions_say_which_nodes_feed_the_operation_they_choose() -> None:
    adjacency, state = SPACE.graphs([cell(*[SKIP] * 6)]).adjacency[0], SPACE.start()
    for node in range(1, 7):
        assert state.decision is not None and state.nodes == node
        assert state.decision.feeds == tuple(np.flatnonzero(adjacency[node]).tolist())
        state = state.take(SKIP)
