"""SPACES: every search space by name, one module a space."""

from __future__ import annotations

from databases.architectures.architecture import Space
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.errors import UserError

SPACES: dict[str, Space] = {each.name: each for each in (NASBench201(),)}


def space(name: str) -> Space:
    """The space of that name; raises `UserError` that lists the known ones."""
    try:
        return SPACES[name]
    except KeyError:
        raise UserError(f"unknown space {name!r}: choose one of {', '.join(SPACES)}") from None
