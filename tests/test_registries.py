"""Conformance: every entry of every registry is there under its name. What is new is tested by being listed."""

from __future__ import annotations

import ast
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import metad2a
from databases.architectures.space import MADE, SPACES
from databases.datasets import groups
from databases.errors import UserError
from databases.records.store import Store
from databases.registry import Registry
from databases.usual import AUTOMATIC, DEFAULT_SPACE, MEASURING_RECIPE, SEARCHED_SPACE
from metad2a.build.build import Built
from metad2a.build.builders import BUILDERS, BuildOptions, build_space
from metad2a.cli.database import build
from metad2a.reproduce import DEMONSTRATIONS
from metad2a.runtime.executors import EXECUTORS
from metad2a.runtime.place import ALONE
from metad2a.search.beginnings import BEGINNINGS
from metad2a.search.controllers import CONTROLLERS, NEEDS
from metad2a.service.fields import Augmenting, Grouping
from metad2a.train.augment import CHOICES

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
    assert {DEFAULT_SPACE, SEARCHED_SPACE} <= set(SPACES)
    assert set(NEEDS) == set(BEGINNINGS) <= set(CONTROLLERS)
    assert {each.blind for each in BEGINNINGS.values()} - {None} <= set(CONTROLLERS)


@pytest.mark.parametrize("room", ["search", "compare", "cli", "service"])
def test_nobody_asks_which_searcher_it_is(room: str) -> None:
    for path in (Path(metad2a.__file__).parent / room).rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for node in [each for each in nodes if isinstance(each, ast.Compare)]:
            named = {ast.unparse(each) for each in ast.walk(node)} & {*map(repr, CONTROLLERS), "DEFAULT_SEARCHER"}
            assert not named, f"{path.name}:{node.lineno} asks for {named}: say it in BEGINNINGS or NEEDS"


def test_spaces_that_are_measured_are_offered_and_ask_for_known_options() -> None:
    named, _ = get_args(get_type_hints(build, include_extras=True)["space"])
    assert set(get_args(named)) == BUILDERS.keys() <= set(SPACES)
    assert all(each.means <= {field.name for field in fields(BuildOptions)} for each in BUILDERS.values())


@pytest.mark.parametrize("name", BUILDERS)
def test_every_builder_loads_and_takes_its_options(name: str, tmp_path: Path) -> None:
    options = BuildOptions(tasks=0, per_task=17, recipe=MEASURING_RECIPE, judged=0, seeds=1, seed=0)
    more = {"place": ALONE, "cache": tmp_path, "on_progress": print, "on_death": print}
    told = "no image source" if name.endswith("-subnets") else None
    with Store("sqlite://") as store, pytest.raises(UserError, match=told) if told else nullcontext():
        assert build_space(store, tmp_path, options, space=name, **more) == Built(0, 0, 0)


def test_the_service_allows_what_is_known() -> None:
    assert get_args(get_args(Grouping)[0]) == groups.WAYS
    assert get_args(get_args(Augmenting)[0]) == CHOICES
    assert AUTOMATIC == groups.WAYS[0] == CHOICES[0]


def test_a_thing_is_imported_when_it_is_asked_for_and_may_be_put_in_by_hand() -> None:
    made: Registry[Any] = Registry("databases", {"lost": "nowhere:NOTHING"})
    assert "lost" in made and list(made) == ["lost"] and len(made) == 1
    with pytest.raises(ModuleNotFoundError):
        made["lost"]
    made["mine"] = 3
    assert made["mine"] == 3
    del made["lost"]
    assert "lost" not in made
