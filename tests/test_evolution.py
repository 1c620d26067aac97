"""Regularised evolution: mutation through the decision graph, who lives and who dies, and AREA's start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from databases.architectures import decisions
from databases.architectures.decisions import Branch, Chain, Decision, Repeat, Walk
from databases.architectures.decisions import Sequence as InOrder
from databases.architectures.space import SPACES, Architecture, Space, space
from databases.architectures.spaces.nasbench201 import NASBench201
from metad2a.search.controllers.evolution import Evolution, area, mutate

CELLS = space("nasbench201")
CONVOLUTION = Chain(Decision("kernel", ("1", "3", "5")), Decision("filters", ("8", "16"), adds_node=True))
POOLING = Decision("size", ("2", "3"), adds_node=True)
LAYER = InOrder(
    (
        Decision("from", kind="subset"),
        Branch.of("kind", {"convolution": CONVOLUTION, "pooling": POOLING, "nothing": InOrder(())}),
    )
)
NETWORK = InOrder((Repeat(LAYER, Decision("again", ("stop", "go")), most=3), Decision("head", kind="pointer")))


class Layers(NASBench201):
    """Loops, branches, subsets and pointers at once."""

    name = "layers"
    nodes = 1
    program = NETWORK


def differences(space: Space, old: Walk, new: Walk) -> list[str]:
    """Names of the decisions met at the same place of the program whose choices differ."""
    before = {s.pending: (s, c) for s, c in zip(decisions.states(space.program, old, nodes=1), old, strict=True)}
    after = zip(decisions.states(space.program, new, nodes=1), new, strict=True)
    return [s.decision.name for s, c in after if s.decision and s.pending in before and before[s.pending][1] != c]


def fewest(score: Sequence[Architecture]) -> list[float]:
    return [-float(sum(each.walk)) for each in score]


@pytest.mark.parametrize("chosen", SPACES.values(), ids=SPACES)
def test_a_mutant_is_another_valid_architecture(chosen: Space) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        parent = chosen.sample(rng)
        child = mutate(chosen, parent, rng)
        assert child != parent and chosen.architecture(child.walk) == child


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_only_one_decision_changes_where_the_others_stay_valid(seed: int) -> None:
    rng, layers = np.random.default_rng(seed), Layers()
    parent = layers.sample(rng)
    child = mutate(layers, parent, rng)
    changed = differences(layers, parent.walk, child.walk)
    assert child != parent and layers.architecture(child.walk) == child
    # `from` and `head` may point to what is gone, when a layer that adds a node went
    assert len([name for name in changed if name not in ("from", "head")]) <= 1 and changed


def test_a_changed_branch_leaves_the_later_layers_alone() -> None:
    layers = Layers()
    walk = (0, 0, 2, 1, 1, 0, 0, 1, 0, 0, 0)  # two convolutions, then stop
    assert layers.architecture(walk)
    seen = set()
    for seed in range(300):
        child = mutate(layers, Architecture("layers", walk), np.random.default_rng(seed)).walk
        if child[:2] == (0, 1):  # the first layer became a pooling: only its size is drawn
            assert child[3:] == walk[4:]
            seen.add(child[2])
    assert seen == {0, 1}


def test_every_neighbour_of_a_cell_is_reached_and_none_else() -> None:
    parent = CELLS.architecture((3, 0, 1, 2, 4, 3))
    children = {mutate(CELLS, parent, np.random.default_rng(seed)).walk for seed in range(400)}
    apart = {sum(a != b for a, b in zip(child, parent.walk, strict=True)) for child in children}
    assert apart == {1} and len(children) == 24


def test_the_oldest_dies_even_when_it_is_the_best() -> None:
    searcher = Evolution(CELLS, population=3, tournament=60)
    first = searcher.ask(3)
    searcher.tell(first, [99.0, 1.0, 2.0])
    searcher.tell(searcher.ask(1), [0.0])
    for each in searcher.ask(10):  # children of the best of those that live
        assert sum(a != b for a, b in zip(each.walk, first[2].walk, strict=True)) == 1


def test_children_come_from_the_best_of_the_tournament() -> None:
    searcher = Evolution(CELLS, population=4, tournament=60)
    first = searcher.ask(4)
    searcher.tell(first, [1.0, 7.0, 3.0, 2.0])
    for child in searcher.ask(10):
        assert sum(a != b for a, b in zip(child.walk, first[1].walk, strict=True)) == 1


def test_repeats_are_proposed_only_when_allowed() -> None:
    searcher = Evolution(CELLS, population=2, tournament=30, repeats=True)
    searcher.tell(searcher.ask(2), [1.0, 2.0])
    children = searcher.ask(200)
    assert len(children) == 200 and len(set(children)) <= 48


def test_area_measures_the_best_of_a_random_pool_first() -> None:
    searcher = area(CELLS, score=fewest, pool=100, population=5)
    first = searcher.ask(7)
    pool = Evolution(CELLS, population=100).ask(100)
    assert sorted(fewest(first[:5])) == sorted(fewest(pool))[-5:]
    assert not {each.walk for each in first[5:]} & {each.walk for each in first[:5]}


def test_area_without_a_word_for_some_takes_the_others() -> None:
    def half(architectures: Sequence[Architecture]) -> list[float]:
        return [float("nan") if each.walk[0] else float(each.walk[1]) for each in architectures]

    assert all(each.walk[0] == 0 for each in area(CELLS, score=half, pool=200, population=10).ask(10))
