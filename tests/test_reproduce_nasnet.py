"""`metad2a reproduce nasnet`: what it trains, what it compares, and that its verdicts can fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from databases.architectures.space import image_space
from databases.datasets.task import TEST, TRAIN
from databases.errors import UserError
from metad2a.reports.report import Report
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.nasnet import demonstration as nasnet
from metad2a.reproduce.nasnet import transferred_cells
from metad2a.reproduce.nasnet.transferred_cells import (
    BEST,
    LUCKY,
    POPULATION,
    RANDOM,
    RECIPE,
    WORST,
    Cell,
    Search,
    Searched,
    Size,
)
from metad2a.search.loop import Trace
from metad2a.train.torch_place import memory_format
from metad2a.train.train import train

CONTEXT = Context(fast=True, workers=1, say=lambda line: None)


def noise(cell: Cell) -> float:
    """What a made-up training gives: the same for the same cell."""
    return float(np.random.default_rng(list(cell.architecture.walk)).random())


def shown(monkeypatch: pytest.MonkeyPatch, slope: float) -> Report:
    """The report where a cell's accuracy on the second set grows by ``slope`` with that on the first."""
    monkeypatch.setattr(transferred_cells, "_valid", lambda cell: 80 + 10 * noise(cell))
    monkeypatch.setattr(transferred_cells, "_test", lambda cell: (cell, 60 + slope * (noise(cell) - 0.5)))
    monkeypatch.setattr(nasnet, "FAST", Size(searches=3, trials=24, rivals=5))
    return nasnet.run(CONTEXT)


def test_searched_cells_that_transfer_hold_and_their_figures_are_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    report = shown(monkeypatch, 40.0)
    assert [each.holds for each in report.verdicts] == [True, True, True]
    figures = report.figures
    test = {role: np.array(values) for role, values in figures["test"].items()}
    gains = test[BEST][:, 0] - np.median(test[RANDOM], axis=1)
    assert test[RANDOM].shape == (3, 5) and len(set(gains)) == 3
    assert figures["best_less_median"]["mean"] == pytest.approx(gains.mean()) and figures["best_less_median"]["low"] > 0
    assert figures["best_less_median"]["seeds"] == 3
    assert figures["valid"][BEST] == pytest.approx([max(each.values()) for each in figures["searched"]])
    assert figures["valid"][LUCKY] == pytest.approx([max(each.values()) for each in figures["drawn"]])
    assert 2.97e6 < figures["nasnet_a_parameters"] < 3.63e6
    assert [row[0] for row in report.tables[0].rows] == [BEST, LUCKY, WORST, "median of 5 random cells"]


def test_searched_cells_that_are_worse_are_said_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [each.holds for each in shown(monkeypatch, -120.0).verdicts] == [False, False, True]  # the control is better


def test_the_full_run_asks_for_intervals() -> None:
    none, some = {"mean": 1.0, "low": -0.1, "high": 2.0}, {"mean": 1.0, "low": 0.1, "high": 2.0}
    assert [each.holds for each in nasnet._verdicts(none, none)] == [False, True]
    assert [each.holds for each in nasnet._verdicts(some, some)] == [True, False]


def test_every_search_is_its_own_and_begins_as_random_search_does(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Cell] = []
    monkeypatch.setattr(transferred_cells, "_valid", lambda cell: trained.append(cell) or noise(cell))  # type: ignore[func-returns-value]
    task = transferred_cells.image_sets(CONTEXT)[0]
    size = Size(trials=8, finalists=1, retrainings=0)
    one, other = (transferred_cells._search(Search(seed, size, task)) for seed in (0, 1))
    begins = [each.evolution.architectures[:POPULATION] for each in (one, other)]
    assert begins[0] == one.random.architectures[:POPULATION] and not set(begins[0]) & set(begins[1])
    assert len(trained) == 2 * (8 + 8 - POPULATION) and {each.seed for each in trained} == {0, 1}


def test_the_finalists_are_trained_anew_and_the_best_mean_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    lucky: dict[Cell, float] = {}

    def once_lucky(cell: Cell) -> float:
        return lucky.setdefault(cell, noise(cell) + (5.0 if cell.seed == 7 and len(lucky) == 3 else 0.0))

    monkeypatch.setattr(transferred_cells, "_valid", once_lucky)
    task = transferred_cells.image_sets(CONTEXT)[0]
    found = transferred_cells._search(Search(7, Size(trials=8, finalists=8, retrainings=30), task))
    luck = next(cell.architecture for cell, value in lucky.items() if value > 1)
    truly = max(found.random.architectures, key=lambda each: noise(Cell(each, 7, task)))
    chosen, mean = found.best[LUCKY]
    assert found.random.best == luck != truly and chosen == truly
    assert mean == pytest.approx(noise(Cell(truly, 7, task)))
    assert found.valid()[LUCKY] == mean and found.cells(1)[LUCKY] == [truly]


def test_every_search_has_random_cells_that_it_never_began_with() -> None:
    space = image_space("nasnet")
    first = [space.sample(np.random.default_rng([seed, 0])) for seed in range(5)]
    trace, drawn = Trace(first, [3.0, 1.0, 5.0, 2.0, 4.0]), Trace(first[::-1], [3.0, 9.0, 5.0, 2.0, 4.0])
    best = {BEST: (first[2], 5.0), LUCKY: (first[3], 9.0)}
    cells = [Searched(seed, trace, drawn, best).cells(5) for seed in range(5)]
    assert all((each[BEST], each[LUCKY], each[WORST]) == ([first[2]], [first[3]], [first[1]]) for each in cells)
    strangers = {stranger for each in cells for stranger in each[RANDOM]}
    assert len(strangers) == 25 and not strangers & set(first)


def test_real_trainings_of_one_seed_are_the_same_again() -> None:
    task = transferred_cells.image_sets(CONTEXT)[1]
    cell = Cell(image_space("nasnet").sample(np.random.default_rng(0)), 3, task)
    (same, once), (_, again) = (transferred_cells._test(cell) for _ in range(2))
    assert same is cell and once == again > 0


def test_the_sets_share_no_image_and_are_small() -> None:
    first, second = transferred_cells.image_sets(CONTEXT)
    assert (first.classes, second.classes) == (5, 5)
    assert all((each.parts == TRAIN).sum() <= transferred_cells.FAST_MOST for each in (first, second))
    fewer = transferred_cells.fewer(first)
    assert (fewer.parts == TRAIN).sum() <= transferred_cells.MOST
    assert (fewer.parts == TEST).sum() == (first.parts == TEST).sum()


def test_the_full_run_says_which_images_it_needs() -> None:
    with pytest.raises(UserError, match=r"fashion_mnist.*METAD2A_SHARED"):
        nasnet.run(Context(fast=False, workers=1, say=lambda line: None))


def test_cells_of_other_spaces_train_in_plain_layout_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels last, NASNet's cells destroyed the heap; grey images look like it unless their strides are made new."""
    cpu, cells = torch.device("cpu"), image_space("nasnet")
    assert memory_format(image_space("nasbench201"), cpu) == memory_format(cells, torch.device("cuda"))
    assert memory_format(cells, cpu) == torch.contiguous_format
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
    task = transferred_cells.image_sets(CONTEXT)[0]
    cell = space.sample(np.random.default_rng(0))
    found = train(task, cell, recipe=RECIPE, on="cpu")
    assert set(strides) == {64} and found.valid_accuracy is not None
