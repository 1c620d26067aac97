"""Pictures in class folders: which file is which class and part, and every file as pixels of one size.

A picture is squeezed to a square as a whole: nothing is cut off. Transparent places become white. Of an
animation the first frame counts. Grey of more than 8 bits is scaled by the smallest of 1, 255, 4,095 and
65,535 that holds all such pictures of the set, so 12-bit pictures keep their contrast.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.archives import Files, is_hidden
from databases.datasets.task import TEST, TRAIN, VALIDATION, Images, Labels, Parts, check_classes, sample
from databases.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

PART_FOLDERS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
FULL_SCALES = (1, 255, 4_095, 65_535)
MAX_PICTURE_BYTES = 256 * 2**20
MAX_PIXELS = 89_478_485  # from here on Pillow warns of a decompression bomb
# Formats that Pillow hands on to other programs (Ghostscript writes temporary files) or cannot read.
FOREIGN_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}

Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]  # (px, px), (px, px, 3); float: not yet scaled


@dataclass(frozen=True)
class Labelled:
    """Images (n, h, w, c) with labels and parts as found; `parts` is all TRAIN when there were none.

    `white` is the value that stood for white in pictures of more than 8 bits, None when there were none.
    """

    images: Images
    labels: Labels
    parts: Parts
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    white: int | None = None


@dataclass(frozen=True)
class _Picture:
    """One file that should be a picture."""

    file: str
    trail: tuple[str, ...]  # folders and name, below any wrapping folder
    class_name: str
    part: int
    deeper: bool = False  # whether it lies in a folder within its class folder


def natural(text: str) -> tuple[list[str], str]:
    """Sort key by which class 2 stands before class 10."""
    # A number sorts like its digits after their count, which also holds for numbers too long to convert.
    pieces = re.split(r"([0-9]+)", text)
    pieces[1::2] = [f"{len(digits.lstrip('0')):06}{digits.lstrip('0')}" for digits in pieces[1::2]]
    return pieces, text


def read_pictures(files: Files, *, given: str, px: int, most: int, seed: int) -> Labelled:
    """All pictures of a folder of class folders, px by px pixels, in the order of their names.

    Args:
        files: the folder or zip.
        given: what the user called it, for errors.
        px: height and width to bring every picture to.
        most: if there are more pictures than this, a stratified part of them is read.
        seed: which part.

    Raises:
        UserError: when there is nothing to learn from, or more than a tenth of the files cannot be read.
    """
    pictures, ignored = _arrange(files.names, given)
    class_names = tuple(sorted({picture.class_name for picture in pictures}, key=natural))
    number = {name: index for index, name in enumerate(class_names)}
    labels = np.array([number[picture.class_name] for picture in pictures], dtype=np.int64)
    parts = np.array([picture.part for picture in pictures], dtype=np.uint8)
    check_classes(labels, parts, class_names, least=2)
    chosen = sample(labels, parts, most=most, seed=seed)
    notes = [_ignored_note(ignored)] if ignored else []
    if files.empty:
        many = "s" * (len(files.empty) > 1)
        notes.append(f"left out {len(files.empty):,} empty folder{many}: {_some(files.empty)}")
    deeper = ["/".join(picture.trail[:-1]) for picture in pictures if picture.deeper]
    if deeper:
        notes.append(f"took folders within class folders as parts of their classes: {_some(set(deeper))}")
    if len(chosen) < len(pictures):
        notes.append(f"read {len(chosen):,} of {len(pictures):,} pictures, the same share of each class")
    pixels, read, more_notes = _decode_all(files, [pictures[index].file for index in chosen], given=given, px=px)
    chosen, white = chosen[read], _white(pixels)
    images = _stacked(pixels, white)
    return Labelled(images, labels[chosen], parts[chosen], class_names, (*notes, *more_notes), white)


def _ignored_note(ignored: Sequence[str]) -> str:
    """One line for files that are not used."""
    many = "s" * (len(ignored) > 1)
    return f"ignored {len(ignored):,} file{many} (hidden, no pictures, or in no class folder): {_some(ignored)}"


def _some(names: Iterable[str]) -> str:
    """The first three names."""
    ordered = sorted(names, key=natural)
    return ", ".join(map(repr, ordered[:3])) + (", ..." if len(ordered) > 3 else "")


def _arrange(names: Iterable[str], given: str) -> tuple[list[_Picture], list[str]]:
    """Sorted pictures with class and part, and the names of everything else."""
    formats = _readable_formats()[1]
    trails: dict[str, tuple[str, ...]] = {}
    ignored: list[str] = []
    for name in names:
        trail = PurePosixPath(name).parts
        if any(is_hidden(piece) for piece in trail) or PurePosixPath(name).suffix.lower() not in formats:
            ignored.append(name)
        else:
            trails[name] = trail
    others = f", and {len(ignored):,} other files ({_some(ignored)})" if ignored else ""
    trails = _unwrapped(trails)
    folders = {trail[0] for trail in trails.values() if len(trail) > 1}
    depth = 1 if _has_parts(trails.values(), folders, given) else 0
    pictures = []
    for name, trail in trails.items():
        part = PART_FOLDERS.get(trail[0].lower()) if depth else TRAIN
        if part is None or len(trail) < depth + 2:
            ignored.append(name)
        else:
            pictures.append(_Picture(name, trail, shown(trail[depth]), part, deeper=len(trail) > depth + 2))
    if not pictures:
        raise UserError(
            f"given {given} with {len(trails):,} pictures, none of them in a class folder{others}; "
            "allowed is a folder with one folder of pictures for each class; sort the pictures into such"
        )
    return sorted(pictures, key=lambda picture: natural("/".join(picture.trail))), ignored


def _unwrapped(trails: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Trails without the folders that wrap everything, as in many zips."""
    while trails:
        tops = {trail[0] for trail in trails.values()}
        if len(tops) > 1 or min(tops).lower() in PART_FOLDERS or any(len(trail) < 3 for trail in trails.values()):
            break
        trails = {name: trail[1:] for name, trail in trails.items()}
    return trails


def _has_parts(trails: Iterable[tuple[str, ...]], folders: set[str], given: str) -> bool:
    """Whether train, validation and test folders stand above the class folders."""
    named = {folder for folder in folders if folder.lower() in PART_FOLDERS}
    with_classes = {PART_FOLDERS[trail[0].lower()] for trail in trails if trail[0] in named and len(trail) > 2}
    if TRAIN in with_classes:
        return True
    if named and named == folders:
        raise UserError(
            f"given {given} with the folders {_some(named)} but no class folders in a train folder; "
            "allowed is train/CLASS/picture, with val and test beside train; sort the pictures into such"
        )
    return False


def _why(problem: Exception) -> str:
    """Why a picture cannot be read, the same at each reading."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(problem, UnidentifiedImageError):  # its text holds an address in memory
        return "not a picture, or an empty file"
    pixels = re.search(r"([0-9]+) pixels", str(problem))
    if isinstance(problem, Image.DecompressionBombError) and pixels:  # ours, or Pillow's for twice as many
        return f"{int(pixels[1]):,} pixels, allowed are {MAX_PIXELS:,}: make it smaller"
    return " ".join(str(problem).split())[:80]


def shown(name: str) -> str:
    """A name from a file system as text that can be stored anywhere and is the same on every system."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())


@cache
def _readable_formats() -> tuple[tuple[str, ...], frozenset[str]]:
    """Formats to try, and the endings of their files."""
    from PIL import Image

    endings = Image.registered_extensions()  # this also loads every format
    formats = tuple(name for name in Image.ID if name not in FOREIGN_FORMATS)
    return formats, frozenset(ending for ending, name in endings.items() if name not in FOREIGN_FORMATS)


def _decode_all(
    files: Files, names: Sequence[str], *, given: str, px: int
) -> tuple[list[Pixels], npt.NDArray[np.intp], list[str]]:
    """Pixels (m,) of the files that can be read, their positions among the names, and notes."""
    pixels: list[Pixels] = []
    read: list[int] = []
    broken: list[str] = []
    sizes: Counter[tuple[int, int]] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of oddities that it copes with, in the midst of a user's screen
        for index, name in enumerate(names):
            try:
                picture, size = _decode(files.read(name, most=MAX_PICTURE_BYTES), px)
            except UserError:
                raise
            except Exception as problem:  # a decoder raises whatever broken bytes make it raise
                broken.append(f"{name} ({_why(problem)})")
            else:
                pixels.append(picture)
                read.append(index)
                sizes[size] += 1
    if len(broken) * 10 > len(names):
        raise UserError(
            f"given {given} with {len(names):,} pictures, of which {len(broken):,} cannot be read: "
            f"{_some(broken)}; allowed is a tenth of them; repair or remove them"
        )
    notes = [f"skipped {len(broken):,} unreadable picture{'s' * (len(broken) > 1)}: {_some(broken)}"] if broken else []
    if set(sizes) != {(px, px)}:
        notes.append(_sizes_note(sizes, px))
    return pixels, np.array(read, dtype=np.intp), notes


def _sizes_note(sizes: Counter[tuple[int, int]], px: int) -> str:
    """One line that tells the sizes before resizing."""
    (width, height), (most_width, most_height) = min(sizes), max(sizes)
    if len(sizes) == 1:
        return f"resized pictures of {width}x{height} pixels to {px}x{px}"
    return (
        f"resized pictures of {len(sizes):,} sizes, from {width}x{height} to "
        f"{most_width}x{most_height} pixels, to {px}x{px}"
    )


def _decode(content: bytes, px: int) -> tuple[Pixels, tuple[int, int]]:
    """One file as pixels, and its (width, height) before resizing. Raises whatever Pillow raises."""
    from PIL import Image, ImageOps

    with Image.open(BytesIO(content), formats=_readable_formats()[0]) as image:
        size = image.size
        if size[0] * size[1] > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{size[0] * size[1]} pixels")
        image.draft(None, (4 * px, 4 * px))  # a large JPEG is decoded at a fraction of its size, many times faster
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith(("I", "F")):
            deep = Image.fromarray(np.asarray(image, dtype=np.float32))
            values = np.asarray(deep.resize((px, px), Image.Resampling.BILINEAR))
            if not (values.min() >= 0 and values.max() <= FULL_SCALES[-1]):
                raise ValueError(f"values outside 0..{FULL_SCALES[-1]}")
            return values, size
        plain = _on_white(image) if image.has_transparency_data else image
        plain = plain.convert("L" if plain.mode in ("1", "L") else "RGB")
        return np.asarray(plain.resize((px, px), Image.Resampling.BILINEAR)), size


def _on_white(image: Image.Image) -> Image.Image:
    """An image with transparent places, laid on white."""
    from PIL import Image

    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def _white(pixels: Sequence[Pixels]) -> int | None:
    """The value that stands for white in the pictures of more than 8 bits, None when there are none."""
    tops = [float(picture.max()) for picture in pixels if picture.dtype == np.float32]
    return full_scale(max(tops)) if tops else None


def _stacked(pixels: Sequence[Pixels], white: int | None) -> Images:
    """Pictures as one array, of one channel when all are grey; those not yet scaled have that white."""
    factor = 255 / white if white else 1.0
    coloured = any(picture.ndim == 3 and is_coloured(picture) for picture in pixels)
    stacked = np.empty((len(pixels), *pixels[0].shape[:2], 3 if coloured else 1), dtype=np.uint8)
    for target, picture in zip(stacked, pixels, strict=True):
        scaled = np.rint(picture * factor) if picture.dtype == np.float32 else picture
        target[...] = np.atleast_3d(scaled)[:, :, : target.shape[2]]  # grey spreads over three channels
    return stacked


def full_scale(top: float) -> int:
    """The value that stands for white in grey values of which `top`, at most 65,535, is the largest."""
    return next(scale for scale in FULL_SCALES if top <= scale)


def is_coloured(images: npt.NDArray[np.generic]) -> bool:
    """Whether the three channels of (..., 3) differ anywhere."""
    return bool((images[..., :2] != images[..., 1:]).any())
