"""NAS-Bench-201's cells: text, canonical classes, cost and graphs agree with what is published."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from databases.architectures.decisions import Walk
from databases.architectures.networks.cells import Cell
from databases.architectures.networks.cost import multiply_adds
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, space
from databases.architectures.spaces.nasbench201 import EDGES, EXAMPLE, OPERATIONS, NASBench201, _network
from databases.errors import UserError

SPACE = NASBench201()
NONE, SKIP, ONE, THREE, POOL = range(5)
calm = settings(deadline=None)
PUBLISHED = {  # columns -> skeleton, resolution
    "cifar10": (Skeleton(classes=10), 32),
    "cifar100": (Skeleton(classes=100), 32),
    "imagenet16_120": (Skeleton(classes=120), 16),
}
skeletons = st.builds(Skeleton, st.sampled_from([2, 4]), st.integers(1, 3), st.sampled_from([1, 3]), st.integers(2, 12))
cells = st.tuples(*[st.integers(0, 4)] * 6).map(lambda walk: Architecture("nasbench201", walk))


@pytest.fixture(scope="module")
def every() -> list[Architecture]:
    return list(SPACE.enumerate())


@pytest.fixture(scope="module")
def table(shared: Path) -> list[dict[str, str]]:
    with gzip.open(shared / "nasbench201" / "accuracy.csv.gz", "rt") as file:
        cost = [f"{name}_{what}" for name in PUBLISHED for what in ("params", "flops")]
        return [{name: row[name] for name in ("arch_str", "isomorph_index", *cost)} for row in csv.DictReader(file)]


def cell(*walk: int) -> Architecture:
    return SPACE.architecture(walk)


@calm
@given(cells)
def test_the_text_form_reads_back(architecture: Architecture) -> None:
    assert SPACE.parse(str(architecture)) == architecture


@calm
@given(cells)
def test_the_text_form_is_the_benchmarks(architecture: Architecture) -> None:
    from nas_201_api import NASBench201API

    edges = [
        (name, start, end)
        for end, node in enumerate(NASBench201API.str2lists(str(architecture)), 1)
        for name, start in node
    ]
    assert edges == [(OPERATIONS[op], *edge) for op, edge in zip(architecture.walk, EDGES, strict=True)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nor_conv_3x3",
        f"{EXAMPLE}\n",
        f" {EXAMPLE}",
        EXAMPLE[:-1],
        EXAMPLE + EXAMPLE,
        EXAMPLE.replace("~1", "~0"),
        EXAMPLE.replace("+", ""),
        EXAMPLE.replace("nor_conv_3x3", "max_pool_3x3"),
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|none~3|",
    ],
)
def test_any_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="write it like") as error:
        SPACE.parse(text)
    assert EXAMPLE in str(error.value) and "\n" not in str(error.value)


@calm
@given(st.text(alphabet="|+~012 none_skip_connect"), st.integers(0, len(EXAMPLE)))
def test_an_accepted_text_is_written_back_unchanged(noise: str, place: int) -> None:
    text = EXAMPLE[:place] + noise + EXAMPLE[place:]
    try:
        assert str(SPACE.parse(text)) == text
    except UserError:
        assert noise


def test_an_unknown_space_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="nasbench201"):
        space("nasbench301")


def test_all_classes_but_five_read_the_image() -> None:
    dead = [each for each in SPACE.classes if SPACE.live(each) is None]
    assert len(dead) == 5 and not any(_reads(each) for each in dead)
    assert all(_reads(SPACE.classes[i]) for i in range(20, 6466, 400))


def test_the_live_parts_of_a_cell_compute_the_same_and_cost_less() -> None:
    live = {each: SPACE.live(each) for each in SPACE.classes}
    distinct = {each for each in live.values() if each is not None}
    assert len(distinct) == 4973 and all(live[each] == each for each in distinct)
    given = SPACE.parse("|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|skip_connect~2|")
    left = SPACE.live(given)
    assert str(left) == "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    assert left is not None and SPACE.key(given) != SPACE.key(left)


def test_a_cell_and_its_live_parts_have_the_same_convolutions_and_compute_the_same(every: list[Architecture]) -> None:
    pairs = [(each, left) for each in every if (left := SPACE.live(each)) is not None]
    assert len({left for _, left in pairs}) == 4973 and len(pairs) == 15_284
    before, after = (_values([pair[i] for pair in pairs]) for i in range(2))
    np.testing.assert_allclose(before, after, rtol=1e-12)
    offered = [(each, SPACE.live(each)) for each in {SPACE._without_dead_edges(each) for each in SPACE.classes} if each]
    assert all(left and sorted(_convolutions(each)) == sorted(_convolutions(left)) for each, left in offered)


@pytest.mark.parametrize(
    ("one", "other", "edges"),  # of each convolution in both
    [
        ((THREE, ONE, NONE, SKIP, POOL, THREE), (ONE, THREE, NONE, SKIP, THREE, POOL), {0: 1, 1: 0, 5: 4}),
        ((POOL, NONE, ONE, THREE, SKIP, SKIP), (POOL, THREE, ONE, NONE, SKIP, SKIP), {2: 2, 3: 1}),
        ((SKIP, NONE, THREE, SKIP, SKIP, SKIP), (SKIP, NONE, SKIP, SKIP, SKIP, THREE), {2: 5}),
    ],
)
def test_cells_with_the_same_live_parts_are_the_same_network(one: Walk, other: Walk, edges: dict[int, int]) -> None:
    first, second = Architecture(SPACE.name, one), Architecture(SPACE.name, other)
    assert SPACE.live(first) == SPACE.live(second) and SPACE.key(first) != SPACE.key(second)
    networks = [
        SPACE.network(each, Skeleton(channels=2, cells=1, classes=3)).double().eval() for each in (first, second)
    ]
    networks[1].load_state_dict(_outside(networks[0]), strict=False)
    for cells in zip(*([cell for cell in each.modules() if isinstance(cell, Cell)] for each in networks), strict=True):
        for ours, theirs in edges.items():
            source, target = (_weights(cell, edge) for cell, edge in zip(cells, (ours, theirs), strict=True))
            for value, taken in zip(source, target, strict=True):
                taken.copy_(value)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(networks[0](x), networks[1](x), rtol=1e-12, atol=1e-12)


def test_a_shared_convolution_is_not_two() -> None:
    shared = SPACE.live(Architecture(SPACE.name, (THREE, NONE, SKIP, NONE, SKIP, SKIP)))
    apart = SPACE.live(Architecture(SPACE.name, (THREE, THREE, NONE, NONE, SKIP, SKIP)))
    assert _network((THREE, NONE, SKIP, NONE, SKIP, SKIP)) != _network((THREE, THREE, NONE, NONE, SKIP, SKIP))
    assert shared == apart  # the published key does not tell them apart: its classes take the cheaper


def _convolutions(architecture: Architecture) -> list[int]:
    return [op for op in architecture.walk if op in (ONE, THREE)]


def _outside(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """All weights that are not in cells."""
    return {name: value for name, value in network.state_dict().items() if ".operations." not in name}


def _weights(cell: Cell, edge: int) -> list[torch.Tensor]:
    """The part of a cell's weights that belongs to an edge."""
    start, end = EDGES[edge]
    for (source, ends), operation in zip(cell.groups, cell.operations, strict=True):
        of = [value for value in operation.state_dict().values() if value.ndim]
        if source == start and end in ends and of:
            place, width = ends.index(end), cell.channels
            return [value[place * width : (place + 1) * width] for value in of]
    raise AssertionError(f"edge {edge} has no weights")


def _reads(architecture: Architecture) -> bool:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SPACE.blueprint(architecture, Skeleton(channels=4, cells=1, classes=3)).build().eval()
    one, other = network(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    return not torch.equal(one, other)


def test_there_are_15625_cells_in_6466_classes(every: list[Architecture]) -> None:
    assert len(set(every)) == 15_625
    assert len({SPACE.key(each) for each in every}) == len(SPACE.classes) == len(set(SPACE.classes)) == 6_466


def test_cells_with_the_same_key_compute_the_same(every: list[Architecture]) -> None:
    values: dict[str, list[float]] = defaultdict(list)
    for each, value in zip(every, _values(every).tolist(), strict=True):
        values[SPACE.key(each)].append(value)
    assert max(max(of) - min(of) for of in values.values()) < 1e-9


def _values(cells: Sequence[Architecture]) -> npt.NDArray[np.float64]:
    """What each cell makes of a number, with some function in place of each operation."""

    def operations(x: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
        return [0 * x, x, x * (1.3 + np.sin(3 * x)), x * (0.7 + np.cos(5 * x)), x * (1.1 + np.sin(7 * x + 1))]

    walks = np.array([each.walk for each in cells])
    nodes = np.zeros((4, len(walks)))
    nodes[0] = 0.8
    for edge, (start, end) in enumerate(EDGES):
        nodes[end] += np.choose(walks[:, edge], operations(nodes[start]))
    return np.asarray(nodes[3])


def test_the_classes_are_the_published_ones(table: list[dict[str, str]]) -> None:
    pairs = {(SPACE.key(SPACE.parse(row["arch_str"])), row["isomorph_index"]) for row in table}
    assert len(table) == 15_625
    assert len(pairs) == len({key for key, _ in pairs}) == len({index for _, index in pairs}) == 6_466


def test_parameters_and_flops_are_the_published_ones(table: list[dict[str, str]]) -> None:
    published = np.array([[int(value) for value in list(row.values())[2:]] for row in table])
    ours: npt.NDArray[np.int64] = np.empty_like(published)
    for i, row in enumerate(table):
        each = SPACE.parse(row["arch_str"])
        ours[i, ::2] = [SPACE.parameters(each, skeleton) for skeleton, _ in PUBLISHED.values()]
        ours[i, 1::2] = [SPACE.flops(each, skeleton, resolution=px) for skeleton, px in PUBLISHED.values()]
    np.testing.assert_array_equal(ours, published)


def test_the_canonical_cell_has_the_same_key_and_never_costs_more(every: list[Architecture]) -> None:
    skeleton = Skeleton(8, 3)
    for each in every:
        chosen = SPACE.canonical(each)
        assert SPACE.key(chosen) == SPACE.key(each)
        assert SPACE.parameters(chosen, skeleton) <= SPACE.parameters(each, skeleton)
        assert SPACE.canonical(chosen) == chosen


@calm
@given(cells, st.sampled_from([8, 15, 16]))
def test_the_canonical_cell_never_takes_more_flops(architecture: Architecture, resolution: int) -> None:
    ours, canonical = (
        SPACE.flops(each, Skeleton(8, 3), resolution=resolution)
        for each in (architecture, SPACE.canonical(architecture))
    )
    assert canonical <= ours


@settings(deadline=None, max_examples=25)
@given(cells, skeletons)
def test_the_network_has_the_closed_forms_parameters(architecture: Architecture, skeleton: Skeleton) -> None:
    network = SPACE.network(architecture, skeleton)
    assert sum(each.numel() for each in network.parameters()) == SPACE.parameters(architecture, skeleton)


@pytest.mark.parametrize("resolution", [15, 16])
@pytest.mark.parametrize(
    "walk",
    [(THREE,) * 6, (ONE, THREE, POOL, SKIP, THREE, ONE), (THREE, NONE, NONE, NONE, ONE, NONE), (NONE,) * 6],
)
def test_the_network_takes_the_closed_forms_flops(walk: Walk, resolution: int) -> None:
    skeleton = Skeleton(4, 2, input_channels=1, classes=7)
    done = multiply_adds(SPACE.network(cell(*walk), skeleton), (1, resolution, resolution))
    assert done == SPACE.flops(cell(*walk), skeleton, resolution=resolution)


def test_a_cell_without_a_path_ignores_the_image() -> None:
    import torch

    network = SPACE.network(cell(THREE, NONE, NONE, NONE, NONE, THREE), Skeleton(4, 1, classes=3)).eval()
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network(images)
    assert logits.shape == (5, 3)
    assert torch.equal(logits, logits[:1].expand(5, 3))
