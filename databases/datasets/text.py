"""A text task: Python's own language topics (``pydoc_data.topics``), at word or at character level.

The topics repeat each other's paragraphs, so each paragraph is kept once, then whole documents go to one part:
no part holds a text of another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from databases.errors import UserError

LEVELS = ("word", "character")
UNKNOWN, END = "<unk>", "<end>"  # a token too rare for the vocabulary; the end of a document
RARE = 5  # tokens met fewer times in the training part are unknown
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Text:
    """Three token streams of one language-modelling task.

    Attributes:
        level: ``word`` or ``character``. vocabulary: the token of each number.
        train, valid, test: (n,) int64 token numbers, documents one after the other.
    """

    level: str
    vocabulary: tuple[str, ...]
    train: Tokens
    valid: Tokens
    test: Tokens


def python_topics(level: str = "word") -> Text:
    """The topics that come with the running Python; raises `UserError` for an unknown level."""
    from pydoc_data.topics import topics

    return split_documents(topics, level)


def split_documents(documents: Mapping[str, str], level: str) -> Text:
    """Six in eight documents to train, one to valid, one to test, dealt out in the order of their length.

    Raises:
        UserError: unknown level.
    """
    if level not in LEVELS:
        raise UserError(f"unknown level {level!r}: choose one of {', '.join(LEVELS)}")
    kept = _without_repeats(documents)
    parts: tuple[list[str], ...] = ([], [], [])
    for i, name in enumerate(sorted(kept, key=lambda each: (-len(kept[each]), each))):
        parts[{3: 1, 6: 2}.get(i % 8, 0)].extend([*_tokens(kept[name], level), END])
    counts = Counter(parts[0])
    vocabulary = (UNKNOWN, *sorted(token for token, count in counts.items() if count >= RARE and token != UNKNOWN))
    number = {token: i for i, token in enumerate(vocabulary)}
    streams = (np.array([number.get(token, 0) for token in part], dtype=np.int64) for part in parts)
    return Text(level, vocabulary, *streams)


def _without_repeats(documents: Mapping[str, str]) -> dict[str, str]:
    """Every paragraph in the first document, by name, that has it."""
    seen: set[str] = set()
    kept = {}
    for name in sorted(documents):
        fresh = []
        for paragraph in re.split(r"\n\s*\n", documents[name]):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                fresh.append(words)
        kept[name] = "\n".join(fresh)
    return kept


def _tokens(text: str, level: str) -> Iterable[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower()) if level == "word" else text
