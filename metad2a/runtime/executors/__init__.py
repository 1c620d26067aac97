"""EXECUTORS: where independent jobs run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from databases.errors import UserError
from databases.registry import Registry

PROCESSES = "processes"

# name -> (function, jobs, *, workers, nice, on_death) -> results as they are there; ray is told an ``address`` too
EXECUTORS: Registry[Callable[..., Iterator[Any]]] = Registry(
    "metad2a.runtime.executors", {PROCESSES: "processes:run", "ray": "cluster:run"}
)


def chosen_executor(text: str) -> Callable[..., Iterator[Any]]:
    """The executor that is meant by ``processes``, ``ray:auto`` or ``ray:HOST:PORT``; raises UserError for others."""
    name, _, address = text.partition(":")
    if text == PROCESSES:
        return EXECUTORS[PROCESSES]
    if name != "ray" or not address:
        raise UserError(f"unknown executor {text!r}: give {PROCESSES}, ray:auto or ray:HOST:PORT")
    from metad2a.runtime.executors.cluster import check_address

    return partial(EXECUTORS[name], address=check_address(address))
