"""The one family of errors that a user can cause and mend, and how lines for people count and name things."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from difflib import get_close_matches

Say = Callable[[str], None]  # shows people one line


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


def in_a_line(name: str) -> str:
    """A name as it is, or in quotes where line ends, outer spaces or control characters would mislead."""
    joiners = str.maketrans("", "", "\u200c\u200d")  # which Persian and others are written with
    return name if name.translate(joiners).isprintable() and name == name.strip() else repr(name)


def key_of_name(name: str) -> str:
    """The same for names that a reader takes for one: Cat and cat, 1 and 01 and 1.0, and without what is not seen."""
    seen = "".join(each for each in unicodedata.normalize("NFKC", name) if unicodedata.category(each) != "Cf")
    plain = " ".join(seen.casefold().split())
    return re.sub("[.]0*$", "", plain).lstrip("0") if re.fullmatch("[0-9]+([.]0*)?", plain) else plain
