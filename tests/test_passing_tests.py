"""LPT: its gradients are those of the three levels, and with nothing to create it is DARTS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from databases.architectures.supernets.mixed_edge import MixedEdge
from metad2a.supernets.passing_tests import Batches, Creator, Examiner, PassingTests, Rule, weighted_loss
from metad2a.supernets.training import Labelled

OPTIONS, EDGES = 2, 2


class Learner(nn.Module):
    """Two edges in a row, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.ModuleList(MixedEdge([nn.Linear(3, 3), nn.Tanh()]) for _ in range(EDGES))
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        for edge, each in zip(self.edges, weights, strict=True):
            x = edge(x, each)
        logits: Tensor = self.head(x)
        return logits


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(rule: Rule) -> PassingTests:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = PassingTests(
            Learner(), (EDGES, OPTIONS), Examiner(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), 4, 2), Creator(4), rule
        )
        nn.init.normal_(system.creator.weight)
        nn.init.normal_(system.alpha)
    return system


def batches() -> Batches:
    random = torch.Generator().manual_seed(1)

    def part() -> Labelled:
        return Labelled(torch.randn(7, 3, generator=random), torch.randint(2, (7,), generator=random))

    return Batches(part(), part(), part(), part())


def by_hand(system: PassingTests, given: Batches) -> tuple[Tensor, Tensor]:
    """The test loss and what the creator goes down, with the two steps really taken; parameters are put back."""
    kept = [
        {name: value.clone() for name, value in each.state_dict().items()} for each in (system.learner, system.tester)
    ]
    rule = system.rule

    def go(module: nn.Module, loss: Tensor) -> None:
        slopes = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for parameter, slope in zip(module.parameters(), slopes, strict=True):
                parameter.sub_(rule.unrolled * slope)

    mixture = system.alpha.detach().softmax(1)
    go(system.learner, cross_entropy(system.learner(given.learner.images, mixture), given.learner.labels))
    features, logits = system.tester(given.bank.images)
    tests = (
        system.creator(features.detach()).detach() * cross_entropy(logits, given.bank.labels, reduction="none")
    ).mean()
    own = cross_entropy(system.tester(given.tester.images)[1], given.tester.labels)
    go(system.tester, own + rule.gamma * tests)
    with torch.no_grad():
        losses = cross_entropy(system.learner(given.bank.images, mixture), given.bank.labels, reduction="none")
        scores = system.creator(system.tester(given.bank.images)[0])
        spoilt = cross_entropy(system.tester(given.valid.images)[1], given.valid.labels)
        test = weighted_loss(losses, scores)
    system.learner.load_state_dict(kept[0])
    system.tester.load_state_dict(kept[1])
    return test, rule.caution * spoilt - test


def slope(value: Callable[[], Tensor], of: Tensor, eps: float = 1e-6) -> Tensor:
    """Numerical gradient."""
    found = torch.zeros_like(of)
    flat, out = of.data.view(-1), found.view(-1)
    for i in range(len(flat)):
        flat[i] += eps
        up = value()
        flat[i] -= 2 * eps
        out[i] = (up - value()) / (2 * eps)
        flat[i] += eps
    return found


@pytest.mark.parametrize(
    "rule", [Rule(unrolled=0.3, gamma=1.0, caution=2.0), Rule(unrolled=0.3, gamma=0.0, caution=0.0)]
)
def test_one_step_gradients_are_those_of_steps_that_are_really_taken(rule: Rule) -> None:
    system, given = made(rule), batches()
    outer, creator = system.gradients(given)
    assert creator is not None
    torch.testing.assert_close(outer, slope(lambda: by_hand(system, given)[0], system.alpha), atol=1e-7, rtol=1e-5)
    for parameter, found in zip(system.creator.parameters(), creator, strict=True):
        wanted = slope(lambda: by_hand(system, given)[1], parameter)
        torch.testing.assert_close(found, wanted, atol=1e-7, rtol=1e-5)


def test_without_a_creator_it_is_darts() -> None:
    given = batches()
    equal = made(Rule(unrolled=0.3, gamma=0.0, caution=0.0))
    nn.init.zeros_(equal.creator.weight)  # every score one half
    second = made(Rule(unrolled=0.3, creates=False))
    torch.testing.assert_close(equal.gradients(given)[0], second.gradients(given)[0])
    first = made(Rule(unrolled=0.0, creates=False))
    loss = cross_entropy(first.learner(given.bank.images, first.alpha.softmax(1)), given.bank.labels)
    torch.testing.assert_close(first.gradients(given)[0], torch.autograd.grad(loss, first.alpha)[0])
    assert first.gradients(given)[1] is None


@given(st.lists(st.floats(0, 5), min_size=1, max_size=8), st.floats(0.01, 1))
def test_a_loss_of_equal_weights_is_the_mean(losses: list[float], score: float) -> None:
    values = torch.tensor(losses)
    torch.testing.assert_close(weighted_loss(values, torch.full_like(values, score)), values.mean())


def test_a_step_moves_everything_and_scores_stay_between_0_and_1() -> None:
    system, given = made(Rule()), batches()
    before = [p.detach().clone() for m in (system.learner, system.tester, system.creator) for p in m.parameters()]
    alpha = system.alpha.detach().clone()
    for _ in range(3):
        system.step(given)
    after = [p for m in (system.learner, system.tester, system.creator) for p in m.parameters()]
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True)) and not torch.equal(
        alpha, system.alpha
    )
    scores = system.scores(100 * given.bank.images)
    assert ((scores >= 0) & (scores <= 1)).all() and len(system.likeliest()) == EDGES


def test_what_is_left_out_is_never_the_likeliest_and_keeps_its_weight() -> None:
    system = made(Rule())
    system.alpha.data = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])
    assert system.likeliest() == (0, 1) and system.likeliest((0,)) == (2, 1) and system.likeliest((0, 1)) == (2, 2)
    assert system.alpha[0, 0] == 3


def test_a_step_stays_on_one_device() -> None:
    place = torch.device("meta")  # refuses tensors of another device, as CUDA does, on every machine
    system = made(Rule())
    for each in (system.learner, system.tester, system.creator):
        each.to(place)
    elsewhere = PassingTests(system.learner, (EDGES, OPTIONS), system.tester, system.creator, Rule())
    here = batches()
    elsewhere.step(Batches(*(each.to(place) for each in (here.learner, here.tester, here.bank, here.valid))))
    assert elsewhere.alpha.device == place
    with pytest.raises(RuntimeError):
        elsewhere.step(here)
