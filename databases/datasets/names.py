"""Names of classes: what they are (any bytes), how they are sorted, and how they are shown, each unlike the others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence, Set

from databases.datasets.task import TEST, TRAIN, VALIDATION

PART_WORDS = {"train": TRAIN, "training": TRAIN, "trn": TRAIN}
PART_WORDS |= dict.fromkeys(("val", "valid", "validation", "dev", "eval"), VALIDATION)
PART_WORDS |= dict.fromkeys(("test", "testing", "tst", "evaluation", "holdout"), TEST)
_FOLDS = "fold|split|part|batch|chunk|shard|subset|session|round|cv"
FOLD = re.compile(rf"(k[ _.-]?)?({_FOLDS})[ _.-]?[0-9]+", re.IGNORECASE)  # of a whole set, when above its classes
_TAKEN = "track|seq|sequence|video|vid|clip|scene|take|shot|series|run|day|week|month|date|subject|patient|person|user"
_TAKEN += "|participant|visit|trip|recording|burst|slide|camera|cam|view|page|frames?|[tsp]"
# What tells when, where or of whom the pictures of a class were taken: a track or a date, which is no class.
_CAMERA = "(?-i:[1-9][0-9]{2}[A-Z_][A-Z0-9_]{4})"  # folders that cameras make, such as 100CANON
TAKEN = re.compile(rf"({_FOLDS}|{_TAKEN})[ _.-]?[0-9]+|[0-9]{{4,}}|[0-9]+([ _.-][0-9]+)+|{_CAMERA}", re.IGNORECASE)
NOISE = set("set sets data dataset images image img imgs pictures pics photos samples split folder seg final".split())
WRAPPING = set("data dataset datasets image images img imgs picture pictures pics photos folder folders".split())
WRAPPING |= set("labeled labelled unlabeled unlabelled annotated unannotated".split())
WRITTEN = set("result results output outputs prediction predictions log logs runs model models checkpoints".split())
ABOUT = set("figure figures figs plot plots chart charts doc docs documentation screenshot screenshots".split())
MARKS = set(
    "mask masks label labels annotation annotations annot annots segmentation segmentations trimap trimaps".split()
)
MARKS |= {"gt", "groundtruth", "bbox", "bboxes"}
_OF_MARKS = set("class classes object objects instance instances semantic binary jpeg jpg png ground truth".split())
HEAPS = set("image images img imgs jpeg jpg png data dataset datasets folder unlabeled unlabelled unsorted".split())
_FIRST = HEAPS | set("original originals input inputs source sources raw rgb photo photos picture pictures".split())
_WHICH = set("stg stage phase public private unlabeled unlabelled labeled labelled small mini sample full new".split())
SMALL_COPIES = set("thumb thumbs thumbnail thumbnails preview previews".split())
_AGAIN = r"copy|kopie|copie|copia|cópia|backup|bak|old|aug|augmented|augmentation|duplicates?"
_COPIED = re.compile(rf"(.+?)[ _.-]*(\([0-9]+\)|(?<=[ _.-])({_AGAIN})[ _.-]*(\(?[0-9]+\)?)?)", re.IGNORECASE)
_MARKED = re.compile(rf"(.+?)[ _.-]+({'|'.join(sorted(MARKS))})([ _.-]*[0-9]+)?", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:(.*?[^\W\d_].*?)[ _.-]*[0-9]+|[0-9]+[ _.-]*([^\W\d_].*))\.[^.]+")
_IN_SERIES = {"set", "fold", "split", "part", "batch", "chunk", "shard", "subset", *WRAPPING}

SYSTEM = set("__macosx thumbs.db ehthumbs.db desktop.ini $recycle.bin lost+found @eadir @recycle @tmp #recycle".split())
SYSTEM |= {"system volume information", "#snapshot", "__pycache__", "node_modules"}  # of systems, stores and programs


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


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: .DS_Store, .git, __MACOSX, Thumbs.db, $RECYCLE.BIN."""
    return name.startswith(".") or name.lower() in SYSTEM


def part_of(folder: str) -> int | None:
    """The part that a folder's name tells, such as train, training_set, seg_test or val2017; None where none."""
    kept = [word for word in _words(folder) if not (word.isdigit() and len(word) == 4)]
    kept = [word.removesuffix("set") if word.removesuffix("set") in PART_WORDS else word for word in kept]
    kept = [word for word in kept if word not in NOISE]
    return PART_WORDS.get(kept[0]) if len(kept) == 1 else None


def parts_of(folders: Iterable[str]) -> dict[str, int]:
    """The parts of folders by names alike but for these: pets_train, pets_test; or rps, rps-test-set.

    One without a part is for training where no other is. Nothing where some name is another.
    """
    told, stems = dict[str, int | None](), set[tuple[str, ...]]()
    for folder in folders:
        words = [word for word in _words(folder) if word not in NOISE]
        named = [word for word in words if word.removesuffix("set") in PART_WORDS]
        if len(named) > 1:
            return {}
        told[folder] = PART_WORDS[named[0].removesuffix("set")] if named else None
        stems.add(tuple(word for word in words if word not in named))
    bare, trained = list(told.values()).count(None), TRAIN in told.values()
    parts = {folder: TRAIN if part is None else part for folder, part in told.items()}
    return parts if bare + trained == 1 == len(stems) and () not in stems and len({*parts.values()}) > 1 else {}


def tells_a_part(folder: str) -> bool:
    """Whether a part is among the words of a folder's name: pets_train, rps-test-set."""
    return any(word.removesuffix("set") in PART_WORDS for word in _words(folder))


def speaks_of_a_part(folder: str) -> bool:
    """Whether a folder's name speaks of a part and of nothing but which: test1, test_stg2, train_public."""
    words = [word for word in _words(folder) if not (word.isdigit() or word in NOISE or word in _WHICH)]
    return bool(words) and all(word.removesuffix("set") in PART_WORDS for word in words)


def told_by_names(files: Sequence[str]) -> str:
    """What to say of pictures called by a number and few words each, as of their classes: cat.0.jpg, 1_dog.jpg."""
    matches = [_NUMBERED.fullmatch(file.rpartition("/")[2]) for file in files]
    words = {match[1] or match[2] for match in matches if match}
    few, where = 1 < len(words) <= len(files) // 2, "begin" if any(match and match[1] for match in matches) else "end"
    return f" (their names {where} with {some(words)}, which may be classes)" if few and None not in matches else ""


def series(folders: Iterable[str]) -> bool:
    """Whether names are those of several parts of one set: images_part_1 and images_part_2, images_001 and so on."""
    found = [(_words(folder), folder.rstrip("0123456789")) for folder in folders]
    numbered = all(len(words) > 1 and words[-1].isdigit() and words[-2] in _IN_SERIES for words, _ in found)
    return numbered and len(found) > 1 == len({stem.lower() for _, stem in found})


def written(folder: str) -> bool:
    """Whether a folder's name tells that programs put results there."""
    return _all_among(folder, WRITTEN)


def about(folder: str) -> bool:
    """Whether a folder's name tells that pictures about the data are in it, such as figures and screenshots."""
    return _all_among(folder, ABOUT)


def marks(folder: str) -> bool:
    """Whether a folder's name tells of what is drawn on pictures: masks, SegmentationClass, ground_truth."""
    words = _bare(folder)
    return {"ground", "truth"} <= words <= _OF_MARKS or (bool(words & MARKS) and words <= MARKS | _OF_MARKS)


def marked(name: str) -> str:
    """Of a file's name without its ending that tells of a mask or label, such as 7_mask: that of its picture."""
    match = _MARKED.fullmatch(name)
    return match[1] if match else ""


def copied(folder: str) -> str:
    """Of a folder's name that tells of a copy, such as cat - Copy, cat (1) and cat_aug: that of the first."""
    match = _COPIED.fullmatch(folder)
    return match[1].rstrip(" _.-") if match else ""


def heap(folder: str) -> bool:
    """Whether a folder's name tells that pictures are in it and not which: images, JPEGImages, unsorted."""
    return _all_among(folder, HEAPS)


def pictured(folder: str) -> bool:
    """Whether a folder beside one of masks holds the pictures, by its name: images, train_images, original, train."""
    return _bare(folder) <= _FIRST and any(not word.isdigit() for word in _words(folder))


def in_parts(folders: Iterable[str]) -> dict[tuple[str, ...], dict[str, int]]:
    """Folders whose names speak of a part and of what is in it, with the part, by the latter: cat_train, cat_test."""
    found: dict[tuple[str, ...], dict[str, int]] = {}
    for folder in folders:
        words = _words(folder)
        named = [word for word in words if word.removesuffix("set") in PART_WORDS]
        rest = tuple(word for word in words if word not in named and word not in NOISE)
        if len(named) == 1 and rest:
            found.setdefault(rest, {})[folder] = PART_WORDS[named[0].removesuffix("set")]
    return found


def small_copies(folder: str) -> bool:
    """Whether a folder's name tells that programs put small copies of pictures there."""
    return folder.lower() in SMALL_COPIES


def wraps(folder: str) -> bool:
    """Whether a folder's name tells that data are in it and not which, such as images, dataset2 or unlabeled."""
    return _all_among(folder, WRAPPING)


def holds_a_set(folder: str) -> bool:
    """Whether a folder's name tells that data are in it, whichever: images, pets_dataset."""
    return wraps(folder) or not {"dataset", "datasets"}.isdisjoint(_words(folder))


def _all_among(folder: str, known: Set[str]) -> bool:
    words = {word for word in _words(folder) if not word.isdigit()}
    return bool(words) and words <= known


def _bare(folder: str) -> set[str]:
    """The words of a folder's name without numbers, parts and what tells nothing."""
    words = (word for word in _words(folder) if not word.isdigit() and word not in NOISE)
    return {word for word in words if word.removesuffix("set") not in PART_WORDS}


def _words(folder: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\d_a-zA-Z]+", folder)]
