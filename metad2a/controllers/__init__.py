"""CONTROLLERS: every searcher by name, one module a searcher."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from databases.errors import UserError

if TYPE_CHECKING:
    from databases.architectures.architecture import Space
    from metad2a.controllers.controller import Controller

# name -> module and class; modules are imported when asked for
CONTROLLERS: dict[str, tuple[str, str]] = {
    "random": ("random_search", "RandomSearch"),
    "evolution": ("evolution", "Evolution"),
    "area": ("evolution", "area"),
}


def controller(name: str, space: Space, *, seed: int = 0, **options: Any) -> Controller:
    """The controller of that name, made with its own ``options``; raises `UserError` that lists the known ones."""
    if name not in CONTROLLERS:
        raise UserError(f"unknown searcher {name!r}: choose one of {', '.join(CONTROLLERS)}")
    module, title = CONTROLLERS[name]
    made: Controller = getattr(import_module(f"metad2a.controllers.{module}"), title)(space, seed=seed, **options)
    return made
