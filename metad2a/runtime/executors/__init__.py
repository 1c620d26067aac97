"""EXECUTORS: where independent jobs run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from databases.registry import Registry

# name -> (function, jobs, *, workers, nice, on_death) -> results as they are there
EXECUTORS: Registry[Callable[..., Iterator[Any]]] = Registry(
    "metad2a.runtime.executors", {"processes": "processes:run"}
)
