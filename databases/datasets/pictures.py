"""Pictures in files: every file as pixels of one size.

A picture is squeezed to a square as a whole: nothing is cut off. Transparent places become white. Of an
animation the first frame counts. Grey of more than 8 bits is scaled by the smallest of 1, 255, 4,095 and
65,535 that holds all such pictures of the set, so 12-bit pictures keep their contrast; see `scale`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.archives import Files
from databases.datasets.class_folders import Arranged, arrange
from databases.datasets.file_kinds import MOST_UNREAD, ending_of, hidden, readable_formats
from databases.datasets.groups import AUTOMATIC, named_groups
from databases.datasets.label_table import arrange_by_table, find_table
from databases.datasets.names import count, some, sort_key
from databases.datasets.pace import Pace
from databases.datasets.scale import FULL_SCALES, Scale, find_scale, has_a_scale, values_of
from databases.datasets.task import Images, Labels, Parts, check_classes, sample
from databases.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MAX_PICTURE_BYTES = 256 * 2**20
MAX_PIXELS = 89_478_485  # from here on Pillow warns of a decompression bomb
Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]  # (px, px), (px, px, 3); float: not yet scaled


@dataclass(frozen=True)
class Labelled:
    """Images (n, h, w, c) with labels and parts as found; `parts` is all TRAIN when there were none.

    `white` is the value that stood for white in pictures of more than 8 bits, None when there were none; `files` are
    their names, `groups` (n,) what the data say belongs together, None where they do not.
    """

    images: Images
    labels: Labels
    parts: Parts
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    white: int | None = None
    files: tuple[str, ...] = ()
    groups: object = None


def read_pictures(
    files: Files,
    *,
    given: str,
    px: int,
    most: int,
    seed: int,
    groups: str | Path = AUTOMATIC,
    deadline: float = math.inf,
) -> Labelled:
    """All pictures of a folder of class folders, px by px pixels, in the order of their names.

    Args:
        files: the folder or zip.
        given: what the user called it, for errors.
        px: height and width to bring every picture to.
        most: if there are more pictures than this, a stratified part of them is read.
        seed: which part.
        groups: how the user groups pictures; see `groups.named_groups`.
        deadline: monotonic second at which all must be read.

    Raises:
        UserError: when there is nothing to learn from, more than a tenth of the files cannot be read, or time is short.
    """
    arranged = _arranged(files, given)
    pictures, called = arranged.pictures, arranged.class_names
    class_names = tuple(dict.fromkeys(called[label] for label in sorted(called, key=sort_key)))
    number = {label: class_names.index(name) for label, name in called.items()}
    labels = np.array([number[picture.label] for picture in pictures], dtype=np.int64)
    parts = np.array([picture.part for picture in pictures], dtype=np.uint8)
    check_classes(labels, parts, class_names, least=2)
    chosen = sample(labels, parts, most=most, seed=seed)
    named, told = named_groups(pictures, groups)
    notes = [*files.notes, *arranged.notes, *told]
    if files.empty:
        notes.append(f"left out {count(len(files.empty), 'empty folder')}: {some(files.empty)}")
    if len(chosen) < len(pictures):
        notes.append(
            f"read {len(chosen):,} of {len(pictures):,} pictures, the same share of each class, for training too"
        )
    decoded = _decode_all(
        files, [pictures[index].file for index in chosen], given=given, px=px, pace=Pace(len(chosen), deadline)
    )
    chosen = chosen[decoded.read]
    scale, told = _deep_scale(decoded, given)
    images = _stacked(decoded.pixels, scale)
    return Labelled(
        images,
        labels[chosen],
        parts[chosen],
        class_names,
        (*notes, *decoded.notes, *told),
        scale.white if scale else None,
        tuple(pictures[index].file for index in chosen),
        [named[index] for index in chosen] if any(named) else None,
    )


def _arranged(files: Files, given: str) -> Arranged:
    """Which file is of which class and part, by a labels.csv or else by the folders."""
    endings = readable_formats()[1]
    pictures, others = list[str](), list[str]()
    for name in files.names:
        (others if hidden(name) or ending_of(name) not in endings else pictures).append(name)
    table = find_table(others)
    by_table = arrange_by_table(files, table, pictures, others, given=given) if table else None
    return by_table or arrange(files, pictures, others, given=given)


def _deep_scale(decoded: _Decoded, given: str) -> tuple[Scale | None, list[str]]:
    """How values of more than 8 bits become 0 to 255, None where there are none; and notes."""
    deep = [picture for picture in decoded.pixels if picture.dtype == np.float32]
    if not deep:
        return None, []
    return find_scale(values_of(deep, kind=decoded.kind), given=f"{given} with pictures of more than 8 bits")


def why_unreadable(problem: Exception) -> str:
    """Why a picture cannot be read, the same at each reading."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(problem, UnidentifiedImageError):  # its text holds an address in memory
        return "not a picture, or an empty file"
    pixels = re.search(r"([0-9]+) pixels", str(problem))
    if isinstance(problem, Image.DecompressionBombError) and pixels:  # ours, or Pillow's for twice as many
        return f"{int(pixels[1]):,} pixels, allowed are {MAX_PIXELS:,}: make it smaller"
    return " ".join(str(problem).split())[:80]


@dataclass(frozen=True)
class _Decoded:
    """What could be read of files: pixels (m,), their positions among the files, and notes.

    ``kind`` is that of values of more than 8 bits: 'float' where any file has such, else 'whole'.
    """

    pixels: list[Pixels]
    read: npt.NDArray[np.intp]
    notes: list[str]
    kind: str


def _decode_all(files: Files, names: Sequence[str], *, given: str, px: int, pace: Pace) -> _Decoded:
    """The files that can be read; raises UserError where more than a tenth cannot, and where time is too short."""
    pixels: list[Pixels] = []
    read: list[int] = []
    broken: list[str] = []
    sizes: Counter[tuple[int, int]] = Counter()
    kinds = set[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of oddities that it copes with, in the midst of a user's screen
        for index, name in enumerate(names):
            pace.check(index, given)
            try:
                picture, size, kind = _decode(files.read(name, most=MAX_PICTURE_BYTES), px)
            except UserError:
                raise
            except Exception as problem:  # a decoder raises whatever broken bytes make it raise
                broken.append(f"{name} ({why_unreadable(problem)})")
            else:
                pixels.append(picture)
                read.append(index)
                sizes[size] += 1
                kinds.add(kind)
    if len(broken) * MOST_UNREAD > len(names):
        raise UserError(
            f"given {given} with {len(names):,} pictures, of which {len(broken):,} cannot be read: "
            f"{some(broken)}; allowed is a tenth of them; repair or remove them"
        )
    notes = [f"skipped {count(len(broken), 'unreadable picture')}: {some(broken)}"] if broken else []
    if set(sizes) != {(px, px)}:
        notes.append(_sizes_note(sizes, px))
    return _Decoded(pixels, np.array(read, dtype=np.intp), notes, "float" if "float" in kinds else "whole")


def _sizes_note(sizes: Counter[tuple[int, int]], px: int) -> str:
    """One line that tells the sizes before resizing."""
    (width, height), (most_width, most_height) = min(sizes), max(sizes)
    if len(sizes) == 1:
        return f"resized pictures of {width}x{height} pixels to {px}x{px}"
    return (
        f"resized pictures of {len(sizes):,} sizes, from {width}x{height} to "
        f"{most_width}x{most_height} pixels, to {px}x{px}"
    )


def _decode(content: bytes, px: int) -> tuple[Pixels, tuple[int, int], str]:
    """One file as pixels, its (width, height) as it was, and its kind of values. Raises whatever Pillow raises."""
    from PIL import Image, ImageOps

    with Image.open(BytesIO(content), formats=readable_formats()[0]) as image:
        size = image.size
        if size[0] * size[1] > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{size[0] * size[1]} pixels")
        image.draft(None, (4 * px, 4 * px))  # a large JPEG is decoded at a fraction of its size, many times faster
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith(("I", "F")):
            deep = Image.fromarray(np.asarray(image, dtype=np.float32))
            values = np.asarray(deep.resize((px, px), Image.Resampling.BILINEAR))
            kind = "float" if image.mode.startswith("F") else "whole"
            if not has_a_scale(values_of([values], kind=kind)):
                raise ValueError(f"values from {values.min():g} to {values.max():g}, outside 0..{FULL_SCALES[-1]}")
            return values, size, kind
        plain = _on_white(image) if image.has_transparency_data else image
        plain = plain.convert("L" if plain.mode in ("1", "L") else "RGB")
        return np.asarray(plain.resize((px, px), Image.Resampling.BILINEAR)), size, "byte"


def read_picture(content: bytes, *, px: int, channels: int, white: int | None) -> Images:
    """One file as uint8 (px, px, channels), as in a set of pictures with that white; raises whatever Pillow raises."""
    from PIL import Image

    values, _, kind = _decode(content, px)
    if kind != "byte":
        if white is None:
            raise ValueError("more than 8 bits a pixel, and training had no such pictures")
        if values.min() < 0 or values.max() > white:
            raise ValueError(f"values outside 0..{white}, the range of the training pictures")
        values = np.rint(values * (255 / white)).astype(np.uint8)
    if channels == 1 and values.ndim == 3:
        values = np.asarray(Image.fromarray(values).convert("L"))
    pixels: Images = np.atleast_3d(values)
    return np.repeat(pixels, channels, axis=2) if pixels.shape[2] < channels else pixels


def _on_white(image: Image.Image) -> Image.Image:
    """An image with transparent places, laid on white."""
    from PIL import Image

    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def _stacked(pixels: Sequence[Pixels], scale: Scale | None) -> Images:
    """Pictures as one array, of one channel when all are grey; those not yet scaled have that scale."""
    coloured = any(picture.ndim == 3 and is_coloured(picture) for picture in pixels)
    stacked = np.empty((len(pixels), *pixels[0].shape[:2], 3 if coloured else 1), dtype=np.uint8)
    for target, picture in zip(stacked, pixels, strict=True):
        scaled = scale.to_bytes(picture[None])[0] if scale and picture.dtype == np.float32 else picture
        target[...] = np.atleast_3d(scaled)[:, :, : target.shape[2]]  # grey spreads over three channels
    return stacked


def is_coloured(images: npt.NDArray[np.generic]) -> bool:
    """Whether the three channels of (n, ..., 3) differ anywhere."""
    return any(bool((image[..., :2] != image[..., 1:]).any()) for image in images)
