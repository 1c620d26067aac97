"""Names for things that stand in modules of their own, which are imported when a thing is asked for."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

Thing = TypeVar("Thing")


class Registry(MutableMapping[str, Thing], Generic[Thing]):
    """A dict of names; a value that was given as a text ``module:name`` is imported when it is first asked for.

    Args:
        package: where the modules are.
        entries: name -> ``module:name``, or the thing itself.
    """

    def __init__(self, package: str, entries: dict[str, str]) -> None:
        self._package = package
        self._entries: dict[str, Any] = dict(entries)

    def __getitem__(self, name: str) -> Thing:
        found = self._entries[name]
        if isinstance(found, str):
            module, title = found.split(":")
            found = self._entries[name] = getattr(import_module(f"{self._package}.{module}"), title)
        return cast(Thing, found)

    def __setitem__(self, name: str, thing: Thing) -> None:
        self._entries[name] = thing

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # loads nothing

    def __len__(self) -> int:
        return len(self._entries)
