"""Task similarity: rank correlations leave the target itself out, and FUSE's mixture learns which option is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from databases.architectures.space import space
from databases.architectures.spaces.reduced import Reduced
from databases.architectures.supernets.mixed_edge import MixedEdge
from databases.datasets.loading import load_task
from metad2a.reproduce.task_similarity import reduced_search
from metad2a.reproduce.task_similarity.demonstration import _correlations, _over_targets, _stability
from metad2a.reproduce.task_similarity.reduced_search import SPACE, Pool, around, drawn, fuse, mixture


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


def test_a_search_begins_with_the_best_cell_of_another_task_and_goes_on_in_its_space() -> None:
    cells = drawn(SPACE, 6, seed=0)
    assert len(set(cells)) == 6
    pool = Pool(cells, (1.0, 9.0, 2.0, 8.0, 3.0, 0.0), (5.0,) * 6)
    task = load_task((np.zeros((60, 8, 8), dtype=np.uint8), np.arange(60) % 2))
    job = around(pool, task, 4, seed=1)
    found = space(job.space)
    assert isinstance(found, Reduced)
    assert found.whole(found.within(cells[1])) == cells[1]
    inner = drawn(job.space, job.drawn, job.seed, job.begun)
    assert inner[:1] == job.begun == (cells[1],) and len(set(inner)) == 4
    assert drawn(job.space, 1, job.seed, job.begun) == (cells[1],)
    free = {0, 1}  # the live parts of a cell may do without an edge, or hand on by an identity
    assert {option for each in inner for option in each.walk} - free <= set(cells[1].walk)


def test_fuse_begins_with_the_best_cell_and_each_stage_meets_two_more(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[int] = []

    def first(mixed: MixedEdge, *_: object) -> Tensor:
        met.append(len(mixed.options))
        return torch.tensor([1.0] + [0.0] * (len(mixed.options) - 1))

    monkeypatch.setattr(reduced_search, "mixture", first)
    cells = drawn(SPACE, 6, seed=0)
    pool = Pool(cells, (1.0, 2.0, 9.0, 0.0, 0.0, 0.0), (5.0,) * 6)
    task = load_task((np.zeros((60, 8, 8), dtype=np.uint8), np.arange(60) % 2))
    job = around(pool, task, 1, seed=1, stages=2)
    begun = drawn(job.space, job.drawn, job.seed, job.begun)
    assert fuse(task, begun, seed=1) == cells[2] and met == [3, 3]
