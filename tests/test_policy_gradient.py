"""Policy-gradient controllers: the estimator, the baseline, many tasks, and learning through every kind of decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from databases.architectures.decisions import Branch, Chain, Decision, Repeat, Walk
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.space import Architecture, Space
from databases.errors import UserError
from metad2a.reproduce.simulated import ProgramSpace
from metad2a.search.controllers.learning_rule import MULTITASK, PROXIMAL, REINFORCE, Rule
from metad2a.search.controllers.memory import RunningMean, Sample
from metad2a.search.controllers.policy_gradient import PolicyGradient, multitask

FIRST, SECOND = Decision("first", ("a", "b")), Decision("second", ("c", "d"))
SQUARE = ProgramSpace("square", Chain(FIRST, SECOND))
WALKS: list[Walk] = [(0, 0), (0, 1), (1, 0), (1, 1)]
REWARDS = dict(zip(WALKS, (91.0, 88.0, 94.0, 70.0), strict=True))
NODE = Decision("operation", ("a", "b", "c"), adds_node=True)
KINDS: dict[str, Space] = {
    "loop": ProgramSpace("loop", Repeat(NODE, Decision("more", ("stop", "go")), most=5)),
    "branch": ProgramSpace("branch", Branch.of("kind", {"x": Chain(NODE, NODE), "y": Chain(SECOND, FIRST, SECOND)})),
    "pointer": ProgramSpace("pointer", Chain(NODE, NODE, NODE, Decision("from", kind="pointer"))),
    "subset": ProgramSpace("subset", Chain(NODE, NODE, Decision("skips", kind="subset", adds_node=True), FIRST)),
}
WANTED: dict[str, Walk] = {
    "loop": (1, 1, 0, 1, 2, 0),
    "branch": (1, 1, 0, 0),
    "pointer": (2, 1, 0, 1),
    "subset": (0, 2, 2, 1),
}


def samples(walks: Sequence[Walk], policy: PolicyGradient, *, task: str = "") -> list[Sample]:
    """Fresh ones, with the probabilities they have now."""
    found = policy.decoder.score(torch.zeros(len(walks), 1), walks).log_probability.tolist()
    return [Sample(task, walk, REWARDS.get(walk, 0.0), old) for walk, old in zip(walks, found, strict=True)]


def gradient(value: Tensor, policy: PolicyGradient) -> Tensor:
    grads = torch.autograd.grad(value, list(policy.decoder.parameters()), allow_unused=True)
    parts = zip(grads, policy.decoder.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in parts])


def likeness(walk: Walk, wanted: Walk) -> float:
    same = sum(a == b for a, b in zip(walk, wanted, strict=False))
    return 100 * same / max(len(walk), len(wanted))


def search(policy: PolicyGradient, wanted: Walk, rounds: int, *, task: str | None = None) -> None:
    for _ in range(rounds):
        asked = policy.ask(10, task=task)
        policy.tell(asked, [likeness(each.walk, wanted) for each in asked], task=task)


@pytest.mark.parametrize("baseline", [0.0, 85.0])
def test_the_estimator_is_the_exact_gradient_on_average_and_a_baseline_lowers_its_variance(baseline: float) -> None:
    policy = PolicyGradient(SQUARE, rule=replace(REINFORCE, entropy=0.0, normalise=False))
    probability = policy.decoder.score(torch.zeros(4, 1), WALKS).log_probability.exp()
    exact = gradient((probability * torch.tensor(list(REWARDS.values()))).sum(), policy)
    mean, variance = torch.zeros_like(exact), 0.0
    for each, p in zip(samples(WALKS, policy), probability.tolist(), strict=True):
        estimate = gradient(policy.objective([each], torch.tensor([each.score - baseline])), policy)
        mean += p * estimate
        variance += p * float((estimate - exact).square().sum())
    torch.testing.assert_close(mean, exact, atol=1e-4, rtol=1e-3)
    assert (variance < 100 * float(exact.square().sum())) == (baseline > 0)


def test_the_ratio_of_fresh_samples_is_one() -> None:
    policy = PolicyGradient(SQUARE, rule=replace(PROXIMAL, batch=100, entropy=0.0), repeats=True)
    asked = policy.ask(20)
    policy.tell(asked, [REWARDS[each.walk] for each in asked])
    fresh = list(policy._fresh)
    assert [each.walk for each in fresh] == [each.walk for each in asked]
    for advantage in (1.0, -1.0):  # mean of the ratio itself
        found = policy.objective(fresh, torch.full((20,), advantage)).item()
        assert found == pytest.approx(advantage, abs=1e-6)


@pytest.mark.parametrize(("old", "advantage", "moves"), [(-5.0, 1.0, False), (-5.0, -1.0, True), (0.0, 1.0, True)])
def test_a_ratio_beyond_the_clip_gains_nothing_more(old: float, advantage: float, moves: bool) -> None:
    policy = PolicyGradient(SQUARE, rule=replace(PROXIMAL, entropy=0.0))
    sample = replace(samples(WALKS[:1], policy)[0], log_probability=old)
    assert bool(gradient(policy.objective([sample], torch.tensor([advantage])), policy).any()) == moves


@pytest.mark.parametrize("factor", [0.01, 30.0])
def test_advantages_do_not_change_with_the_scale_of_a_tasks_scores(factor: float) -> None:
    scaled = {"one": factor, "two": 1.0}
    plain, other = (multitask(SQUARE, tasks=("one", "two"), rule=replace(MULTITASK, batch=4)) for _ in range(2))
    for scores in ([91.0, 88.0, 94.0, 70.0], [90.0, 60.0, 93.0, 71.0]):
        for task in ("one", "two"):
            told = [Sample(task, walk, score, -1.0) for walk, score in zip(WALKS, scores, strict=True)]
            times = [replace(each, score=each.score * scaled[task]) for each in told]
            torch.testing.assert_close(plain.advantages(told), other.advantages(times))
            architectures = [SQUARE.architecture(walk) for walk in WALKS]
            plain.tell(architectures, scores, task=task)
            other.tell(architectures, [each.score for each in times], task=task)
    assert plain.advantages(told).abs().max() > 0.1


def test_advantages_are_taken_against_the_baseline_before_the_batch() -> None:
    policy = PolicyGradient(SQUARE, rule=replace(REINFORCE, batch=4, normalise=False, decay=0.5))
    policy.tell([SQUARE.architecture(walk) for walk in WALKS], [10.0, 10.0, 10.0, 10.0])
    later = [Sample("", walk, 14.0, -1.0) for walk in WALKS]
    assert policy.advantages(later).tolist() == pytest.approx([4.0] * 4)
    policy.tell([SQUARE.architecture(walk) for walk in WALKS[:2]], [14.0, 14.0])
    policy.tell([SQUARE.architecture(walk) for walk in WALKS[2:]], [14.0, 14.0])
    weights = [0.5**4, 0.5**4]  # bias-corrected: 16 / (16 * 15 + ...) of the old mean
    old = weights[0] * (1 - weights[1]) / (1 - 0.5**8)
    assert policy.advantages(later).tolist() == pytest.approx([4 * old] * 4)


def test_tasks_with_opposite_aims_are_told_apart() -> None:
    wanted = {"up": (2, 2, 2), "down": (0, 0, 0)}
    space = ProgramSpace("cube", Chain(*(Decision(name, ("a", "b", "c")) for name in "xyz")))
    policy = multitask(space, tasks=tuple(wanted), rule=replace(MULTITASK, learning_rate=1e-2), repeats=True)
    for _ in range(20):
        for task, walk in wanted.items():
            search(policy, walk, 1, task=task)
    for task, walk in wanted.items():
        assert policy.likeliest(task=task).walk == walk


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(UserError, match="unknown task 'c': this controller knows a, b"):
        multitask(SQUARE, tasks=("a", "b")).ask(1, task="c")


@pytest.mark.parametrize("rule", [REINFORCE, PROXIMAL], ids=["reinforce", "ppo"])
@pytest.mark.parametrize("name", KINDS)
def test_it_learns_through_every_kind_of_decision(name: str, rule: Rule) -> None:
    policy = PolicyGradient(KINDS[name], rule=replace(rule, learning_rate=1e-2), repeats=True)
    search(policy, WANTED[name], 30)
    assert policy.likeliest().walk == WANTED[name]


def test_attention_finds_planted_skip_connections() -> None:
    layers = [
        Chain(Decision(f"layer {i}", ("conv",), adds_node=True), Decision(f"skips {i}", kind="subset"))
        for i in range(4)
    ]
    space = ProgramSpace("skips", Parts(tuple(layers)))
    planted = (0b0, 0b01, 0b100, 0b1010)

    def share(each: Architecture) -> float:
        bits = [(each.walk[2 * i + 1] ^ planted[i]).bit_count() for i in range(4)]
        return 100 - 10.0 * sum(bits)

    policy = PolicyGradient(space, rule=replace(REINFORCE, entropy=0.3), repeats=True)
    for _ in range(80):
        asked = policy.ask(10)
        policy.tell(asked, [share(each) for each in asked])
    assert policy.likeliest().walk[1::2] == planted


def test_what_is_drawn_again_teaches_with_the_score_it_has_and_is_not_asked_again() -> None:
    policy = PolicyGradient(SQUARE, rule=replace(REINFORCE, batch=3))
    first = policy.ask(2)
    policy.tell(first, [REWARDS[each.walk] for each in first])
    rest = policy.ask(2)
    assert {each.walk for each in first + rest} == set(WALKS)
    fresh = list(policy._fresh)
    again = fresh[2:]
    assert again and all(each.walk in {one.walk for one in first} for each in again)
    assert all(each.score == REWARDS[each.walk] for each in fresh)


def test_drawing_to_look_changes_nothing() -> None:
    one, other = (PolicyGradient(KINDS["loop"], seed=1) for _ in range(2))
    one.draw(30, seed=5)
    assert one.likeliest() == other.likeliest()
    assert one.ask(5) == other.ask(5)


def test_told_again_without_being_asked_a_walk_counts_as_a_draw_of_the_policy_of_that_time() -> None:
    policy = PolicyGradient(SQUARE, rule=Rule(batch=2, learning_rate=1e-2, entropy=0.0, epochs=4))
    good, bad = policy.ask(2)
    before = policy.log_probability([good])
    for _ in range(10):
        policy.tell([good, bad], [1.0, 0.0])
    assert (
        float((policy.log_probability([good]) - before).exp()) > 1.6
    )  # within the clip of one draw it would stay near 1.2


def test_draws_of_what_is_scored_join_a_batch_up_to_a_number() -> None:
    def joined(rule: Rule) -> int:
        policy = PolicyGradient(SQUARE, rule=rule)
        policy.tell(policy.ask(4), [1.0, 2.0, 3.0, 4.0])
        assert policy.ask(1) == []
        return len(policy._fresh)

    assert joined(Rule(batch=100, again=7, draws=50)) == 7 and joined(Rule(batch=100)) > 100


OWN = Rule(own_baselines=True, normalise=False, entropy=0.0)


def test_own_baselines_compare_each_decision_with_the_walks_that_met_it() -> None:
    policy = PolicyGradient(KINDS["branch"], rule=OWN)
    policy._memory(None).average.add(40.0)
    own = {"kind": 10.0, "operation": 20.0, "second": 30.0, "first": 55.0}
    policy._memory(None).of_decision |= {name: RunningMean(0.9, 1.0, base) for name, base in own.items()}
    for walk in ((0, 1, 2), (1, 0, 1, 1)):
        one = replace(samples([walk], policy)[0], score=50.0)
        steps = policy.decoder.score(torch.zeros(1, 1), [walk]).steps
        expected = sum(
            ((50.0 - own[name]) * log_probability.sum() for name, _, log_probability in steps), torch.zeros(())
        )
        found = policy.objective([one], policy.advantages([one]))
        torch.testing.assert_close(gradient(found, policy), gradient(expected, policy), atol=1e-4, rtol=1e-4)


def test_own_baselines_change_nothing_where_every_walk_meets_every_decision() -> None:
    policies = [PolicyGradient(SQUARE, rule=replace(OWN, own_baselines=own), repeats=True) for own in (True, False)]
    for policy in policies:
        search(policy, (1, 0), 5)
    own, shared = (policy.decoder.state_dict() for policy in policies)
    assert all(torch.allclose(own[name], shared[name], atol=1e-5) for name in own)


@pytest.mark.parametrize("further", [{"epochs": 4}, {"replay": 5}, {"normalise": True}])
def test_own_baselines_are_for_one_pass_over_fresh_walks(further: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one pass"):
        replace(OWN, **further)
