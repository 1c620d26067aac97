"""The decision graph offers valid choices only, ends, shares states and counts its walks right."""

from __future__ import annotations

from itertools import islice, product
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from databases.architectures import decisions
from databases.architectures.decisions import (
    Branch,
    Chain,
    Decision,
    Program,
    Repeat,
    Scope,
    Sequence,
    State,
    Walk,
    start,
    states,
    walks,
)
from databases.errors import UserError

COLOUR = Decision("colour", ("red", "green", "blue"))
SIZE = Decision("size", ("small", "large"))
AGAIN = Decision("again", ("stop", "on"))
POINT = Decision("point", kind="pointer")
SUBSET = Decision("subset", kind="subset")
NODE = Decision("node", ("a", "b"), adds_node=True)

calm = settings(deadline=None)
few = settings(deadline=None, max_examples=50)
one_of = st.builds(
    Decision,
    st.sampled_from("abc"),
    st.sampled_from([("x",), ("x", "y"), ("x", "y", "z")]),
    adds_node=st.booleans(),
)
anything = one_of | st.builds(
    Decision, st.sampled_from("pq"), kind=st.sampled_from(["pointer", "subset"]), adds_node=st.booleans()
)


def programs(decisions: st.SearchStrategy[Decision]) -> st.SearchStrategy[Program]:
    def compound(parts: st.SearchStrategy[Program]) -> st.SearchStrategy[Program]:
        return (
            st.lists(parts, max_size=3).map(lambda of: Sequence(tuple(of)))
            | st.builds(Repeat, parts, st.just(AGAIN), st.integers(1, 3))
            | st.builds(Scope, parts)
            | st.lists(parts, min_size=1, max_size=2).map(
                lambda of: Branch.of("branch", dict(zip("lr", of, strict=False)))
            )
        )

    return st.recursive(decisions, compound, max_leaves=5)


def count(program: Program) -> int:
    """Walks of a program without pointers and subsets, by its definition."""
    if isinstance(program, Sequence):
        return prod(count(part) for part in program.parts)
    if isinstance(program, Branch):
        return sum(count(part) for _, part in program.parts)
    if isinstance(program, Repeat):
        total = body = count(program.body)
        for _ in range(program.most - 1):
            total = body * (1 + total)
        return total
    if isinstance(program, Scope):
        return count(program.body)
    return len(program.options)


def wander(program: Program, seed: int) -> tuple[Walk, State]:
    rng, state, walk = np.random.default_rng(seed), start(program), []
    while state.decision is not None:
        walk.append(int(rng.integers(state.choices)))
        state = state.take(walk[-1])
    return tuple(walk), state


@calm
@given(programs(anything), st.integers(0, 10))
def test_every_random_walk_ends_and_is_valid(program: Program, seed: int) -> None:
    walk, end = wander(program, seed)
    before = list(states(program, walk))
    assert len(before) == len(walk)
    if "Scope" not in repr(program):
        assert end.nodes == sum(bool(state.decision and state.decision.adds_node) for state in before)
    for state, choice in zip(before, walk, strict=True):
        assert 0 <= choice < state.choices


@calm
@given(programs(anything), st.integers(0, 10))
def test_choices_that_the_graph_does_not_offer_are_refused(program: Program, seed: int) -> None:
    walk, end = wander(program, seed)
    for state in [*states(program, walk), end]:
        for choice in (-1, state.choices):
            with pytest.raises(UserError):
                state.take(choice)
    with pytest.raises(UserError, match="complete"):
        list(states(program, (*walk, 0)))
    if walk:
        with pytest.raises(UserError, match="go on"):
            list(states(program, walk[:-1]))


@few
@given(programs(anything))
def test_the_probabilities_of_all_walks_add_up_to_one(program: Program) -> None:
    every = list(islice(walks(program), 1001))
    assume(len(every) <= 1000)
    chances = [prod(1 / state.choices for state in states(program, walk)) for walk in every]
    assert sum(chances) == pytest.approx(1)


@few
@given(programs(one_of))
def test_enumeration_gives_each_walk_once_and_in_order(program: Program) -> None:
    assume(count(program) <= 1000)
    every = list(walks(program))
    assert len(every) == count(program) == decisions.count(program)
    assert every == sorted(set(every))


@few
@given(programs(anything))
def test_walks_are_counted_without_listing_them(program: Program) -> None:
    every = list(islice(walks(program), 1001))
    assume(len(every) <= 1000)
    assert decisions.count(program) == len(every)


@calm
@given(programs(anything), st.integers(0, 10))
def test_states_are_interned(program: Program, seed: int) -> None:
    walk, _ = wander(program, seed)
    for first, second in zip(states(program, walk), states(program, walk), strict=True):
        assert first == second and hash(first) == hash(second)
        if first.decision is not None:
            assert first.take(0) is second.take(0)


def test_all_walks_through_a_chain_share_their_states() -> None:
    program = Chain(COLOUR, NODE, SIZE, POINT)
    met = [list(states(program, walk)) for walk in walks(program)]
    assert len(met) == 3 * 2 * 2 * 1
    assert len({state for walk in met for state in walk}) == 4
    assert len({id(state) for walk in met for state in walk[1:]}) == 3 + 2 + 2  # one for each choice that led there


def test_a_loop_stops_at_its_cap() -> None:
    loop = Repeat(SIZE, AGAIN, most=3)
    assert max(len(walk) for walk in walks(loop)) == 5  # size, again, size, again, size: no question after it
    assert {walk for walk in walks(loop) if len(walk) == 2} == {(0, 0), (1, 0)}
    assert list(walks(Repeat(SIZE, AGAIN, most=1))) == [(0,), (1,)]


def test_a_loop_inside_a_loop_starts_anew_each_round() -> None:
    inner = Repeat(SIZE, Decision("inner", ("stop", "on")), most=2)
    walk = (0, 1, 0, 1, 0, 1, 0)  # two inner rounds, on, two inner rounds
    names = [state.decision.name for state in states(Repeat(inner, AGAIN, most=2), walk) if state.decision]
    assert names == ["size", "inner", "size", "again", "size", "inner", "size"]


def test_a_branch_leads_to_the_part_it_names() -> None:
    program = Sequence((Branch.of("kind", {"plain": Chain(), "coloured": COLOUR}), SIZE))
    assert set(walks(program)) == {(0, s) for s in range(2)} | set(product((1,), range(3), range(2)))


def test_pointers_and_subsets_see_the_nodes_that_exist() -> None:
    program = Sequence((POINT, SUBSET, NODE, POINT, NODE, SUBSET))  # the first pointer has nothing to point to
    offered = [(state.decision.name, state.choices) for state in states(program, (0, 1, 0, 0, 3)) if state.decision]
    assert offered == [("subset", 1), ("node", 2), ("point", 1), ("node", 2), ("subset", 4)]
    assert start(POINT, nodes=3).choices == 3


def test_a_scope_has_nodes_of_its_own() -> None:
    inner = Scope(Sequence((POINT, NODE, Scope(Chain(POINT, NODE), nodes=1), POINT)), nodes=2)
    program = Sequence((NODE, inner, POINT, NODE, POINT))
    walk = (0, 1, 0, 0, 0, 2, 0, 0, 1)
    offered = [state.nodes for state in states(program, walk)]
    assert offered == [0, 2, 2, 1, 1, 3, 1, 1, 2]
    with pytest.raises(UserError, match="1 earlier nodes"):
        list(states(program, (0, 1, 0, 0, 0, 2, 1)))


def test_a_refusal_names_the_decision_and_what_it_offers() -> None:
    with pytest.raises(UserError, match=r"choice 3 at 'colour': give 0 to 2 \(red, green, blue\)"):
        start(COLOUR).take(3)
    with pytest.raises(UserError, match=r"'subset': give 0 to 3 \(2 earlier nodes\)"):
        start(SUBSET, nodes=2).take(4)
