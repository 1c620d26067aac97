"""Opaque cursors: where the next page begins."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from metad2a.service.problems import Problem


def encode(place: list[Any]) -> str:
    """A place in a list as a word that fits an address."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str | None, kinds: tuple[type, ...]) -> list[Any] | None:
    """The place of a cursor, whose parts are of these kinds; 422 for a text that is none."""
    if cursor is None:
        return None
    try:
        place = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if [type(each) for each in place] != list(kinds) or not all(map(_comparable, place)):
            raise ValueError("not ours")
    except (ValueError, TypeError, binascii.Error, RecursionError) as problem:
        raise Problem(422, "this cursor is none of ours: give the `next` of the page before, or none") from problem
    return list(place)


def _comparable(value: Any) -> bool:
    """Whether every database can compare with it: no half of a surrogate pair, no NUL, no number beyond 64 bits."""
    if isinstance(value, str):
        return "\0" not in value and value == value.encode(errors="ignore").decode()
    return bool(abs(value) < 2**63)
