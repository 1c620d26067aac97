"""Words that fit an address or a request: bytes in base64 without what pads it, options as the API's fields."""

from __future__ import annotations

import base64
import re


def word_of(content: bytes) -> str:
    """The word; `content_of` reads it back."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def content_of(word: str) -> bytes:
    """The bytes of a word; raises ValueError for a text that is none."""
    return base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)


def as_fields(text: str) -> str:
    """What is told of data, with ``--groups``, which requests do not have, as their field."""
    return re.sub(r"--groups(?: (?=\w))?", lambda found: "groups=" if found[0].endswith(" ") else "groups", text)
