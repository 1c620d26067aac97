"""The one family of errors that a user can cause and mend."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: one line that says what was given, what is allowed and what to do."""
