"""CONTROLLERS: every searcher by name, one module a searcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from databases.architectures.space import Space
from databases.errors import unknown
from databases.registry import Registry
from metad2a.search.controllers.controller import Controller, Setting

CONTROLLERS: Registry[Callable[..., Controller]] = Registry(
    "metad2a.search.controllers",
    {
        "random": "random_search:RandomSearch",
        "evolution": "evolution:Evolution",
        "area": "evolution:area",
        "surrogate": "bayesian:SurrogateSearch",
        "zero-shot": "in_order:InOrder",
        "reinforce": "policy_gradient:PolicyGradient",
        "ppo": "policy_gradient:proximal",
        "multitask": "policy_gradient:multitask",
        "multinomial": "multinomial:Multinomial",
        "generator": "warm_start:generated",
        "warm-start": "warm_start:warm_start",
    },
)

# name -> (space, setting) -> options, of those that need more than a space and a seed
NEEDS: Registry[Callable[[Space, Setting], dict[str, Any]]] = Registry(
    "metad2a.search.controllers",
    {
        "area": "training_free:area_options",
        "surrogate": "meta_prediction:surrogate_options",
        "zero-shot": "meta_prediction:zero_shot_options",
        "generator": "warm_start:generator_options",
        "warm-start": "warm_start:generator_options",
    },
)


def check_searcher(name: str) -> None:
    """Raises `UserError` that lists the known searchers for any other."""
    if name not in CONTROLLERS:
        raise unknown("searcher", name, CONTROLLERS)


def controller(name: str, space: Space, *, seed: int = 0, **options: Any) -> Controller:
    """The controller of that name, made with its own ``options``; raises `UserError` that lists the known ones."""
    check_searcher(name)
    return CONTROLLERS[name](space, seed=seed, **options)


def options(name: str, space: Space, setting: Setting) -> dict[str, Any]:
    """What the controller of that name is made with for a task; raises `UserError` where it cannot be had."""
    return NEEDS[name](space, setting) if name in NEEDS else {}
