"""Zero-cost scores are what their definitions say, leave the network alone and survive degenerate input."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from databases.architectures.decisions import Walk
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture
from databases.architectures.spaces.nasbench201 import EDGES, NASBench201
from databases.datasets.task import Task, split
from databases.errors import UserError
from predictors.zero_cost import naswot, naswot_kernel, synflow, worst_for_singular, zero_cost

SPACE = NASBench201()
SKELETON = Skeleton(4, 1, classes=3)
CELLS = [
    Architecture("nasbench201", walk)
    for walk in ((3, 3, 3, 3, 3, 3), (1, 2, 4, 3, 0, 2), (0, 0, 0, 0, 0, 0), (3, 0, 0, 1, 0, 0))
]


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def small_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    first, second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), nn.Linear(96, 2))


def noise_task(*, channels: int = 3, seed: int = 0) -> Task:
    pictures = np.random.default_rng(seed).integers(0, 256, (60, 8, 8, channels), dtype=np.uint8)
    labels = np.arange(60, dtype=np.int64) % 3
    return Task("noise", pictures, labels, split(labels), ("a", "b", "c"))


def test_naswot_is_the_log_determinant_of_equal_bits() -> None:
    network, x = small_network(), images(10, 3, 8, 8)
    first = network[0](x)
    second = network[2](first.relu())
    codes = torch.cat([first.flatten(1), second.flatten(1)], 1).detach().numpy() > 0  # (images, units)
    hamming = (codes[:, None] != codes[None]).sum(-1)
    kernel = naswot_kernel(network, x)
    np.testing.assert_array_equal(kernel, codes.shape[1] - hamming)
    assert naswot(network, x) == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_one_image_alone_is_scored_where_maps_are_one_pixel() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    assert naswot(network, images(1, 3, 3, 3)) == pytest.approx(np.log(8))


@settings(deadline=None, max_examples=15)
@given(st.tuples(*[st.integers(0, 4)] * 6), st.integers(0, 3))
def test_kernels_are_symmetric_positive_and_count_every_live_edges_units(walk: Walk, seed: int) -> None:
    torch.manual_seed(seed)
    kernel = naswot_kernel(SPACE.network(Architecture("nasbench201", walk), SKELETON), images(9, 3, 8, 8))
    np.testing.assert_array_equal(kernel, kernel.T)
    assert np.linalg.eigvalsh(kernel)[0] > -1e-6 * kernel.max()
    cell = SPACE.graph_numbers(Architecture("nasbench201", walk))
    stages = [(4, 64), (8, 16), (16, 4)]  # channels, pixels
    in_cells = (cell[0] + cell[1]) * sum(channels * pixels for channels, pixels in stages)
    reductions = sum(c * p + d * q for (c, p), (d, q) in pairwise(stages))
    assert np.unique(np.diag(kernel)).tolist() == [in_cells + reductions + 16 * 4]


def test_edges_that_lead_nowhere_do_not_count() -> None:
    alive = [0, 0, 0, 3, 0, 0]
    assert EDGES[0] == (0, 1) and EDGES[3] == (0, 3)
    kernels = []
    for first in (0, 3):  # a convolution into a node that nothing leaves
        torch.manual_seed(0)
        network = SPACE.network(Architecture("nasbench201", (first, *alive[1:])), SKELETON)
        kernels.append(naswot_kernel(network, images(5, 3, 8, 8)))
    assert kernels[0][0, 0] == kernels[1][0, 0]


@settings(deadline=None, max_examples=25)
@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_naswot_does_not_change_with_positive_scale(first: float, second: float) -> None:
    network, x = small_network().double(), images(6, 3, 8, 8).double()
    before = naswot(network, x)
    scales = {"0.weight": first, "0.bias": first, "2.weight": second, "2.bias": first * second}
    with torch.no_grad():
        for name, scale in scales.items():
            network.get_parameter(name).mul_(scale)
    assert naswot(network, x) == pytest.approx(before)


def test_the_batchs_own_statistics_are_used() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), norm, nn.ReLU()).eval()
    before = naswot(network, images(6, 3, 8, 8))
    norm.register_buffer("running_mean", torch.full((8,), 1e6))  # with these statistics no unit would be on
    assert naswot(network, images(6, 3, 8, 8)) == before > 0


def test_equal_images_score_worst() -> None:
    x = images(6, 3, 8, 8)
    assert np.isfinite(naswot(small_network(), x))
    assert naswot(small_network(), torch.cat([x, x[2:3]])) == -np.inf
    assert naswot(small_network(), x[:1].expand(6, 3, 8, 8)) == -np.inf


def test_singular_kernels_take_the_worst_finite_score() -> None:
    np.testing.assert_array_equal(worst_for_singular(np.array([3.0, -np.inf, 2.0])), [3, 2, 2])
    np.testing.assert_array_equal(worst_for_singular(np.array([-np.inf, -np.inf])), [0, 0])


def tiny_network() -> nn.Sequential:
    """One 1x1 convolution of weight -2, four outputs of which a linear layer takes 1, -1, 2, -2 times."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 1))
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), ([-2.0], [5.0], [7.0], [1.0, -1, 2, -2], [3.0]), strict=True):
            parameter.copy_(torch.tensor(value).view_as(parameter))
    return network


def test_synflow_of_a_tiny_network_by_hand() -> None:
    # flow through the convolution: 2 * (1 + 1 + 2 + 2); through the linear layer: (1 + 1 + 2 + 2) * 2
    assert synflow(tiny_network(), (1, 2, 2)) == pytest.approx((24, 2 * np.log(7) + 6 * np.log(3)))


def test_flow_is_conserved_from_layer_to_layer() -> None:
    layers = [nn.Conv2d(3, 5, 3, bias=False), nn.Conv2d(5, 4, 3, bias=False), nn.Conv2d(4, 2, 4, bias=False)]
    positive = nn.Sequential(*layers).double()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
        output = float(positive(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum())
    assert synflow(positive, (3, 8, 8))[0] == pytest.approx(3 * output)


def test_signs_and_normalisations_do_not_change_synflow() -> None:
    torch.manual_seed(0)
    network = SPACE.network(CELLS[0], SKELETON)
    before = synflow(network, (3, 8, 8))
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.fill_(-3.0)
            elif isinstance(part, nn.Conv2d):
                part.weight.mul_(-1)
    assert synflow(network, (3, 8, 8)) == pytest.approx(before)


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_network_as_it_was(training: bool) -> None:
    network = SPACE.network(CELLS[0], SKELETON).train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    naswot(network, images(4, 3, 8, 8))
    synflow(network, (3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(part.training is training and not part._forward_hooks for part in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_zero_cost_gives_every_score_of_every_architecture() -> None:
    scores = zero_cost(noise_task(), CELLS, skeleton=SKELETON, batch=16, resolution=8)
    for i, cell in enumerate(CELLS):
        torch.manual_seed(0)
        network = SPACE.network(cell, SKELETON)
        assert (scores["synflow"][i], scores["logsynflow"][i]) == synflow(network, (3, 8, 8))
        assert scores["parameters"][i] == sum(each.numel() for each in network.parameters())
        assert scores["flops"][i] == SPACE.flops(cell, SKELETON, resolution=8)
    assert all(values.shape == (4,) and np.isfinite(values).all() for values in scores.values())
    assert scores["naswot"][2] == scores["naswot"].min()  # the cell without a path
    assert scores["synflow"][2] == scores["logsynflow"][2] == 0
    assert scores["naswot"].argmax() == scores["synflow"].argmax() == scores["logsynflow"].argmax() == 0


def test_zero_cost_repeats_by_seed_and_reads_the_images() -> None:
    def score(task: Task, *, seed: int) -> float:
        scores = zero_cost(task, CELLS[:1], skeleton=SKELETON, resolution=8, seed=seed)
        return float(scores["naswot"][0])

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    assert score(noise_task(), seed=0) == score(noise_task(), seed=0) != score(noise_task(), seed=1)
    assert score(noise_task(), seed=0) != score(noise_task(seed=1), seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_repeated_images_of_a_task_are_seen_once() -> None:
    task = noise_task(channels=1)
    task = replace(task, images=task.images[np.arange(60) // 3 * 3])
    scores = zero_cost(task, CELLS, skeleton=SKELETON._replace(input_channels=1), resolution=8)
    assert len(set(scores["naswot"].tolist())) > 1


def test_no_architectures_have_no_scores() -> None:
    scores = zero_cost(noise_task(), [], skeleton=SKELETON)
    assert all(values.shape == (0,) for values in scores.values())


def test_a_skeleton_for_other_images_is_refused() -> None:
    with pytest.raises(UserError, match="3 channels and images of 1"):
        zero_cost(noise_task(channels=1), CELLS, skeleton=SKELETON)
