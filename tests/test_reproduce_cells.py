"""Cells understood: correlations at fixed operations, landscapes, and rewired cells."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from databases.architectures.cell_shape import CellShape
from databases.architectures.space import Architecture, space
from metad2a.reproduce.cells import landscapes
from metad2a.reproduce.cells.found_cells import RANDOM, shown
from metad2a.reproduce.cells.landscapes import POINTS, SPACE, lines, rewired
from metad2a.reproduce.cells.table import Cells, correlation, every_cell, shapes_of


def test_a_correlation_at_fixed_operations_sees_no_difference_between_operations() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 4)
    within = np.tile(np.array([1.0, 1.5, 2.0, 2.5]), 60)
    width: npt.NDArray[np.float64] = within + groups.astype(
        np.float64
    )  # one set of operations is wider than another and worse
    of_group = Cells((), width, width, groups)
    found = correlation(width, within - 3 * groups + 0.01 * rng.random(240), of_group)
    assert found.value > 0.95 and found.figures()["low"] > 0.9
    assert abs(correlation(width, rng.random(240) - 3.0 * groups, of_group).value) < 0.2


def test_rewired_cells_go_from_the_chain_to_the_widest_and_keep_their_operations() -> None:
    cells = rewired(5, seed=3)
    shapes = [space(SPACE).shape(each) for each in cells]
    assert shapes[0] == CellShape(1.0, 6) and shapes[-1] == CellShape(5.0, 2)
    operations = {tuple(each.walk[place] for place in range(20) if place % 4 > 1) for each in cells}
    assert len(operations) == 1 and len(set(cells)) == 5


def test_losses_along_a_line_pass_through_that_of_the_weights_and_leave_them() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    x, y = torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    before = copy.deepcopy(network.state_dict())
    found = lines(network, x, y, directions=3, seed=1)
    assert found.shape == (3, POINTS)
    at = float(nn.functional.cross_entropy(network(x), y).detach())
    np.testing.assert_allclose(found[:, POINTS // 2], at, rtol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_the_gradients_of_equal_batches_do_not_vary() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    x, y = torch.randn(32, 1, 2, 2).repeat(3, 1, 1, 1), torch.zeros(96, dtype=torch.int64)
    assert landscapes._variance(network, x, y) < 1e-10
    assert landscapes._variance(network, torch.randn(96, 1, 2, 2), y) > 1e-4


def test_wide_cells_are_told_from_narrow_ones_and_random_ones_are_neither() -> None:
    wide, narrow = (Architecture("nasbench201", walk) for walk in ((2, 3, 0, 1, 3, 4), (3, 0, 3, 0, 0, 3)))
    dead = Architecture("nasbench201", (0,) * 6)
    found = shown({"wide": [wide] * 3, "narrow": [narrow] * 2 + [dead]}, asked=("wide", "narrow"), seed=4)
    assert [each.holds for each in found.verdicts] == [True, False, True, False, True]
    assert [row[:3] for row in found.table.rows[:2]] == [("wide", "2.33", "2.00"), ("narrow", "0.67", "2.00")]
    assert len(found.figures[RANDOM]["width"]) == 200 and found.figures["narrow"]["width"].tolist() == [1.0, 1.0, 0.0]
    assert shapes_of([dead], every_cell()).of_its_kind.tolist() == [0.0]
    assert not shown({"wide": [wide]}, seed=0).verdicts
    full = shapes_of(
        [Architecture("nasbench201", walk) for walk in ((3, 3, 1, 3, 3, 3), (4, 2, 1, 3, 3, 2))], every_cell()
    )
    assert np.array_equal(full.width, full.of_its_kind)  # without `none` all are as wide
