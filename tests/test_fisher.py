"""Fisher diagonals are those of the closed form, and the distances made of them are distances."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from predictors.fisher import fisher_diagonal, frechet_distance, log_determinant_distance


def _network(classes: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, classes))


def test_of_logistic_regression_it_is_the_closed_form() -> None:
    images = torch.randn(50, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    found = fisher_diagonal(network, images)
    with torch.no_grad():
        p = network(images).softmax(1)
    spread = p * (1 - p)  # (n, classes)
    expected = torch.einsum("nc,ni->ci", spread, images.flatten(1) ** 2) / len(images)
    torch.testing.assert_close(found["1.weight"], expected)
    torch.testing.assert_close(found["1.bias"], spread.mean(0))


def test_gradients_are_those_of_single_images() -> None:
    images = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    network = _network(3, seed=0)
    parts = [fisher_diagonal(network, part) for part in images.split(1)]
    whole = fisher_diagonal(network, images)
    for name, each in whole.items():
        torch.testing.assert_close(each, torch.stack([part[name] for part in parts]).mean(0))
    assert all(each.grad is None for each in network.parameters())


@pytest.mark.parametrize("distance", [log_determinant_distance, frechet_distance])
def test_a_task_is_at_no_distance_from_itself_and_scale_does_not_matter(distance: object) -> None:
    assert callable(distance)
    images = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    a, b = (fisher_diagonal(_network(3, seed), images) for seed in (1, 2))
    assert distance(a, a) == 0 < distance(a, b)
    assert distance({name: 7 * each for name, each in a.items()}, b) == pytest.approx(distance(a, b))


def test_frechet_lies_between_0_and_1_whatever_the_diagonals() -> None:
    random = torch.Generator().manual_seed(3)
    for _ in range(50):
        a, b = ({"w": torch.rand(6, generator=random) ** 9, "v": torch.rand(2, generator=random)} for _ in range(2))
        assert 0 <= frechet_distance(a, b) <= 1
        assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_frechet_is_one_where_nothing_is_shared() -> None:
    first, second = {"w": torch.tensor([3.0, 0.0])}, {"w": torch.tensor([0.0, 0.5])}
    assert frechet_distance(first, second) == pytest.approx(1.0)
    assert 0 < frechet_distance(first, {"w": torch.tensor([1.0, 1.0])}) < 1
