"""SPACES: every search space by name, one module a space."""

from __future__ import annotations

from typing import TypeVar

from databases.architectures.architecture import FiniteSpace, ImageSpace, RecurrentSpace, SharedSpace, Space
from databases.architectures.spaces.enas_macro import ENASMacro
from databases.architectures.spaces.enas_micro import ENAS_MICRO
from databases.architectures.spaces.enas_recurrent import ENASRecurrent
from databases.architectures.spaces.instanas import InstaNAS
from databases.architectures.spaces.mobilenetv3 import MobileNetV3
from databases.architectures.spaces.nas_rl import NASRL
from databases.architectures.spaces.nas_rl_recurrent import NASRLRecurrent
from databases.architectures.spaces.nasbench201 import NASBench201
from databases.architectures.spaces.nasnet import NASNET
from databases.architectures.spaces.shufflenasnet import SHUFFLENASNET
from databases.errors import UserError

_EVERY: tuple[Space, ...] = (
    NASBench201(),
    *(NASNET, ENASMacro(), ENAS_MICRO, SHUFFLENASNET, NASRL(), MobileNetV3(), InstaNAS()),
    *(NASRLRecurrent(), ENASRecurrent()),
)
SPACES: dict[str, Space] = {each.name: each for each in _EVERY}
_Kind = TypeVar("_Kind", bound=Space)


def space(name: str) -> Space:
    """The space of that name; raises `UserError` that lists the known ones."""
    return _of_kind(name, Space, "")  # type: ignore[type-abstract]


def image_space(name: str) -> ImageSpace:
    """The space of image classifiers of that name; raises `UserError` that lists the known ones."""
    return _of_kind(name, ImageSpace, "it builds no image classifiers")  # type: ignore[type-abstract]


def finite_space(name: str) -> FiniteSpace:
    """The space of that name whose every architecture can be ranked; raises `UserError` that lists the known ones."""
    return _of_kind(name, FiniteSpace, "it cannot be ranked as a whole")  # type: ignore[type-abstract]


def shared_space(name: str) -> SharedSpace:
    """The space of that name whose architectures can share weights; raises `UserError` that lists the known ones."""
    return _of_kind(name, SharedSpace, "it has no supernet")  # type: ignore[type-abstract]


def recurrent_space(name: str) -> RecurrentSpace:
    """The space of recurrent cells of that name; raises `UserError` that lists the known ones."""
    return _of_kind(name, RecurrentSpace, "it builds no recurrent cells")  # type: ignore[type-abstract]


def _of_kind(name: str, kind: type[_Kind], otherwise: str) -> _Kind:
    found = SPACES.get(name)
    if isinstance(found, kind):
        return found
    allowed = ", ".join(each.name for each in SPACES.values() if isinstance(each, kind))
    reason = f"given the space {name!r}, but {otherwise}" if found else f"unknown space {name!r}"
    raise UserError(f"{reason}: choose one of {allowed}")
