"""The network of a cell computes what its edges say, for any image size and colour, and can be trained."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from databases.architectures.decisions import Walk
from databases.architectures.networks.cells import Cell
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture
from databases.architectures.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201

CHANNELS = 3
THREES = (3,) * 6
walks = st.tuples(*[st.integers(0, 4)] * 6)


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def network(walk: Walk, skeleton: Skeleton) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NASBench201().network(Architecture("nasbench201", walk), skeleton)


def single(operation: nn.Module, place: int) -> nn.Module:
    """The place-th of the convolutions that were joined; pooling and identity as they are."""
    if not isinstance(operation, nn.Sequential):
        return operation
    joined = operation[1]
    assert isinstance(joined, nn.Conv2d)
    alone = nn.Conv2d(CHANNELS, CHANNELS, joined.kernel_size[0], padding=joined.kernel_size[0] // 2, bias=False)
    alone.weight = nn.Parameter(joined.weight[place * CHANNELS :][:CHANNELS].detach().clone())
    return nn.Sequential(nn.ReLU(), alone, nn.BatchNorm2d(CHANNELS))


def edge_by_edge(cell: Cell, x: Tensor) -> tuple[Tensor, list[nn.Module]]:
    """The cell's definition with an operation of its own on each edge; also those operations."""
    parts = [
        (start, end, single(operation, place))
        for (start, ends), operation in zip(cell.groups, cell.operations, strict=True)
        for place, end in enumerate(ends)
    ]
    nodes = [x, *(torch.zeros_like(x) for _ in range(3))]
    for start, end, operation in sorted(parts, key=lambda part: part[1]):
        nodes[end] = nodes[end] + operation.to(x.dtype)(nodes[start])
    return nodes[3], [operation for _, _, operation in parts]


@settings(deadline=None, max_examples=60)
@given(walks)
@example(THREES)
@example((0, 0, 3, 3, 3, 3))  # a node without inputs
def test_joined_edges_compute_the_same_as_single_ones(walk: Walk) -> None:
    edges = [(OPERATIONS[op], *edge) for op, edge in zip(walk, EDGES, strict=True)]
    torch.manual_seed(0)
    cell, x = Cell(edges, CHANNELS), images(4, CHANNELS, 6, 6)
    expected, operations = edge_by_edge(cell, x)
    assert len(operations) == sum(op != 0 for op in walk)
    torch.testing.assert_close(cell(x), expected)


def test_joined_edges_learn_the_same_as_single_ones() -> None:
    torch.manual_seed(0)
    cell = Cell([("nor_conv_3x3", *edge) for edge in EDGES], CHANNELS).double()
    x = images(4, CHANNELS, 6, 6).double()
    expected, operations = edge_by_edge(cell, x)
    singles = [part.weight for each in operations for part in each.modules() if isinstance(part, nn.Conv2d)]
    joined = [part.weight for part in cell.modules() if isinstance(part, nn.Conv2d)]
    theirs = torch.cat(torch.autograd.grad(expected.square().sum(), singles))
    ours = torch.cat(torch.autograd.grad(cell(x).square().sum(), joined))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("walk", [THREES, (1, 2, 4, 3, 0, 2), (0,) * 6])
@pytest.mark.parametrize("shape", [(3, 16, 16), (3, 11, 11), (1, 8, 8)])
def test_a_step_of_training_lowers_the_loss(walk: Walk, shape: tuple[int, int, int]) -> None:
    net = network(walk, Skeleton(4, 1, input_channels=shape[0], classes=5)).train()
    x, y = images(10, *shape), torch.arange(10) % 4
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    losses = []
    for _ in range(2):
        logits = net(x)
        assert logits.shape == (10, 5)
        losses.append(nn.functional.cross_entropy(logits, y))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[1] < losses[0]


def test_width_and_depth_follow_the_skeleton() -> None:
    net = network(THREES, Skeleton(6, 2, classes=4))
    cells = [part for part in net.modules() if isinstance(part, Cell)]
    assert [cell.channels for cell in cells] == [6, 6, 12, 12, 24, 24]
    shapes: list[tuple[int, ...]] = []
    for cell in cells:
        cell.register_forward_hook(lambda cell, inputs, output: shapes.append(tuple(output.shape[1:])))
    net(images(2, 3, 9, 9))
    assert shapes == [(6, 9, 9)] * 2 + [(12, 5, 5)] * 2 + [(24, 3, 3)] * 2


def test_images_of_a_batch_do_not_mix_when_the_network_is_used() -> None:
    net, x = network(THREES, Skeleton(4, 1)).eval(), images(6, 3, 8, 8)
    torch.testing.assert_close(net(x)[2:3], net(x[2:3]))
