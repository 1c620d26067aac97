"""Supernets: children share their edges' weights, what is not chosen is not computed and learns nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from databases.architectures.networks.operations import ReLUConvBN
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import SPACES, Architecture, SharedSpace, shared_space
from databases.architectures.supernets.instanas import InstanceNetwork, MetaLayer
from databases.architectures.supernets.mixed_edge import MixedEdge, Nothing, by_batch_statistics
from databases.errors import UserError

SHARED = {name: each for name, each in SPACES.items() if isinstance(each, SharedSpace)}
every_shared_space = pytest.mark.parametrize("name", SHARED)
SKELETON = Skeleton(2, 1, 3, 5)
STAGES = ((1, 1, 1), (2, 2, 2))  # layer 1 changes the shape, 0 and 2 keep it
Network = TypeVar("Network", bound=nn.Module)
MODULES = ("3x3e3", "5x5e3", "plain")


def built(build: Callable[[], Network]) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


@cache
def of(name: str) -> nn.Module:
    """The supernet of a space; tests may change its weights."""
    return built(lambda: SHARED[name].supernet(SKELETON))


def images(count: int = 6, side: int = 8) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def samples(name: str, count: int) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [SHARED[name].sample(rng) for _ in range(count)]


def edge(*, batch_statistics: bool = True) -> MixedEdge:
    made = built(lambda: MixedEdge([ReLUConvBN(3, 3, 3), nn.AvgPool2d(3, 1, 1), ReLUConvBN(3, 3, 1)]))
    return by_batch_statistics(made) if batch_statistics else made


def calls(module: nn.Module) -> list[int]:
    """Grows by the number of images each time the module computes, from now on."""
    seen: list[int] = []
    module.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    return seen


@every_shared_space
def test_every_child_computes_logits_and_unsampled_edges_get_no_gradient(name: str) -> None:
    chosen = SHARED[name]
    supernet = of(name)
    for each in samples(name, 1 if name == "nasnet" else 3):
        supernet.zero_grad()
        used = {m: calls(m) for m in supernet.modules() if any(True for _ in m.parameters(recurse=False))}
        logits = supernet(images(), chosen.choices(each))
        assert logits.shape == (6, SKELETON.classes) and torch.isfinite(logits).all()
        logits.square().sum().backward()
        assert 0 < sum(not seen for seen in used.values()) < len(used)
        learnt = [module for module in used if any(p.grad is not None for p in module.parameters(recurse=False))]
        assert learnt and all(used[module] for module in learnt)


def options_of(name: str, architecture: Architecture) -> set[str]:
    """Names of the options, of all edges of its space's supernet, whose weights a child's logits depend on."""
    supernet = of(name)
    edges = {f"{place}.options" for place, module in supernet.named_modules() if isinstance(module, MixedEdge)}
    supernet.zero_grad()
    supernet(images(), SHARED[name].choices(architecture)).square().sum().backward()
    options = ((place, m) for place, m in supernet.named_modules() if place.rpartition(".")[0] in edges)
    return {place for place, m in options if any(p.grad is not None and p.grad.any() for p in m.parameters())}


@every_shared_space
def test_children_that_share_an_edge_share_the_tensor(name: str) -> None:
    supernet = of(name)
    known: list[tuple[Architecture, set[str]]] = []
    for each in samples(name, 200):
        used = options_of(name, each)
        pairs = [(other, theirs & used) for other, theirs in known if theirs & used and theirs ^ used]
        if pairs:
            break
        known.append((each, used))
    (other, shared), strangers = pairs[0], [child for child, theirs in known if not theirs & pairs[0][1]]

    def logits() -> list[Tensor]:
        with torch.no_grad():
            return [supernet(images(), SHARED[name].choices(child)) for child in (each, other, *strangers[:1])]

    before = logits()
    with torch.no_grad():
        for place in shared:
            for parameter in supernet.get_submodule(place).parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    one, two, *others = (torch.equal(old, new) for old, new in zip(before, logits(), strict=True))
    assert not one and not two and all(others)


@pytest.mark.parametrize(
    ("name", "walk"), [("nasbench201", (3, 2, 1, 4, 3, 2)), ("enas-macro", None), ("instanas", None)]
)
def test_a_child_is_the_network_of_its_architecture(name: str, walk: tuple[int, ...] | None) -> None:
    chosen = SHARED[name]
    each = chosen.architecture(walk) if walk else samples(name, 1)[0]
    supernet = of(name)
    alone = by_batch_statistics(chosen.network(each, SKELETON))
    used = {m: calls(m) for m in supernet.modules() if any(True for _ in m.parameters(recurse=False))}
    with torch.no_grad():
        wanted = supernet(images(), chosen.choices(each))
        theirs = [p for m, seen in used.items() if seen for p in m.parameters(recurse=False)]
        ours = list(alone.parameters())
        assert sorted(tuple(p.shape) for p in ours) == sorted(tuple(p.shape) for p in theirs)
        if name == "enas-macro":  # its reductions come in another order
            return
        for mine, other in zip(ours, theirs, strict=True):
            mine.copy_(other)
        torch.testing.assert_close(alone(images()), wanted, atol=1e-4, rtol=1e-4)


@every_shared_space
def test_the_same_batch_gives_the_same_answer_in_training_and_evaluation(name: str) -> None:
    chosen = SHARED[name]
    supernet, each = of(name), chosen.choices(samples(name, 1)[0])
    with torch.no_grad():
        torch.testing.assert_close(supernet.train()(images(), each), supernet.eval()(images(), each))


def test_an_edge_by_path_mask_and_weights() -> None:
    mixed, x = edge(), images()
    every = [option(x) for option in mixed.options]
    torch.testing.assert_close(mixed(x, 2), every[2])
    torch.testing.assert_close(mixed(x, torch.ones(6, 3, dtype=torch.bool)), sum(every))
    torch.testing.assert_close(
        mixed(x, torch.tensor([0.2, 0.3, 0.5])), 0.2 * every[0] + 0.3 * every[1] + 0.5 * every[2]
    )


def test_a_mask_computes_each_image_as_if_it_were_alone_with_its_options() -> None:
    mixed = edge(batch_statistics=False).eval()
    mask = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0]]).bool()
    found = mixed(images(), mask)
    for x, on, y in zip(images(), mask, found, strict=True):
        alone = [option(x[None])[0] for option, used in zip(mixed.options, on, strict=True) if used]
        torch.testing.assert_close(y, sum(alone, torch.zeros_like(x)), atol=1e-5, rtol=1e-4)
    assert torch.equal(mixed(images(), torch.zeros(6, 3, dtype=torch.bool)), torch.zeros(6, 3, 8, 8))


def test_skipped_options_cost_no_call() -> None:
    mixed = edge()
    seen = [calls(option) for option in mixed.options]
    mixed(images(), torch.tensor([[True, False, False]] * 2 + [[True, True, False]] * 4))
    assert seen == [[6], [4], []]
    mixed(images(), 2)
    assert seen == [[6], [4], [6]]


def test_a_node_without_inputs_stops_the_work_behind_it() -> None:
    supernet = of("nasbench201")
    seen = [calls(m) for m in supernet.modules() if isinstance(m, MixedEdge)]
    supernet(images(), (0, 0, 3, 3, 3, 3))
    assert sum(map(sum, seen)) == 3 * 6  # of each of three cells one edge is alive
    assert isinstance(Nothing()(images()), Tensor)


def test_an_image_takes_its_own_path_through_the_meta_graph() -> None:
    network = built(lambda: InstanceNetwork(MODULES, STAGES, SKELETON, widths=(4, 8))).eval()
    masks = torch.zeros(6, 3, 3, dtype=torch.bool)
    masks[3:, 0, 0] = masks[3:, 2, 1] = masks[4:, 1, 0] = True
    legal = network.graph.legal(masks)
    assert (legal ^ masks).nonzero().tolist() == [[image, 1, 2] for image in range(4)]
    with torch.no_grad():
        together = network.graph(images(), legal)
        for image in range(6):
            alone = network.graph(images()[image : image + 1], legal[image : image + 1])
            torch.testing.assert_close(together[image : image + 1], alone, atol=1e-5, rtol=1e-4)
        x = network.graph.stem(images())
        for layer in network.graph.layers:
            assert isinstance(layer, MetaLayer)
            every = torch.stack([option(x) for option in layer.edge.options]).sum(0)
            x = x + every if layer.keeps else every
        whole = network.graph.classifier(network.graph.last(x).mean(dim=(2, 3)))
        everything = torch.ones(6, 3, 3, dtype=torch.bool)
        for given in (None, everything):
            torch.testing.assert_close(network.graph(images(), given), whole)
        paths = network.paths(images())
        assert torch.equal(network(images()), network.graph(images(), paths))
        assert torch.equal(network.graph.legal(paths), paths)


def test_a_space_without_a_supernet_is_refused() -> None:
    with pytest.raises(UserError, match="given the space 'nas-rl', but it has no supernet: choose one of nasbench201"):
        shared_space("nas-rl")
