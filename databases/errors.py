"""The one family of errors that a user can cause and mend, and how such lines count things."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input: one line that says what was given, what is allowed and what to do."""


def unknown(kind: str, given: str, known: Iterable[str], *, more: str = "") -> UserError:
    """What is told of a name that there is not: the nearest known one, all of them, and ``more`` that can be done."""
    names = list(known)
    return UserError(f"unknown {kind} {given!r}: {did_you_mean(given, names)}choose one of {', '.join(names)}{more}")


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The advice ``did you mean X?`` for what is nearly a known name; empty where it is like none."""
    found = get_close_matches(given, list(known), n=1)
    return f"did you mean {found[0]}? " if found else ""


def count(number: int, noun: str) -> str:
    """'1 image', '2 images'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
