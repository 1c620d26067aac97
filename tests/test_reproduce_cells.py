"""Cells understood: correlations at fixed operations, landscapes, and rewired cells."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from databases.architectures.cell_shape import CellShape
from databases.architectures.space import space
from metad2a.reproduce.cells import landscapes
from metad2a.reproduce.cells.landscapes import POINTS, SPACE, lines, rewired
from metad2a.reproduce.cells.table import Cells, correlation


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
