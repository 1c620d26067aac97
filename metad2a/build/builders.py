"""BUILDERS: how `database build` measures the architectures of a space, by the space's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from databases.records.store import Store
    from metad2a.build.build import Built


@dataclass(frozen=True)
class BuildOptions:
    """How much is to be measured: options of `database build`."""

    tasks: int
    per_task: int
    recipe: str
    judged: int
    seeds: int
    seed: int


@dataclass(frozen=True)
class Builder:
    """A function that measures, and which fields of `BuildOptions` say something to it."""

    build: Callable[..., Built]
    means: frozenset[str]


def _cells(store: Store, folder: Path, *, space: str, **options: Any) -> Built:
    from metad2a.build.build import build

    return build(store, folder, **options)


def _pipelines(store: Store, folder: Path, *, space: str, **options: Any) -> Built:
    from metad2a.build.pipelines import build_pipelines

    return build_pipelines(store, folder, **options)


def _subnets(store: Store, folder: Path, *, per_task: int, cache: Path, **options: Any) -> Built:
    from metad2a.build.subnets import build_subnets

    return build_subnets(store, folder, subnets=per_task, **options)


_SUBNETS = Builder(_subnets, frozenset({"tasks", "per_task", "seed"}))
BUILDERS = {
    "nasbench201": Builder(_cells, frozenset({"tasks", "per_task", "recipe", "judged", "seeds", "seed"})),
    "pipeline": Builder(_pipelines, frozenset({"tasks", "judged", "seeds", "seed"})),
    "residual-subnets": _SUBNETS,
    "mobilenetv3-subnets": _SUBNETS,
}


def build_space(store: Store, folder: Path, options: BuildOptions, *, space: str, **more: Any) -> Built:
    """Measures what is asked for in one of the spaces of `BUILDERS`; ``more``: place, cache, on_progress, on_death."""
    builder = BUILDERS[space]
    means = {name: value for name, value in asdict(options).items() if name in builder.means}
    return builder.build(store, folder, space=space, **means, **more)
