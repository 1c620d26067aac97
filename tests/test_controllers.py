"""Conformance: what every entry of CONTROLLERS promises, in every space. A new searcher is tested by being listed.

One that needs more than a space and a seed gets it from `NEEDS`: small and made up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from made_up import Tiny

from databases.architectures.space import SPACES, Architecture, Space
from databases.errors import UserError
from metad2a.generate.decoder import GraphDecoder
from metad2a.search.controllers import CONTROLLERS, controller
from metad2a.search.controllers.controller import Controller
from metad2a.search.loop import run


def worth(architectures: Sequence[Architecture]) -> list[float]:
    """A made-up accuracy: the share of highest choices in a walk, and a little of its own for each walk."""
    return [80 * float(np.mean([choice >= 3 for choice in each.walk])) + hash(each.walk) % 97 / 97 for each in architectures]  # fmt: skip # noqa: E501


def prior(space: Space) -> dict[str, Any]:
    """A decoder as of a generator that has not learnt yet."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"decoder": GraphDecoder(space, context=3, width=24), "z": torch.ones(3)}


def order(space: Space, seed: int) -> list[Architecture]:
    """A ranking that knows nothing."""
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(200)]


# searcher -> what it is made with in a space, beside the seed
NEEDS: dict[str, Callable[[Space, int], dict[str, Any]]] = {
    "area": lambda space, seed: {"score": worth, "pool": 40},
    "surrogate": lambda space, seed: {"draws": 100},
    "zero-shot": lambda space, seed: {"order": order(space, seed)},
    "generator": lambda space, seed: prior(space),
    "warm-start": lambda space, seed: prior(space),
}
CANNOT_LEARN = {"random", "zero-shot", "generator"}  # from what they are told

every_controller = pytest.mark.parametrize("name", CONTROLLERS)
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def made(name: str, space: Space, *, seed: int = 0) -> Controller:
    return controller(name, space, seed=seed, **(NEEDS[name](space, seed) if name in NEEDS else {}))


def rounds(searcher: Controller, count: int, *, batch: int = 4) -> list[Architecture]:
    """What it asks for in so many rounds, each told at once."""
    asked = []
    for _ in range(count):
        asked += searcher.ask(batch)
        searcher.tell(asked[-batch:], worth(asked[-batch:]))
    return asked


@every_controller
@every_space
def test_asks_are_valid_and_new(name: str, space: Space) -> None:
    searcher = made(name, space)
    past = rounds(searcher, 2, batch=5)  # of which policies have learnt once
    pending = searcher.ask(3)  # some of what was asked is not told yet
    searcher.tell(pending[:2], worth(pending[:2]))
    future = searcher.ask(4)
    asked = [*past, *pending, *future]
    assert len(asked) == 10 + 3 + 4 == len({each.walk for each in asked})
    assert all(space.architecture(each.walk) == each for each in asked)


@every_controller
def test_the_same_seed_asks_the_same_and_another_does_not(name: str) -> None:
    space = SPACES["nasbench201"]
    first, again, other = (rounds(made(name, space, seed=seed), 4) for seed in (3, 3, 4))
    assert first == again and first != other


@every_controller
def test_what_was_told_without_being_asked_is_not_asked(name: str) -> None:
    space, searcher = SPACES["nasbench201"], made(name, SPACES["nasbench201"])
    twin = rounds(made(name, space), 3)
    searcher.tell(twin[5:], worth(twin[5:]))
    assert not set(rounds(searcher, 3)) & set(twin[5:])


@every_controller
def test_a_small_space_is_asked_to_its_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Tiny()
    monkeypatch.setitem(SPACES, "tiny", space)
    searcher = made(name, space)
    asked = rounds(searcher, 2, batch=5) + searcher.ask(5)
    assert sorted(each.walk for each in asked) == [each.walk for each in space.enumerate()]
    assert searcher.ask(1) == []


@every_controller
def test_it_learns_what_pays(name: str) -> None:
    space = SPACES["nasbench201"]
    found = run(made(name, space), worth, trials=120)
    mean = float(np.mean(worth([space.sample(np.random.default_rng(seed)) for seed in range(300)])))
    assert (float(np.mean(found.scores[-30:])) > mean + 8) != (name in CANNOT_LEARN)


def test_an_unknown_searcher_is_told_what_there_is() -> None:
    with pytest.raises(UserError, match=r"unknown searcher 'ppi': did you mean ppo\? choose one of random, "):
        controller("ppi", SPACES["nasbench201"])
