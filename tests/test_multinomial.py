"""Multinomial distribution learning: the published rule, its options, and probabilities that stay probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from databases.architectures.decisions import Branch, Chain, Decision, Repeat
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.space import space
from databases.errors import UserError
from metad2a.reproduce.simulated import ProgramSpace
from metad2a.search.controllers.multinomial import Epochs, Multinomial, Statistic, learnt

OPERATION = Decision("operation", ("a", "b", "c"), adds_node=True)
MIXED = ProgramSpace(
    "mixed",
    Parts(
        (
            Repeat(OPERATION, Decision("more", ("stop", "go")), most=3),
            Branch.of("kind", {"skip": Decision("skips", kind="subset"), "from": Decision("source", kind="pointer")}),
        )
    ),
)
HALF = np.array([0.5, 0.5])


@pytest.mark.parametrize(
    ("trained", "accuracy", "change"),
    [
        ((1, 2), (90, 80), 0.01),  # trained less, yet better: up
        ((2, 1), (80, 90), -0.01),  # trained more, yet worse: down
        ((2, 1), (90, 80), 0.0),  # trained more and better tells nothing
        ((1, 2), (80, 90), 0.0),
        ((1, 1), (90, 80), 0.0),
        ((1, 2), (80, 80), 0.0),
        ((0, 2), (0, 80), 0.0),  # never trained
    ],
)
def test_the_published_rule_on_two_choices(trained: tuple[int, int], accuracy: tuple[int, int], change: float) -> None:
    found = learnt(HALF, np.array(trained, float), np.array(accuracy, float))
    assert found - HALF == pytest.approx([change, -change])


@pytest.mark.parametrize(("epochs", "change"), [("strict", 0.0), ("loose", 0.01), ("off", 0.01)])
def test_the_condition_on_equal_epochs(epochs: Epochs, change: float) -> None:
    found = learnt(HALF, np.array([3.0, 3.0]), np.array([90.0, 80.0]), epochs=epochs)
    assert found - HALF == pytest.approx([change, -change])


def test_without_the_condition_the_better_gains_however_much_it_was_trained() -> None:
    counts, accuracy = np.array([9.0, 1.0]), np.array([90.0, 80.0])
    assert learnt(HALF, counts, accuracy, epochs="off")[0] > 0.5 == learnt(HALF, counts, accuracy, epochs="loose")[0]


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(0, 100), st.floats(1e-6, 1)),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from(["strict", "loose", "off"]),
    st.floats(0, 5),
)
def test_the_rule_stays_on_the_simplex(history: list[tuple[int, float, float]], epochs: Epochs, rate: float) -> None:
    trained, accuracy, weight = (np.array(each, dtype=float) for each in zip(*history, strict=True))
    found = learnt(weight / weight.sum(), trained, accuracy, rate=rate, epochs=epochs)
    assert (found >= 0).all() and found.sum() == pytest.approx(1)
    reverse = learnt((weight / weight.sum())[::-1], trained[::-1], accuracy[::-1], rate=rate, epochs=epochs)
    assert found == pytest.approx(reverse[::-1])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30),
    st.sampled_from(["mean", "ema", "last"]),
    st.sampled_from(["strict", "loose", "off"]),
)
def test_every_decision_keeps_a_distribution_under_any_history(
    seed: int, scores: list[float], statistic: Statistic, epochs: Epochs
) -> None:
    searcher = Multinomial(MIXED, seed=seed, rate=0.2, statistic=statistic, epochs=epochs, warm_up=3)
    for score in scores:
        asked = searcher.ask(2)
        searcher.tell(asked, [score] * len(asked))
    for (_, _, choices, _), p in searcher.probabilities().items():
        assert p.shape == (choices,) and (p >= 0).all() and p.sum() == pytest.approx(1)


@pytest.mark.parametrize(("statistic", "wanted"), [("mean", 20.0), ("ema", 20.5), ("last", 30.0)])
def test_what_stands_for_a_choice(statistic: Statistic, wanted: float) -> None:
    searcher = Multinomial(ProgramSpace("one", Chain(Decision("it", ("a", "b")))), statistic=statistic)
    each = searcher.space.architecture((1,))
    searcher.tell([each] * 3, [10.0, 20.0, 30.0])
    assert searcher._table["it", 0, 2, 0][2, 1] == pytest.approx(wanted, abs=0.25)


def test_nothing_moves_before_the_warm_up_is_over() -> None:
    searcher = Multinomial(space("nasbench201"), epochs="off", warm_up=10)
    asked = searcher.ask(11)
    searcher.tell(asked[:10], [float(sum(each.walk)) for each in asked[:10]])
    assert all(p == pytest.approx([0.2] * 5) for p in searcher.probabilities().values())
    searcher.tell(asked[10:], [100.0])
    assert any(p.max() > 0.2 for p in searcher.probabilities().values())


def test_a_vertex_has_its_own_probabilities_at_each_visit() -> None:
    searcher = Multinomial(MIXED, warm_up=0, epochs="off")
    walks = [(0, 1, 2, 0, 0, 0), (2, 1, 0, 0, 0, 0)]
    searcher.tell([MIXED.architecture(walk) for walk in walks], [90.0, 10.0])
    found = searcher.probabilities()
    assert found["operation", 0, 3, 0].argmax() == 0 and found["operation", 1, 3, 0].argmax() == 2


def test_without_repeats_and_with_the_mean_it_finds_the_best_choices() -> None:
    searcher = Multinomial(space("nasbench201"), epochs="off")
    for _ in range(30):
        asked = searcher.ask(10)
        searcher.tell(asked, [float(sum(choice == 3 for choice in each.walk)) for each in asked])
    assert searcher.likeliest().walk == (3,) * 6


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(UserError, match="allowed are mean, ema or last, and strict, loose or off"):
        Multinomial(MIXED, statistic="median")  # type: ignore[arg-type]
