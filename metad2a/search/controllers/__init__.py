"""CONTROLLERS: every searcher by name, one module a searcher."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from databases.errors import UserError
from metad2a.search.controllers.controller import Controller, Setting

if TYPE_CHECKING:
    from databases.architectures.space import Space

# name -> module and class; modules are imported when asked for
CONTROLLERS: dict[str, tuple[str, str]] = {
    "random": ("random_search", "RandomSearch"),
    "evolution": ("evolution", "Evolution"),
    "area": ("evolution", "area"),
    "surrogate": ("bayesian", "SurrogateSearch"),
    "zero-shot": ("in_order", "InOrder"),
    "reinforce": ("policy_gradient", "PolicyGradient"),
    "ppo": ("policy_gradient", "proximal"),
    "multitask": ("policy_gradient", "multitask"),
    "multinomial": ("multinomial", "Multinomial"),
    "generator": ("warm_start", "generated"),
    "warm-start": ("warm_start", "warm_start"),
}

# name -> module and function (space, setting) -> options, of those that need more than a space and a seed
NEEDS: dict[str, tuple[str, str]] = {
    "area": ("training_free", "naswot_scores"),
    "surrogate": ("meta_prediction", "surrogate_options"),
    "zero-shot": ("meta_prediction", "ranked"),
    "generator": ("warm_start", "shipped"),
    "warm-start": ("warm_start", "shipped"),
}


def check_name(name: str) -> None:
    """Raises `UserError` that lists the known searchers for any other."""
    if name not in CONTROLLERS:
        raise UserError(f"unknown searcher {name!r}: choose one of {', '.join(CONTROLLERS)}")


def controller(name: str, space: Space, *, seed: int = 0, **options: Any) -> Controller:
    """The controller of that name, made with its own ``options``; raises `UserError` that lists the known ones."""
    check_name(name)
    module, title = CONTROLLERS[name]
    made: Controller = getattr(import_module(f"metad2a.search.controllers.{module}"), title)(
        space, seed=seed, **options
    )
    return made


def options(name: str, space: Space, setting: Setting) -> dict[str, Any]:
    """What the controller of that name is made with for a task; raises `UserError` where it cannot be had."""
    if name not in NEEDS:
        return {}
    module, function = NEEDS[name]
    found: dict[str, Any] = getattr(import_module(f"metad2a.search.controllers.{module}"), function)(space, setting)
    return found
