"""Spaces of block cells: NASNet-A from its genotype, ENAS micro, ShuffleNASNets, and the key of their cells."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from databases.architectures import decisions
from databases.architectures.networks.blocks import BlockCell, BlockNetwork, Blocks
from databases.architectures.networks.operations import OPERATIONS
from databases.architectures.networks.shuffle import ShuffleNetwork, ShuffleUnit, channel_shuffle
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture
from databases.architectures.spaces.block_space import BlockSpace
from databases.architectures.spaces.enas_micro import ENAS_MICRO
from databases.architectures.spaces.nasnet import NASNET, NASNET_A
from databases.architectures.spaces.nasnet import OPERATIONS as NASNET_OPERATIONS
from databases.architectures.spaces.shufflenasnet import SHUFFLENASNET

SPACES = {each.name: each for each in (NASNET, ENAS_MICRO, SHUFFLENASNET)}
TINY = BlockSpace("tiny", {"a": "a", "b": "b"}, network="", example="", blocks=3, inputs=1)


def cell(network: torch.nn.Module, place: int) -> BlockCell:
    assert isinstance(network, BlockNetwork)
    found = network.cells[place]
    assert isinstance(found, BlockCell)
    return found


def test_nasnet_a_has_the_published_size_and_shapes() -> None:
    """6 @ 768 for CIFAR-10: 3.3 million parameters in the paper, whose last cell also repeats one of its inputs."""
    nasnet_a = NASNET.parse(NASNET_A)
    assert 2.8e6 < NASNET.parameters(nasnet_a, Skeleton(channels=32, cells=6, input_channels=3, classes=10)) < 3.6e6
    network = NASNET.network(nasnet_a, Skeleton(channels=4, cells=6)).eval()
    assert isinstance(network, BlockNetwork) and len(network.cells) == 3 * 6 + 2
    shapes = [(5, 4, 16)] * 6 + [(3, 8, 8)] + [(5, 8, 8)] * 6 + [(3, 16, 4)] + [(5, 16, 4)] * 6
    x = before = network.stem(torch.zeros(2, 3, 16, 16))
    for each, (states, channels, side) in zip(network.cells, shapes, strict=True):
        before, x = x, each(before, x)
        assert x.shape == (2, states * channels, side, side)
    assert network.head(x).shape == (2, 10)


def test_nasnet_a_reads_what_its_figure_shows() -> None:
    network = NASNET.network(NASNET.parse(NASNET_A), Skeleton(4, 1))
    assert [cell(network, place).blocks.unread for place in range(2)] == [[2, 3, 4, 5, 6], [4, 5, 6]]
    assert not cell(network, 0).blocks.reads.count(False)


@pytest.mark.parametrize("name", NASNET_OPERATIONS)
@pytest.mark.parametrize("side", [1, 7, 8])
def test_thirteen_operations_keep_the_shape_or_halve_it(name: str, side: int) -> None:
    assert len(NASNET_OPERATIONS) == 13
    x = torch.randn(2, 6, side, side)
    assert OPERATIONS[name](6, 6, 1).eval()(x).shape == (2, 6, side, side)
    assert OPERATIONS[name](6, 6, 2).eval()(x).shape == (2, 6, (side + 1) // 2, (side + 1) // 2)


@pytest.mark.parametrize(("name", "joins"), [("nasnet", 2), ("enas-micro", 1), ("shufflenasnet", 1)])
def test_the_number_of_walks_is_that_of_the_paper(name: str, joins: int) -> None:
    chosen = SPACES[name]
    inputs, blocks, options = chosen.inputs, chosen.blocks, len(chosen.options)
    assert chosen.size == prod((inputs + i) ** 2 * options**2 * joins for i in range(blocks)) ** 2
    assert {len(each.walk) for each in (chosen.sample(np.random.default_rng(i)) for i in range(5))} == {
        2 * blocks * (4 + (joins > 1))  # NASNet: 2 x 5 x 5 = 50 choices
    }


@pytest.mark.parametrize("name", SPACES)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_the_key_does_not_see_the_order_of_blocks_and_terms(name: str, seed: int) -> None:
    chosen, rng = SPACES[name], np.random.default_rng(seed)
    architecture = chosen.sample(rng)
    assert chosen.key(shuffled(chosen, architecture, rng)) == chosen.key(architecture)
    assert chosen.key(chosen.parse(chosen.key(architecture))) == chosen.key(architecture)


def shuffled(chosen: BlockSpace, architecture: Architecture, rng: np.random.Generator) -> Architecture:
    """The same cells, described in another order."""
    walk: list[int] = []
    for blocks in chosen.cells(architecture):
        names = {state: state for state in range(chosen.inputs)}
        while len(names) < chosen.inputs + len(blocks):
            state = int(rng.integers(chosen.inputs, chosen.inputs + len(blocks)))
            i, j, first, second, join = blocks[state - chosen.inputs]
            if state not in names and i in names and j in names:
                names[state] = len(names)
                if rng.random() < 0.5:
                    i, j, first, second = j, i, second, first
                walk += [names[i], names[j], first, second] + [join] * (len(chosen.joins) > 1)
    return chosen.architecture(tuple(walk))


def test_cells_of_equal_key_compute_the_same_and_others_mostly_do_not() -> None:
    values: dict[str, set[tuple[float, ...]]] = {}
    assert isinstance(TINY.program, decisions.Sequence)
    half = list(decisions.walks(TINY.program.parts[0]))
    assert len(half) ** 2 == TINY.size
    for walk in half:
        architecture = TINY.architecture((*walk, *(0,) * 12))
        states = [0.8]
        for i, j, first, second, _ in TINY.cells(architecture)[0]:
            states.append(round(sum(np.sin((2 + op) * states[k] + op) for k, op in ((i, first), (j, second))), 9))
        read = {state for i, j, *_ in TINY.cells(architecture)[0] for state in (i, j)}
        ends = tuple(sorted(value for state, value in enumerate(states) if state and state not in read))
        values.setdefault(TINY.key(architecture), set()).add(ends)
    assert all(len(found) == 1 for found in values.values())
    assert len(set.union(*values.values())) > 0.75 * len(values)  # not all: equal blocks have weights of their own


def test_a_concatenation_keeps_the_width() -> None:
    blocks = Blocks([(0, 1, "identity", "conv1x1", "concat"), (2, 0, "max3x3", "identity", "add")], 4, inputs=2)
    assert blocks.unread == [3] and blocks([torch.randn(2, 4, 5, 5)] * 2).shape == (2, 4, 5, 5)


def test_a_cell_that_ignores_an_input_has_no_weights_for_it() -> None:
    plan = [(0, 0, "identity", "identity", "add")]
    ignoring = BlockCell(plan, 8, 8, 4, stride=1, shrunk=False)
    assert sum(each.numel() for each in ignoring.now.parameters()) == 0
    assert sum(each.numel() for each in ignoring.before.parameters()) > 0


@pytest.mark.parametrize(("channels", "groups"), [(8, 2), (12, 3), (6, 6)])
def test_a_channel_shuffle_is_a_permutation_whose_inverse_has_the_other_groups(channels: int, groups: int) -> None:
    x = torch.arange(channels).float().view(1, channels, 1, 1).expand(2, channels, 3, 3)
    y = channel_shuffle(*x.chunk(groups, dim=1))
    assert sorted(y[0, :, 0, 0].tolist()) == list(range(channels))
    assert torch.equal(channel_shuffle(*y.chunk(channels // groups, dim=1)), x)
    assert y[0, 1, 0, 0] == channels // groups or groups in (1, channels)


@pytest.mark.parametrize("shape", [(1, 4, 5, 3), (3, 6, 2, 2), (2, 2, 1, 4)])
@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("groups", [2, 3])
def test_a_channel_shuffle_keeps_how_channels_lie_in_memory(
    shape: tuple[int, ...], form: torch.memory_format, groups: int
) -> None:
    whole = torch.randn(shape[0], groups * shape[1], *shape[2:])
    parts = [each.contiguous(memory_format=form) for each in whole.chunk(groups, dim=1)]
    kept = whole.to(memory_format=form).chunk(groups, dim=1)[0]  # a view, as the half that passes untouched
    y = channel_shuffle(kept, *parts[1:])
    assert y.is_contiguous(memory_format=form)
    assert torch.equal(y, channel_shuffle(*whole.chunk(groups, dim=1)))


@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
def test_what_follows_a_unit_works_in_the_layout_that_came_in(form: torch.memory_format) -> None:
    network = SHUFFLENASNET.network(SHUFFLENASNET.parse(SHUFFLENASNET.example), Skeleton(8, 1)).eval()
    assert isinstance(network, ShuffleNetwork)
    network.to(memory_format=form)  # type: ignore[call-overload]
    x = network.stem(torch.randn(2, 3, 8, 8).to(memory_format=form))
    for unit in network.units:
        x = unit(x)
        assert x.is_contiguous(memory_format=form)


def test_a_unit_of_stride_one_passes_half_of_the_channels_untouched() -> None:
    unit = ShuffleUnit([(0, 0, "light3x3", "max3x3", "add")], 4, stride=1).eval()
    x = torch.randn(2, 8, 5, 5)
    y = channel_shuffle(*unit(x).chunk(4, dim=1))  # undoes the shuffle
    assert torch.equal(y[:, :4], x[:, :4])
    assert not torch.isclose(y[:, 4:], x[:, 4:]).any(dim=(0, 2, 3)).all()


def test_a_unit_of_stride_two_doubles_the_channels_and_halves_the_resolution() -> None:
    unit = ShuffleUnit([(0, 0, "light3x3", "max3x3", "add")], 4, stride=2).eval()
    assert unit(torch.randn(2, 4, 7, 7)).shape == (2, 8, 4, 4)
    network = SHUFFLENASNET.network(SHUFFLENASNET.parse(SHUFFLENASNET.example), Skeleton(5, 1))
    assert isinstance(network, ShuffleNetwork)
    assert network.units(network.stem(torch.randn(2, 3, 8, 8))).shape == (2, 24, 2, 2)
