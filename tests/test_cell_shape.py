"""Width and depth are those that Shu, Wang and Cai (2020) published for five cells."""

from __future__ import annotations

import pytest

from databases.architectures.cell_shape import CellShape
from databases.architectures.space import Architecture, space
from databases.architectures.spaces.nasnet import NASNET_A
from metad2a.reproduce.cells.known import ENAS_CELL, PUBLISHED


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_five_published_cells_have_their_published_shapes(name: str) -> None:
    found = PUBLISHED[name]
    assert CellShape.of(found.sources, inputs=2) == found.shape


def test_a_cell_written_in_its_space_has_the_same_shape() -> None:
    assert space("nasnet").shape(space("nasnet").parse(NASNET_A)) == CellShape(5.0, 2)
    assert space("enas-micro").shape(space("enas-micro").parse(ENAS_CELL)) == CellShape(5.0, 2)


@pytest.mark.parametrize(
    ("walk", "width", "depth"),  # edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
    [
        ((3, 0, 3, 0, 0, 3), 1.0, 3),  # a chain
        ((3, 3, 0, 3, 3, 3), 2 + 1 / 3, 2),  # three branches
        ((0, 0, 0, 3, 0, 0), 1.0, 1),
        ((3, 0, 0, 3, 0, 0), 1.0, 1),  # node 1 leads nowhere
        ((3, 3, 3, 0, 0, 0), 0.0, 0),  # nothing leads to the output
    ],
)
def test_only_live_edges_of_nasbench201_count(walk: tuple[int, ...], width: float, depth: int) -> None:
    found = space("nasbench201").shape(Architecture("nasbench201", walk))
    assert found is not None and found.width == pytest.approx(width) and found.depth == depth


def test_a_space_without_cells_has_no_shape() -> None:
    chain = space("nas-rl")
    assert chain.shape(chain.parse(chain.example)) is None
