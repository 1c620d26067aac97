"""The text of `model.py`: a frame, and the source of the network's own classes, written from its Blueprint.

Nothing about a network is typed a second time: the definitions that its class needs are taken, as they stand, from
`databases.architectures.networks`, which needs torch and plain values alone. `load_program` runs such a file.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pprint import pformat
from string import Template
from types import ModuleType
from typing import Any

from databases.architectures.skeleton import Blueprint, place_of
from databases.datasets.scale import LEAST_TOP, MOST_EXCESS, OVERSHOOT, least_bright
from databases.errors import UserError
from metad2a.export.card import Card

PROGRAM = "model.py"
_HOME = "databases.architectures"
_TORCH = {"import torch", "from torch import Tensor", "from torch import nn"}
_FRAME = {"from __future__ import annotations", "import json", "import sys", "from typing import Any"}


def program(card: Card) -> str:
    """The text of `model.py`."""
    template = Template((files("metad2a.export") / "model.py.txt").read_text(encoding="utf-8"))
    literals = {name: _literal(value) for name, value in asdict(card).items() if name != "blueprint"}
    white = card.white or 0
    limits = {"overshoot": OVERSHOOT.get(white, 0.0), "excess": MOST_EXCESS}
    limits |= {"least_bright": least_bright(white), "least_top": LEAST_TOP.get(white, 0.0)}
    literals |= {name: _literal(value) for name, value in limits.items()}
    imports, source = network_source(card.blueprint)
    literals |= {
        "class_names": "\n".join(f"    {_literal(name)}," for name in card.class_names),
        "imports": "\n".join(imports),
        "source": source,
        "needs": "torch and timm" if "import timm" in source else "torch",
        "network": card.blueprint.network.partition(":")[2],
        "arguments": pformat(_called(card.blueprint.arguments), width=110, compact=True),
    }
    return template.substitute(literals)


def load_program(folder: Path) -> ModuleType:
    """The exported `model.py` of a folder, as a module of its own."""
    path = folder / PROGRAM
    name = f"metad2a_exported_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UserError(f"there is no {PROGRAM} in {str(folder)!r}: name a folder that metad2a exported into")
    module = module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look their module up
    # imported, it would leave a __pycache__ beside what the user got
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


def network_source(blueprint: Blueprint) -> tuple[list[str], str]:
    """Import lines from outside the project, and the source of all definitions that a network needs, in order."""
    needed: dict[str, set[str]] = {}  # module -> names
    outside: set[str] = set()
    start = list(dict.fromkeys(_parts(blueprint)))
    for each in start:
        _need(*each, needed, outside)
    names = [name for each in needed.values() for name in each]
    if len(names) != len(set(names)):
        raise RuntimeError(f"two definitions of one name in the source of {blueprint.network}: {sorted(names)}")
    order = dict.fromkeys(each for module, _ in start for each in _lower_first(module))
    pieces = [piece for module in order for piece in _source(module).pieces(needed.get(module, set()))]
    return sorted((outside | _TORCH) - _FRAME, key=_as_sorted), "\n\n\n".join(pieces)


def _need(module: str, name: str, needed: dict[str, set[str]], outside: set[str]) -> None:
    """Notes a definition and all that it needs."""
    source = _source(module)
    if name in source.imports:
        origin, line = source.imports[name]
        if origin.startswith(_HOME):
            _need(origin, name, needed, outside)
        else:
            outside.add(line)
    elif name in source.definitions and name not in needed.setdefault(module, set()):
        needed[module].add(name)
        for other in source.reads(name):
            _need(module, other, needed, outside)


def _lower_first(module: str) -> Iterator[str]:
    """The project's modules that a module imports, each before those that import it."""
    for origin, _ in _source(module).imports.values():
        if origin.startswith(_HOME):
            yield from _lower_first(origin)
    yield module


def _parts(value: object) -> Iterator[tuple[str, str]]:
    """Module and name of the classes of blueprints and of the named tuples among their arguments."""
    if isinstance(value, Blueprint):
        module, name = value.network.split(":")
        yield place_of(module), name
        yield from _parts(value.arguments)
    elif isinstance(value, tuple):
        if type(value) is not tuple:
            yield type(value).__module__, type(value).__name__
        for each in value:
            yield from _parts(each)


class _Call:
    """A blueprint as the text that builds its network."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint

    def __repr__(self) -> str:
        arguments = ", ".join(repr(_called(each)) for each in self.blueprint.arguments)
        return f"{self.blueprint.network.partition(':')[2]}({arguments})"


def _called(value: object) -> object:
    """The value with the blueprints in it as the texts that build them."""
    if isinstance(value, Blueprint):
        return _Call(value)
    if not isinstance(value, tuple):
        return value
    parts: list[Any] = [_called(each) for each in value]
    return tuple(parts) if type(value) is tuple else type(value)(*parts)


@dataclass(frozen=True)
class _Source:
    """A module: its lines, the definitions at its top level, and what it imports: name -> (module, import line)."""

    lines: tuple[str, ...]
    definitions: dict[str, ast.stmt]
    imports: dict[str, tuple[str, str]]

    def reads(self, name: str) -> list[str]:
        """The top-level names that a definition mentions, in the order of the module."""
        mentioned = {node.id for node in ast.walk(self.definitions[name]) if isinstance(node, ast.Name)}
        return [each for each in (*self.imports, *self.definitions) if each in mentioned]

    def pieces(self, names: set[str]) -> Iterator[str]:
        """The source of definitions, in the order of the module."""
        for node in dict.fromkeys(self.definitions[name] for name in self.definitions if name in names):
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
            yield "\n".join(self.lines[first - 1 : node.end_lineno])


@cache
def _source(module: str) -> _Source:
    package, _, name = module.rpartition(".")
    text = (files(package) / f"{name}.py").read_text(encoding="utf-8")
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, tuple[str, str]] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            definitions |= {
                each.id: node for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
            }
        elif isinstance(node, ast.Import | ast.ImportFrom):
            origin = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            start = f"from {origin} import" if origin else "import"
            for alias in node.names:
                known = alias.asname or alias.name.partition(".")[0]
                imports[known] = (origin, f"{start} {alias.name}" + (f" as {alias.asname}" if alias.asname else ""))
    return _Source(tuple(text.splitlines()), definitions, imports)


def _as_sorted(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line


def _literal(value: object) -> str:
    """Python's text for a value, in double quotes where nothing needs an escape; no name becomes code."""
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and not set(text) & set('"\\') else text
