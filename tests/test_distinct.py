"""A search trains no network twice, however it is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from databases.architectures.space import Architecture, FiniteSpace, Space, image_space, space
from databases.errors import UserError
from metad2a.search.controllers import controller
from metad2a.search.controllers.in_order import InOrder
from metad2a.search.distinct import Distinct

CELLS = space("nasbench201")
SWAPPED = [  # nodes 1 and 2, and an edge that nothing reads
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|",
]
DEAD = [f"|{each}~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|" for each in ("none", "avg_pool_3x3")]


class Heard(InOrder):
    def tell(self, architectures, scores):  # type: ignore[no-untyped-def]
        super().tell(architectures, scores)
        self.heard = {**getattr(self, "heard", {}), **dict(zip(architectures, scores, strict=True))}


@pytest.mark.parametrize("batch", [1, 4])
def test_twins_are_trained_once_and_the_searcher_hears_of_both(batch: int) -> None:
    order = [CELLS.parse(text) for text in (*SWAPPED, *DEAD)]
    inner = Heard(CELLS, order=order)
    searcher, measured = Distinct(inner), []
    while asked := searcher.ask(batch):
        measured += asked
        searcher.tell(asked, [50.0 + 10 * order.index(each) for each in asked])
    assert measured == [order[0], order[2]]
    assert inner.heard == dict(zip(order, (50.0, 50.0, 70.0, 70.0), strict=True))


@pytest.mark.parametrize("name", ["random", "evolution", "reinforce", "multinomial"])
def test_no_searcher_asks_for_a_network_twice(name: str) -> None:
    assert isinstance(CELLS, FiniteSpace)
    searcher, found = Distinct(controller(name, CELLS, seed=0)), []
    for _ in range(150):
        (each,) = searcher.ask(1)
        searcher.tell([each], [float(sum(each.walk))])
        found.append(CELLS.live(each))
    assert len(set(found)) == 150


def test_nobody_is_asked_on_and_on_when_time_is_over() -> None:
    order = [CELLS.parse(text) for text in (*SWAPPED, *DEAD)]
    searcher = Distinct(InOrder(CELLS, order=order), deadline=0.0)
    (first,) = searcher.ask(1)
    searcher.tell([first], [50.0])
    assert searcher.ask(1) == [], "its twin alone"


def test_in_spaces_that_are_not_listed_the_key_tells() -> None:
    chosen = image_space("enas-micro")
    drawn = controller("random", chosen, seed=0).ask(200)
    swapped = [replace(each, walk=(*each.walk[2:4], *each.walk[:2], *each.walk[4:])) for each in drawn]
    one, twin = next(pair for pair in zip(drawn, swapped, strict=True) if pair[0] != pair[1] and same(chosen, *pair))
    inner = Heard(chosen, order=[one, twin])
    searcher = Distinct(inner)
    assert searcher.ask(2) == [one]
    searcher.tell([one], [50.0])
    assert inner.heard == {one: 50.0, twin: 50.0}


def same(chosen: Space, one: Architecture, other: Architecture) -> bool:
    try:
        return chosen.key(one) == chosen.key(other)
    except UserError:
        return False
