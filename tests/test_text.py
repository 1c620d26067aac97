"""The text task: whole documents in one part, nothing twice, a vocabulary of the training part."""

from __future__ import annotations

import numpy as np
import pytest

from databases.datasets.text import LEVELS, Text, python_topics, split_documents
from databases.errors import UserError

WORDS = [f"word{i}" for i in range(40)]


def documents(count: int = 16) -> dict[str, str]:
    """Documents of different lengths; each has paragraphs of its own, and one that all share."""
    return {
        f"topic {i:02}": "\n\n".join(["end the word."] + [f"Text {i} {word} the end." for word in WORDS[: 3 + i]])
        for i in range(count)
    }


def read(text: Text, part: str) -> str:
    return (" " if text.level == "word" else "").join(text.vocabulary[i] for i in getattr(text, part))


def test_documents_are_dealt_out_whole_by_their_length() -> None:
    text = split_documents(documents(), "character")
    ends = {part: read(text, part).count("<end>") for part in ("train", "valid", "test")}
    assert ends == {"train": 12, "valid": 2, "test": 2}
    for number in range(16):
        holding = [part for part in ends if f"Text {number} word0 " in read(text, part)]
        assert len(holding) == 1
        assert read(text, holding[0]).count(f"Text {number} word") == 3 + number


def test_a_paragraph_that_several_documents_share_is_kept_once() -> None:
    text = split_documents(documents(), "character")
    assert sum(read(text, part).count("end the word.") for part in ("train", "valid", "test")) == 1


def test_rare_words_are_unknown_and_the_vocabulary_is_the_training_parts() -> None:
    text = split_documents({**documents(), "topic 00": "unheard " * 4, "topic 01": "common " * 90}, "word")
    assert "unheard" not in text.vocabulary and "common" in text.vocabulary
    assert text.vocabulary[0] == "<unk>" and (text.train == 0).any()
    for part in (text.train, text.valid, text.test):
        assert part.dtype == np.int64 and part.min() >= 0 and part.max() < len(text.vocabulary)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UserError, match="unknown level 'syllable': choose one of word, character"):
        split_documents(documents(), "syllable")


@pytest.mark.parametrize("level", LEVELS)
def test_pythons_topics_are_large_enough_and_the_same_each_time(level: str) -> None:
    text, again = python_topics(level), python_topics(level)
    assert text.vocabulary == again.vocabulary and np.array_equal(text.test, again.test)
    sizes = [len(part) for part in (text.train, text.valid, text.test)]
    assert sizes[0] > 50_000 and min(sizes[1:]) > sizes[0] / 15
