"""Names of classes: what they are (any bytes), how they are sorted, and how they are shown, each unlike the others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from databases.datasets.task import TEST, TRAIN, VALIDATION

PART_WORDS = {"train": TRAIN, "training": TRAIN, "trn": TRAIN}
PART_WORDS |= dict.fromkeys(("val", "valid", "validation", "dev", "eval"), VALIDATION)
PART_WORDS |= dict.fromkeys(("test", "testing", "tst"), TEST)
_FOLDS = "fold|split|part|batch|chunk|shard|subset|session|round|cv"
FOLD = re.compile(rf"(k[ _.-]?)?({_FOLDS})[ _.-]?[0-9]+", re.IGNORECASE)  # of a whole set, when above its classes
_TAKEN = "track|seq|sequence|video|vid|clip|scene|take|shot|series|run|day|week|month|date|subject|patient|person|user"
_TAKEN += "|participant|visit|trip|recording|burst|slide|camera|cam|view|page|frames?|[tsp]"
# What tells when, where or of whom the pictures of a class were taken: a track or a date, which is no class.
TAKEN = re.compile(rf"({_FOLDS}|{_TAKEN})[ _.-]?[0-9]+|[0-9]{{4,}}|[0-9]+([ _.-][0-9]+)+", re.IGNORECASE)
NOISE = set("set sets data dataset images image img imgs pictures pics photos samples split folder seg final".split())
WRAPPING = set("data dataset datasets image images img imgs picture pictures pics photos folder folders".split())
WRAPPING |= set("labeled labelled unlabeled unlabelled annotated unannotated".split())


def natural(text: str) -> tuple[list[str], str]:
    """Sort key by which class 2 stands before class 10."""
    # A number sorts like its digits after their count, which also holds for numbers too long to convert.
    pieces = re.split(r"([0-9]+)", text)
    pieces[1::2] = [f"{len(digits):06}{digits}" for digits in (piece.lstrip("0") for piece in pieces[1::2])]
    return pieces, text


def sort_key(name: str) -> tuple[tuple[list[str], str], str]:
    """Sort key of names as they are shown, the same on every system."""
    return natural(shown(name)), name


def shown(name: str) -> str:
    """A name from a file system as text that can be stored anywhere and is the same on every system."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())


def shown_apart(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Different names as different texts, those that would look alike with a number behind; and notes on them.

    The names may hold what is not text (surrogates, as Python makes them of bytes that are not UTF-8).
    """
    texts = [shown(name) for name in names]
    notes = []
    if strange := [text for name, text in zip(names, texts, strict=True) if not _is_text(name)]:
        notes.append(f"class names that are not UTF-8 are shown with a ? for each strange byte: {some(strange)}")
    apart, repeated = distinct(texts)
    if repeated:
        notes.append(f"numbered different classes whose names look alike: {some(repeated)}")
    return apart, notes


def distinct(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names with a number behind each repetition, and the names that were repeated."""
    taken, found, repeated = set(names), list[str](), dict[str, int]()
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            found.append(name)
            continue
        count = repeated.get(name, 1) + 1
        while f"{name} ({count})" in taken:
            count += 1
        repeated[name] = count
        taken.add(f"{name} ({count})")
        found.append(f"{name} ({count})")
    return found, list(repeated)


def some(names: Iterable[str]) -> str:
    """The first three names."""
    ordered = sorted(map(shown, names), key=natural)
    return ", ".join(map(repr, ordered[:3])) + (", ..." if len(ordered) > 3 else "")


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def part_of(folder: str) -> int | None:
    """The part that a folder's name tells, such as train, training_set, seg_test or val2017; None where none."""
    kept = [word for word in _words(folder) if not (word.isdigit() and len(word) == 4)]
    kept = [word.removesuffix("set") if word.removesuffix("set") in PART_WORDS else word for word in kept]
    kept = [word for word in kept if word not in NOISE]
    return PART_WORDS.get(kept[0]) if len(kept) == 1 else None


def wraps(folder: str) -> bool:
    """Whether a folder's name tells that data are in it and not which, such as images, dataset2 or unlabeled."""
    words = {word for word in _words(folder) if not word.isdigit()}
    return bool(words) and words <= WRAPPING


def _words(folder: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_a-zA-Z]+", folder)]
