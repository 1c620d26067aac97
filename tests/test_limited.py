"""A search within limits builds nothing beyond them, and its latencies are of the networks that it builds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cli_world import CELLS, QUICK, FakeModel, answer
from records_world import says

from databases.architectures.space import Architecture, finite_space, image_space
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.errors import UserError
from databases.records.recipe import RECIPES
from metad2a.devices.devices import find_device
from metad2a.recommend.limits import Limits
from metad2a.search import limited
from metad2a.search.controllers import controller
from metad2a.search.guessed_cost import GuessedCost
from metad2a.search.limited import Costing, Limited, check_limits

pytestmark = pytest.mark.usefixtures("home")

SPACE = finite_space("nasbench201")
EMPTY = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")


def costing(limits: Limits) -> Costing:
    return Costing(limits, QUICK, QUICK.skeleton(input_channels=1, classes=3))


def flops(texts: Sequence[str]) -> list[int]:
    skeleton = QUICK.skeleton(input_channels=1, classes=3)
    return [SPACE.flops(SPACE.parse(each), skeleton, resolution=QUICK.resolution) for each in texts]


def test_a_device_is_told_for_the_size_that_a_recipe_builds() -> None:
    device, cells = find_device("pixel2"), list(SPACE.classes[::500])
    whole, around = device.predict(cells), float(device.predict([EMPTY]).mean[0])
    small = device.of_size(RECIPES["small"])
    found = small.predict(cells)
    np.testing.assert_allclose(found.mean, around + np.maximum(whole.mean - around, 0) / 5)
    np.testing.assert_allclose(found.low / found.mean, whole.low / whole.mean)
    assert "1 cell a stage" in small.network and small.of_size(RECIPES["standard"]).size == device.size
    assert device.of_size(RECIPES["tiny"]) is device  # other channels and pixels: nobody knows


@pytest.mark.parametrize(
    ("searcher", "space"), [("random", "nas-rl"), ("evolution", "nas-rl"), ("reinforce", "nasbench201")]
)
def test_every_searcher_proposes_only_what_keeps_the_limits(searcher: str, space: str) -> None:
    chosen = image_space(space)
    drawn = [chosen.sample(np.random.default_rng(i)) for i in range(20)]
    middle = float(np.median([each.parameters for each in costing(Limits()).of(drawn)]))
    limits = Limits(params=round(middle))
    found = Limited(controller(searcher, chosen), costing(limits))
    proposed: list[Architecture] = []
    while len(proposed) < 6:
        asked = found.ask(2)
        found.tell(asked, [50.0] * len(asked))
        proposed += asked
    assert len(set(proposed)) == len(proposed) == 6
    assert all(limits.fits(each) for each in costing(limits).of(proposed))


def test_limits_that_leave_nothing_say_so_and_name_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "SECONDS", 0.5)
    found = Limited(controller("random", image_space("nasbench201")), costing(Limits(params=10)))
    with pytest.raises(UserError) as error:
        found.ask(1)
    assert "at most 10 parameters: the smallest has" in says(error)


@pytest.fixture(name="counted")
def counted_fixture(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """The architectures whose multiply-adds are counted."""
    calls: list[Architecture] = []
    flops = NASBench201.flops

    def told(self: NASBench201, architecture: Architecture, *rest: Any, **more: Any) -> int:
        calls.append(architecture)
        return flops(self, architecture, *rest, **more)

    monkeypatch.setattr(NASBench201, "flops", told)
    return calls


def test_what_surely_costs_too_much_is_not_counted(counted: list[Architecture]) -> None:
    drawn = [SPACE.sample(np.random.default_rng(i)) for i in range(300)]
    few = int(np.quantile([each.flops for each in costing(Limits()).of(drawn)], 0.02))
    counted.clear()
    kept = Limited(controller("random", SPACE, seed=1), costing(Limits(flops=few))).ask(10)
    assert len(kept) == 10 and all(each.flops <= few for each in costing(Limits()).of(kept))
    assert len(counted) < 200  # of some 500 proposals


def test_guesses_hardly_exceed_the_cost_and_order_alike() -> None:
    drawn = [SPACE.sample(np.random.default_rng(i)) for i in range(200)]
    known = [each.flops for each in costing(Limits()).of(drawn)]
    guess = GuessedCost()
    for architecture, cost in zip(drawn[:100], known, strict=False):
        guess.observe(architecture, cost)
    least = np.array([guess.least(each) for each in drawn[100:]])
    assert np.corrcoef(np.log(least), np.log(known[100:]))[0, 1] > 0.9
    assert np.mean(least <= known[100:]) > 0.9


def test_a_search_whose_time_is_over_looks_no_further(counted: list[Architecture]) -> None:
    over = replace(costing(Limits(flops=10)), deadline=time.monotonic())
    with pytest.raises(UserError, match="the smallest has"):
        Limited(controller("random", SPACE), over).ask(1)
    assert len(counted) < 5


@pytest.mark.parametrize(
    ("limits", "space", "recipe", "words"),
    [
        (Limits(latency="5ms", device="pixel2"), "nasbench201", "tiny", "the recipe 'tiny' builds 8 channels"),
        (Limits(latency="5ms", device="pixel2"), "mobilenetv3", "small", "known for the space 'nasbench201'"),
        (Limits(device="pixel2"), "nasbench201", "small", "without a limit on latency"),
        (Limits(device="pixel2", prefer="latency"), "nasbench201", "small", "prefers accuracy"),
    ],
)
def test_limits_that_cannot_be_told_are_refused_before_anything_is_read(
    limits: Limits, space: str, recipe: str, words: str
) -> None:
    with pytest.raises(UserError) as error:
        check_limits(limits, image_space(space), RECIPES[recipe])
    assert words in says(error)
    check_limits(replace(Limits(), latency="5ms", device="pixel2"), SPACE, RECIPES["small"])


def test_the_command_trains_within_limits_and_keeps_them_apart(model: FakeModel, data: str) -> None:
    dear, *cheap = sorted(CELLS, key=lambda each: -flops([each])[0])
    command = ("search", data, "--space", "nasbench201", "--recipe", "quick", "--searcher", "zero-shot")
    free = answer(*command)
    assert dear in [each["architecture"] for each in free["trained"]]
    limited = answer(*command, "--max-flops", str(flops([dear])[0] - 1))
    assert sorted(each["architecture"] for each in limited["trained"]) == sorted(cheap)
    assert limited["run"] != free["run"]  # the dear one of the same data and recipe is not taken from there
