"""The one family of errors that a user can cause and mend, and how such lines count things."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: one line that says what was given, what is allowed and what to do."""


def count(number: int, noun: str) -> str:
    """'1 image', '2 images'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
