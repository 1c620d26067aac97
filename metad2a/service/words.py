"""Bytes as a word that fits an address: base64 for URLs, without what pads it."""

from __future__ import annotations

import base64


def word_of(content: bytes) -> str:
    """The word; `content_of` reads it back."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def content_of(word: str) -> bytes:
    """The bytes of a word; raises ValueError for a text that is none."""
    return base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
