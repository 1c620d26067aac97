"""Opaque cursors: where the next page begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from metad2a.service.problems import Problem
from metad2a.service.words import content_of, word_of

_Item = TypeVar("_Item")


def encode(place: list[Any]) -> str:
    """A place in a list as a word that fits an address."""
    return word_of(json.dumps(place, separators=(",", ":")).encode())


def page_of(found: list[_Item], limit: int, *, place: Callable[[_Item], list[Any]]) -> tuple[list[_Item], str | None]:
    """At most ``limit`` of what was ``found``, and where more was the cursor of the next page.

    ``place`` tells where in the list an item stands.
    """
    return found[:limit], encode(place(found[limit - 1])) if len(found) > limit else None


def decode(cursor: str | None, kinds: tuple[type, ...]) -> list[Any] | None:
    """The place of a cursor, whose parts are of these kinds; 422 for a text that is none."""
    if cursor is None:
        return None
    try:
        place = json.loads(content_of(cursor))
        if [type(each) for each in place] != list(kinds) or not all(map(_comparable, place)):
            raise ValueError("not ours")
    except (ValueError, TypeError, RecursionError) as problem:
        raise Problem(422, "this cursor is none of ours: give the `next` of the page before, or none") from problem
    return list(place)


def _comparable(value: Any) -> bool:
    """Whether every database can compare with it: no half of a surrogate pair, no NUL, no number beyond 64 bits."""
    if isinstance(value, str):
        return "\0" not in value and value == value.encode(errors="ignore").decode()
    return bool(abs(value) < 2**63)
