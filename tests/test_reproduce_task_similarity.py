"""Task similarity: rank correlations leave the target itself out, and FUSE's mixture learns which option is right."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from databases.architectures.space import space
from databases.architectures.spaces.reduced import Reduced
from databases.architectures.supernets.mixed_edge import MixedEdge
from metad2a.reproduce.task_similarity.demonstration import _correlations, _over_targets, _stability
from metad2a.reproduce.task_similarity.reduced_search import SPACE, Pool, drawn, mixture, reduced


def test_nearness_that_orders_the_sources_by_transfer_correlates_fully_whatever_the_diagonal() -> None:
    distance = np.random.default_rng(0).random((5, 5))
    gain = np.where(np.eye(5, dtype=bool), -100.0, -distance)
    found = _over_targets(_correlations([distance], [gain]))
    assert found["mean"] > 0.999 and found["low"] > 0.999 and found["seeds"] == 1
    assert _correlations([distance], [-gain]).mean() < -0.999
    assert _stability([distance, distance + 100 * np.eye(5)]) > 0.999


def test_the_mixture_prefers_the_option_that_generalises() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(96, 1, 2, 2), torch.randint(0, 2, (96,))
    x[:, 0, 0, 0] = 4.0 * (2 * y - 1)

    class Blind(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.flatten(1)[:, 1:])

    mixed = MixedEdge([nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), Blind(3, 2)])
    weights = mixture(mixed, (x[:64], y[:64]), (x[64:], y[64:]))
    assert weights[0] > weights[1] and abs(float(weights.sum()) - 1) < 1e-6


def test_a_reduced_space_is_that_of_the_best_cells() -> None:
    cells = drawn(SPACE, 6, seed=0)
    assert len(set(cells)) == 6
    pool = Pool(cells, (1.0, 9.0, 2.0, 8.0, 3.0, 0.0), (5.0,) * 6)
    found = space(reduced(pool))
    assert isinstance(found, Reduced)
    assert [found.whole(found.within(cells[i])) for i in (1, 3)] == [cells[1], cells[3]]
    inner = drawn(found.name, 4, seed=1)
    free = {0, 1}  # the live parts of a cell may do without an edge, or hand on by an identity
    assert {option for each in inner for option in each.walk} - free <= {op for i in (1, 3) for op in cells[i].walk}
