"""The graph decoder: valid walks through any decision graph, with probabilities that add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import pytest
import torch
from torch import Tensor

from databases.architectures import decisions
from databases.architectures.architecture import Architecture, Space
from databases.architectures.decisions import Branch, Chain, Decision, Part, Repeat, Walk
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.spaces import space
from metad2a.decoder import GraphDecoder, vertices


class MadeUp(Space):
    """A space that is nothing but its program."""

    name, node_types, classes = "made up", ("padding",), ()

    def __init__(self, program: Part, nodes: int) -> None:
        self.program, self.nodes = program, nodes

    def _none(self, *args: object, **options: object) -> NoReturn:
        raise NotImplementedError

    text = parse = key = canonical = class_number = graphs = network = parameters = flops = _none


OPERATION = Decision("operation", ("a", "b", "c"), adds_node=True)
LOOP = Repeat(Parts((Decision("source", kind="pointer"), OPERATION)), Decision("more", ("stop", "go")), most=3)
BRANCH = Parts(
    (
        Branch.of("kind", {"plain": Decision("width", ("1", "2")), "cell": Chain(OPERATION, OPERATION)}),
        OPERATION,
        Decision("inputs", kind="subset", adds_node=True),
        Decision("output", kind="pointer"),
    )
)
FED = Chain(OPERATION, Decision("second", ("a", "b"), adds_node=True, feeds=(0, 1)), Decision("skip", kind="subset"))
SPACES = {
    "nasbench201": space("nasbench201"),
    "loop": MadeUp(LOOP, 1),
    "branch": MadeUp(BRANCH, 0),
    "fed": MadeUp(FED, 1),
    "subset of nothing": MadeUp(Chain(Decision("skip", kind="subset"), OPERATION), 0),
}
SMALL = ["loop", "branch", "fed", "subset of nothing"]


def decoder(name: str, *, context: int = 3) -> GraphDecoder:
    torch.manual_seed(0)
    return GraphDecoder(SPACES[name], context=context, width=16)


def draw(policy: GraphDecoder, count: int, seed: int = 0) -> tuple[Tensor, list[Walk], Tensor]:
    context = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    found = policy.sample(context, generator=torch.Generator().manual_seed(seed))
    return context, found.walks, found.log_probability


@pytest.mark.parametrize("name", SPACES)
def test_every_sample_is_a_valid_walk(name: str) -> None:
    _, walks, log_probability = draw(decoder(name), 300)
    for walk in walks:
        assert SPACES[name].architecture(walk) == Architecture(SPACES[name].name, walk)
    assert torch.isfinite(log_probability).all()
    assert len(set(walks)) > 2


@pytest.mark.parametrize("name", SMALL)
def test_the_probabilities_of_all_walks_add_to_one(name: str) -> None:
    chosen = SPACES[name]
    walks = list(decisions.walks(chosen.program, nodes=chosen.nodes))
    scored = decoder(name).score(torch.ones(len(walks), 3), walks)
    assert scored.log_probability.exp().sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", SPACES)
def test_a_drawn_walk_is_scored_with_the_probability_it_was_drawn_with(name: str) -> None:
    policy = decoder(name)
    context, walks, log_probability = draw(policy, 50)
    torch.testing.assert_close(policy.score(context, walks).log_probability, log_probability, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SPACES)
def test_a_walk_is_scored_alike_alone_and_among_others(name: str) -> None:
    policy = decoder(name)
    context, walks, _ = draw(policy, 40)
    together = policy.score(context, walks)
    for i, walk in enumerate(walks):
        alone = policy.score(context[i : i + 1], [walk])
        torch.testing.assert_close(alone.log_probability[0], together.log_probability[i], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone.entropy[0], together.entropy[i], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SPACES)
def test_the_same_seed_draws_the_same_walks(name: str) -> None:
    policy = decoder(name)
    assert draw(policy, 60, seed=1)[1] == draw(policy, 60, seed=1)[1]
    assert draw(policy, 60, seed=1)[1] != draw(policy, 60, seed=2)[1]


def test_loops_stop_at_their_cap_and_use_it() -> None:
    rounds = {sum(1 for _ in range(0, len(walk), 3)) for walk in draw(decoder("loop"), 300)[1]}
    assert rounds == {1, 2, 3}


def test_a_low_temperature_takes_the_likeliest_walk() -> None:
    policy, context = decoder("branch"), torch.ones(30, 3)
    cold = policy.sample(context, generator=torch.Generator().manual_seed(0), temperature=1e-3).walks
    warm = policy.sample(context, generator=torch.Generator().manual_seed(0)).walks
    assert len(set(cold)) == 1 < len(set(warm))


@pytest.mark.parametrize("name", SMALL)
def test_likelihood_can_be_learnt_through_every_kind_of_decision(name: str) -> None:
    policy = decoder(name)
    wanted = draw(policy, 20)[1][-1]
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.02)
    for _ in range(40):
        loss = -policy.score(torch.ones(1, 3), [wanted]).log_probability.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found: Sequence[Walk] = policy.sample(torch.ones(20, 3), generator=torch.Generator().manual_seed(0)).walks
    assert found.count(wanted) > 14


def test_a_decision_met_twice_is_one_vertex() -> None:
    assert [each.name for each in vertices(BRANCH)] == ["kind", "width", "operation", "inputs", "output"]
