"""`metad2a reproduce nasnet`: what it trains, what it compares, and that its verdicts can fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from databases.architectures.spaces import image_space
from databases.datasets.task import TEST, TRAIN
from databases.errors import UserError
from metad2a import training
from metad2a.loop import Trace
from metad2a.reproduce import nasnet
from metad2a.reproduce.nasnet import BEST, RANDOM, RECIPE, WORST, _Cell
from metad2a.reproduce.report import Context, Report

CONTEXT = Context(fast=True, workers=1, say=lambda line: None)


def shown(monkeypatch: pytest.MonkeyPatch, gain: float) -> Report:
    """The report where the best of the search is better than random by ``gain`` and the worst 10 points behind it."""
    above = {"search": 0.0, RANDOM: 0.0, BEST: gain, WORST: gain - 10.0}

    def made_up(job: _Cell) -> tuple[_Cell, float, float]:
        noise = np.random.default_rng(list(job.architecture.walk)).random()
        return job, 80 + noise, 60 + above[job.role] + noise

    monkeypatch.setattr(nasnet, "_train", made_up)
    return nasnet.run(CONTEXT)


def test_a_searched_cell_that_transfers_holds_and_its_figures_are_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    report = shown(monkeypatch, 5.0)
    assert [each.holds for each in report.verdicts] == [True, True, True]
    figures = report.figures
    assert figures["best_less_median"]["mean"] == pytest.approx(5, abs=1)
    assert figures["best_less_worst"]["mean"] == pytest.approx(10, abs=1)
    assert figures["valid"][BEST] == max(figures["searched"].values())
    assert np.shape(figures["test"][RANDOM]) == (2, 2) and figures["share_of_random_beaten"] == 1.0
    assert 2.97e6 < figures["nasnet_a_parameters"] < 3.63e6


def test_a_searched_cell_that_is_worse_is_said_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [each.holds for each in shown(monkeypatch, -30.0).verdicts] == [False, True, True]


def test_the_full_run_asks_for_intervals() -> None:
    none, some = {"mean": 1.0, "low": -0.1, "high": 2.0}, {"mean": 1.0, "low": 0.1, "high": 2.0}
    assert [each.holds for each in nasnet._verdicts(none, none, loose=False)] == [False, True]
    assert [each.holds for each in nasnet._verdicts(some, some, loose=False)] == [True, False]


def test_every_seed_has_its_own_random_cells_that_the_search_never_began_with() -> None:
    task = nasnet._tasks(CONTEXT)[1]
    space = image_space("nasnet")
    first = [space.sample(np.random.default_rng([seed, 0])) for seed in range(5)]
    trace = Trace(first, [3.0, 1.0, 5.0, 2.0, 4.0])
    cells = [each for seed in range(5) for each in nasnet._cells(trace, seed, 5, task)]
    assert {each.architecture for each in cells if each.role == BEST} == {first[2]}
    assert {each.architecture for each in cells if each.role == WORST} == {first[1]}
    strangers = {each.architecture for each in cells if each.role == RANDOM}
    assert len(strangers) == 25 and not strangers & set(first)


def test_the_sets_share_no_image_and_are_small() -> None:
    first, second = nasnet._tasks(CONTEXT)
    assert (first.classes, second.classes) == (5, 5)
    assert all((each.parts == TRAIN).sum() <= nasnet.FAST_MOST for each in (first, second))
    fewer = nasnet._fewer(first)
    assert (fewer.parts == TRAIN).sum() <= nasnet.MOST
    assert (fewer.parts == TEST).sum() == (first.parts == TEST).sum()


def test_the_full_run_says_which_images_it_needs() -> None:
    with pytest.raises(UserError, match=r"fashion_mnist.*METAD2A_SHARED"):
        nasnet.run(Context(fast=False, workers=1, say=lambda line: None))


def test_cells_of_other_spaces_train_in_plain_layout_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels last, NASNet's cells destroyed the heap; grey images look like it unless their strides are made new."""
    cpu = torch.device("cpu")
    assert training.memory_format("nasbench201", cpu) == training.memory_format("nasnet", torch.device("cuda"))
    assert training.memory_format("nasnet", cpu) == torch.contiguous_format
    strides: list[int] = []

    class Looking(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(64, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.training:
                strides.append(images.stride(1))
            return super().forward(images.flatten(1))

    space = image_space("nasnet")
    monkeypatch.setattr(type(space), "network", lambda self, architecture, skeleton: Looking())
    task = nasnet._tasks(CONTEXT)[0]
    cell = space.sample(np.random.default_rng(0))
    found = training.train(task, cell, recipe=RECIPE, device="cpu")
    assert set(strides) == {64} and found.valid_accuracy is not None
