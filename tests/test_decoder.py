"""The graph decoder: valid walks through any decision graph, with probabilities that add up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from databases.architectures import decisions
from databases.architectures.decisions import Branch, Chain, Decision, Repeat, Walk
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.space import Architecture, space
from metad2a.generate.decoder import GraphDecoder, vertices
from metad2a.reproduce.simulated import ProgramSpace

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
    "loop": ProgramSpace("loop", LOOP, nodes=1),
    "branch": ProgramSpace("branch", BRANCH),
    "fed": ProgramSpace("fed", FED, nodes=1),
    "subset of nothing": ProgramSpace("nothing", Chain(Decision("skip", kind="subset"), OPERATION)),
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


def test_the_walks_come_as_often_as_their_probabilities_say() -> None:
    policy = decoder("loop")
    walks = list(decisions.walks(LOOP, nodes=1))
    expected = policy.score(torch.ones(len(walks), 3), walks).log_probability.exp()
    found = policy.sample(torch.ones(6000, 3), generator=torch.Generator().manual_seed(0)).walks
    for walk, probability in zip(walks, expected.tolist(), strict=True):
        spread = (probability * (1 - probability) / 6000) ** 0.5
        assert abs(found.count(walk) / 6000 - probability) < 5 * spread + 1e-3


def test_a_flat_space_has_the_distribution_of_the_plain_sequence_policy() -> None:
    policy = decoder("nasbench201")
    context, walks, log_probability = draw(policy, 20)
    for i, walk in enumerate(walks):  # the classic controller, written out: one step for each decision of a fixed list
        h, last, nodes = torch.tanh(policy.begin(context[i])), policy.choice.weight[-1], [torch.zeros(16)]
        total = torch.zeros(())
        for at, (decision, taken) in enumerate(zip(vertices(SPACES["nasbench201"].program), walk, strict=True)):
            fed = policy.feeds(torch.stack([nodes[j] for j in decision.feeds]).mean(0))
            h = policy.cell((last + policy.context(context[i]) + policy.vertex.weight[at] + fed)[None], h[None])[0]
            head = policy.heads[str(at)]
            assert isinstance(head, nn.Linear)
            logits: Tensor = head(h)
            total = total + logits.log_softmax(0)[taken]
            last = policy.choice.weight[taken]
            nodes.append(h)
        torch.testing.assert_close(total, log_probability[i], atol=1e-5, rtol=1e-4)


def test_a_branch_whose_parts_are_all_the_same_is_the_chain() -> None:
    first, second = Decision("first", ("a", "b")), Decision("second", ("c", "d", "e"))
    flat = ProgramSpace("flat", Chain(first, second, first))
    rest = Parts((Parts((second,)), Branch(first, (("a", Parts(())), ("b", Parts(()))))))
    nested = ProgramSpace("nested", Branch(first, (("a", rest), ("b", rest))))
    walks = [each.walk for each in flat.enumerate()]
    assert walks == [each.walk for each in nested.enumerate()]
    torch.manual_seed(0)
    of_flat, of_nested = GraphDecoder(flat, context=2, width=8), GraphDecoder(nested, context=2, width=8)
    of_nested.load_state_dict(of_flat.state_dict())
    context = torch.randn(len(walks), 2)
    same = [each.score(context, walks).log_probability for each in (of_flat, of_nested)]
    torch.testing.assert_close(same[0], same[1])
    drawn = [each.sample(context, generator=torch.Generator().manual_seed(0)).walks for each in (of_flat, of_nested)]
    assert drawn[0] == drawn[1]


def test_pointers_and_subsets_choose_among_the_earlier_nodes_alone() -> None:
    program = Parts((LOOP, Decision("from", kind="pointer"), Decision("skip", kind="subset")))
    chosen = ProgramSpace("pointers", program, nodes=1)
    torch.manual_seed(0)
    policy = GraphDecoder(chosen, context=0, width=16)
    met = set()
    for walk in policy.sample(torch.zeros(400, 1), generator=torch.Generator().manual_seed(0)).walks:
        for state, choice in zip(decisions.states(program, walk, nodes=1), walk, strict=True):
            assert state.decision is not None
            if state.decision.kind != "one_of":
                assert 0 <= choice < state.choices
                met.add((state.decision.name, state.nodes, choice))
    assert {choice for name, nodes, choice in met if name == "from" and nodes == 4} == {0, 1, 2, 3}
    assert {choice for name, nodes, choice in met if name == "skip" and nodes == 2} == {0, 1, 2, 3}


def test_squashed_logits_keep_every_choice_alive() -> None:
    torch.manual_seed(0)
    policy = GraphDecoder(SPACES["nasbench201"], context=0, width=16, squash=2.0)
    with torch.no_grad():
        for weights in policy.heads.parameters():
            weights.mul_(1000)
    least = torch.tensor([-2.0, 2, 2, 2, 2]).log_softmax(0)[0].item()
    walks = [(choice,) * 6 for choice in range(5)]
    log_probability = policy.score(torch.zeros(5, 1), walks).log_probability
    assert (log_probability >= 6 * least - 1e-4).all()
    policy.squash = None
    assert policy.score(torch.zeros(5, 1), walks).log_probability.min() < 60 * least
