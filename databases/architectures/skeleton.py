"""What surrounds a searched architecture, and how a network is made: plain values, written down by an export."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn


class Skeleton(NamedTuple):
    """What surrounds the searched cell: width, depth, input channels and number of classes."""

    channels: int = 16
    cells: int = 5
    input_channels: int = 3
    classes: int = 10


@dataclass(frozen=True)
class Blueprint:
    """How a network is made: ``network`` called with the ``arguments``; an export writes both down as text.

    Args:
        network: module and class within `databases.architectures.networks`, such as ``cells:CellNetwork``, which need
            torch alone; with a dot it is one of another room, such as ``supernets.cells:CellSupernet``.
        arguments: plain values, named tuples of them (which need no more than Python wherever they are read), and
            blueprints of networks that are parts of this one.
    """

    network: str
    arguments: tuple[object, ...]

    def build(self) -> nn.Module:
        """The network, with fresh weights."""
        module, name = self.network.split(":")
        made: nn.Module = getattr(import_module(place_of(module)), name)(*map(_built, self.arguments))
        return made

    def plain(self) -> dict[str, object]:
        """As JSON values; `read` gives the blueprint back."""
        return {"network": self.network, "arguments": _plain(self.arguments)}

    @classmethod
    def read(cls, values: Mapping[str, object]) -> Blueprint:
        """The blueprint of JSON values from outside; raises ValueError or TypeError where they name none of ours."""
        network, arguments = values["network"], _read(values["arguments"])
        if not isinstance(network, str) or not isinstance(arguments, tuple) or not _NETWORK.fullmatch(network):
            raise ValueError(f"{network!r} is no network")
        module, name = network.split(":")
        found = getattr(_module(place_of(module)), name, None)
        from torch import nn

        if not isinstance(found, type) or not issubclass(found, nn.Module) or found.__module__ != place_of(module):
            raise ValueError(f"{network!r} is no network")
        return cls(network, arguments)


def place_of(module: str) -> str:
    """The full name of a blueprint's module."""
    return f"{_HERE}.{module}" if "." in module else f"{_HERE}.networks.{module}"


_HERE, BLUEPRINT = "databases.architectures", "blueprint"
_NETWORK = re.compile(r"(?:supernets\.)?[a-z_0-9]+:[A-Z]\w*")
_PLAN = re.compile(r"(?:skeleton|(?:networks|supernets)\.[a-z_0-9]+):[A-Z]\w*")
_MOST_VALUES, _LARGEST = 20_000, 65_536  # what an argument from outside may hold


def _built(value: object) -> object:
    """An argument with the networks of its blueprints."""
    if isinstance(value, Blueprint):
        return value.build()
    if not isinstance(value, tuple):
        return value
    parts: list[Any] = [_built(each) for each in value]
    return tuple(parts) if type(value) is tuple else type(value)(*parts)


def _plain(value: object) -> object:
    if isinstance(value, Blueprint):
        return {"is": BLUEPRINT, **value.plain()}
    if not isinstance(value, tuple):
        return value
    if type(value) is tuple:
        return [_plain(each) for each in value]
    kind = f"{type(value).__module__.removeprefix(_HERE + '.')}:{type(value).__name__}"
    return {"is": kind, **{name: _plain(each) for name, each in value._asdict().items()}}  # type: ignore[attr-defined]


def _read(value: object) -> object:
    if isinstance(value, list):
        if len(value) > _MOST_VALUES:
            raise ValueError(f"a list of {len(value)}")
        return tuple(_read(each) for each in value)
    if isinstance(value, dict):
        kind = value.get("is")
        if kind == BLUEPRINT:
            return Blueprint.read(value)
        if not isinstance(kind, str) or not _PLAN.fullmatch(kind):
            raise ValueError(f"{kind!r} is no plan of a network")
        module, name = kind.split(":")
        found = getattr(_module(f"{_HERE}.{module}"), name, None)
        if not isinstance(found, type) or not issubclass(found, tuple):
            raise ValueError(f"{kind!r} is no plan of a network")
        made: object = found(**{name: _read(each) for name, each in value.items() if name != "is"})
        return made
    if not isinstance(value, str | int | float | bool | None) or (isinstance(value, int) and abs(value) > _LARGEST):
        raise ValueError(f"{value!r} in the plan of a network")
    return value


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise ValueError(f"{name!r} is no module of networks") from None
