"""Conformance: every entry of every registry is there under its name. What is new is tested by being listed."""

from __future__ import annotations

from typing import Any

import pytest

from databases.architectures.space import MADE, SPACES
from databases.registry import Registry
from databases.usual import DEFAULT_SPACE
from metad2a.reproduce import DEMONSTRATIONS
from metad2a.runtime.executors import EXECUTORS
from metad2a.search.controllers import CONTROLLERS, NEEDS

REGISTRIES: dict[str, Registry[Any]] = {
    "spaces": SPACES,
    "spaces made by name": MADE,
    "controllers": CONTROLLERS,
    "needs of controllers": NEEDS,
    "demonstrations": DEMONSTRATIONS,
    "executors": EXECUTORS,
}
ENTRIES = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry]


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_entry_loads_and_knows_its_name(kind: str, name: str) -> None:
    found = REGISTRIES[kind][name]
    assert isinstance(found, type) or getattr(found, "name", name) == name
    assert callable(found) or kind in ("spaces", "demonstrations")
    assert REGISTRIES[kind][name] is found


def test_what_is_named_elsewhere_is_there() -> None:
    assert DEFAULT_SPACE in SPACES
    assert set(NEEDS) <= set(CONTROLLERS)


def test_a_thing_is_imported_when_it_is_asked_for_and_may_be_put_in_by_hand() -> None:
    made: Registry[Any] = Registry("databases", {"lost": "nowhere:NOTHING"})
    assert "lost" in made and list(made) == ["lost"] and len(made) == 1
    with pytest.raises(ModuleNotFoundError):
        made["lost"]
    made["mine"] = 3
    assert made["mine"] == 3
    del made["lost"]
    assert "lost" not in made
