"""One file of a picture as pixels, and a run of them.

A picture is squeezed to a square as a whole: nothing is cut off. Transparent places become white. Of an
animation the first frame counts. Grey of more than 8 bits is not scaled yet: that takes all pictures of a set. Of 16
bits a colour Pillow reads the upper 8, as of values from 0 to 65,535: whether they are is told by all pictures too.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.file_kinds import readable_formats
from databases.datasets.scale import (
    FULL_SCALES,
    LEAST_TOP,
    Scale,
    check_alike,
    has_a_scale,
    least_bright,
    may_be_darker,
)
from databases.datasets.task import Images
from databases.datasets.values import values_of
from databases.datasets.wide import WIDE, WIDEST, is_wide
from databases.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MAX_PICTURE_BYTES = 256 * 2**20
MAX_PIXELS = 89_478_485  # from here on Pillow warns of a decompression bomb
NO_PICTURES = {  # how files begin that are called as pictures
    b"version https://git-lfs": "a pointer of Git LFS: fetch the files by git lfs pull",
    **dict.fromkeys((b"<!doctype html", b"<html"), "a web page, as of a failed download"),
}
PREVIEWS = {"MPO", "ICO", "ICNS", "CUR", "PSD"}  # whose further pictures show the same: another eye, smaller, layers
Deep: TypeAlias = npt.NDArray[np.float32]  # values of more than 8 bits, not yet scaled
Pixels: TypeAlias = npt.NDArray[np.uint8] | Deep  # (px, px), (px, px, 3)


@dataclass
class Found:
    """What is known of the decoded files at the places ``start`` to ``stop``.

    Attributes:
        broken: why files cannot be read, by place. deep: places of pictures of more than 8 bits.
        sizes: how many pictures were of which (width, height).
        coloured: whether any is. floats: whether any of more than 8 bits holds fractions.
        frames: how many files hold further pictures. top: the largest value of those of 8 bits, as far as that is told.
        wide: the largest value of each picture of 16 bits a colour, in steps of 257.
        faint: how many of those of 8 bits hold 0 and 1 alone.
        clear: how many are transparent all over.
    """

    start: int
    stop: int
    broken: dict[int, str] = field(default_factory=dict)
    deep: list[int] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    coloured: bool = False
    floats: bool = False
    frames: int = 0
    top: int = 0
    wide: list[int] = field(default_factory=list)
    faint: int = 0
    clear: int = 0


class Decoded(NamedTuple):
    """One file as pixels.

    Attributes:
        pixels: see `Pixels`. size: (width, height) as it was. kind: of values, as `Scale` has it.
        more: whether it holds further pictures. top: the largest value of 8 bits before it is made smaller.
        wide: whether it had 16 bits a colour, of which these are the upper 8.
        faint: whether it has 8 bits and its largest value is 1. clear: whether it is transparent all over.
    """

    pixels: Pixels
    size: tuple[int, int]
    kind: str
    more: bool
    top: int = 0
    wide: bool = False
    faint: bool = False
    clear: bool = False


def decode_run(contents: Iterable[bytes | str], start: int, pixels: Images, deep: Deep) -> Found:
    """Decodes files, the first of them at the place ``start``.

    Args:
        contents: of each file, or why it could not be read.
        start: see above.
        pixels: (k, px, px, 3) where they are put, grey in three equal channels.
        deep: (k, px, px) where those of more than 8 bits are put instead.
    """
    found = Found(start, start + len(pixels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of oddities that it copes with, in the midst of a user's screen
        for row, content in enumerate(contents):
            if isinstance(content, str):
                found.broken[start + row] = content
                continue
            try:
                one = decode(content, pixels.shape[1], known=found.top)
            except Exception as problem:  # a decoder raises whatever broken bytes make it raise
                found.broken[start + row] = why_unreadable(problem)
                continue
            found.sizes[one.size] += 1
            found.frames += one.more
            if one.kind != "byte":
                deep[row] = one.pixels
                found.deep.append(start + row)
                found.floats = found.floats or one.kind == "float"
                continue
            pixels[row] = np.atleast_3d(one.pixels)
            found.top = found.top if one.wide else max(found.top, one.top)
            found.coloured = found.coloured or (one.pixels.ndim == 3 and is_coloured(one.pixels[None]))
            found.wide += [WIDE * one.top] if one.wide else []
            found.faint += one.faint
            found.clear += one.clear
    return found


def why_unreadable(problem: Exception) -> str:
    """Why a picture cannot be read, the same at each reading."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(problem, UnidentifiedImageError):  # its text holds an address in memory
        return "not a picture"
    pixels = re.search(r"([0-9]+) pixels", str(problem))
    if isinstance(problem, Image.DecompressionBombError) and pixels:  # ours, or Pillow's for twice as many
        return f"{int(pixels[1]):,} pixels, allowed are {MAX_PIXELS:,}: make it smaller"
    return " ".join(str(problem).split())[:80]


def decode(content: bytes, px: int, *, known: int = 255) -> Decoded:
    """One file as pixels; the largest value is looked at where that is worth telling beside one ``known``.

    Raises whatever Pillow raises.
    """
    from PIL import Image, ImageOps

    with _opened(content) as image:
        size = image.size
        if size[0] * size[1] > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{size[0] * size[1]} pixels")
        if min(size) < 2:  # arrays of such images are refused too
            raise ValueError(f"{size[0]}x{size[1]} pixels, allowed are 2 and more each way: take it out")
        more, wide = _holds_more(image), is_wide(image)
        image.draft(None, (4 * px, 4 * px))  # a large JPEG is decoded at a fraction of its size, many times faster
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith(("I", "F")):
            deep = Image.fromarray(np.asarray(image, dtype=np.float32))
            values = np.asarray(deep.resize((px, px), Image.Resampling.BILINEAR))
            kind = "float" if image.mode.startswith("F") else "whole"
            if not np.isfinite(values).all():
                raise ValueError("NaN or infinity among its values")
            if not has_a_scale(values_of([values], kind=kind)):
                span = f"values from {values.min():g} to {values.max():g}, outside 0 to {FULL_SCALES[-1]:,}"
                raise ValueError(f"{span}: shift or scale them")
            return Decoded(values, size, kind, more)
        plain = _plain(image)
        looked_at = image.convert("RGB") if wide else plain  # what is transparent is white in the latter
        pixels = np.asarray(plain.resize((px, px), Image.Resampling.BILINEAR))
        dim = bool(pixels.max() <= 1)  # and so it may be in full
        top = int(np.max(looked_at.getextrema())) if wide or dim or known < LEAST_TOP[255] else 0
        faint, clear = dim and top == 1 and not wide, bool(pixels.min() == 255) and _is_clear(image)
        return Decoded(pixels, size, "byte", more, top, wide, faint, clear)


def _opened(content: bytes) -> Image.Image:
    """The picture in a file, not yet decoded; raises ValueError with what it is instead, as far as that is known."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(BytesIO(content), formats=readable_formats()[0])
    except UnidentifiedImageError:
        begin = content[:200].lstrip().lower()
        told = next((what for start, what in NO_PICTURES.items() if begin.startswith(start)), "")
        if told or not content:
            raise ValueError(told or "an empty file") from None
        raise


def opened_picture(image: Image.Image) -> npt.NDArray[np.generic]:
    """An image of Pillow as (h, w) or (h, w, 3), as its file would be read."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    return np.asarray(upright if upright.mode.startswith(("I", "F")) else _plain(upright))


@dataclass(frozen=True)
class Read:
    """One file as uint8 (px, px, channels).

    ``more`` is whether it holds further pictures; ``dark`` the largest value, where that is so small against the
    ``white`` of its kind in the set that it may be of another range, else 0; ``clear`` whether it is transparent all
    over.
    """

    pixels: Images
    more: bool
    dark: float
    white: int
    clear: bool


def read_picture(content: bytes, *, px: int, channels: int, white: int | None) -> Read:
    """One file as it would be in a set of pictures with that white; raises whatever Pillow raises."""
    from PIL import Image

    one = decode(content, px, known=0)
    values, dark, of = one.pixels, 0.0, 255
    if one.kind != "byte":
        if white is None:
            raise ValueError("more than 8 bits a pixel, and training had no such pictures")
        of, dark = white, float(values.max())
        values = _scaled_alike(values, Scale(white, one.kind))
    elif one.wide:
        of, dark = WIDEST, float(WIDE * one.top)
    elif one.top == 1:
        of, dark = (255, 1.0) if white != 1 else (1, 0.0)
        values = values * np.uint8(255 // of)
    if channels == 1 and values.ndim == 3:
        values = np.asarray(Image.fromarray(values).convert("L"))
    pixels: Images = np.atleast_3d(values)
    pixels = np.repeat(pixels, channels, axis=2) if pixels.shape[2] < channels else pixels
    return Read(pixels, one.more, dark if may_be_darker(dark, of) else 0.0, of, one.clear)


def _scaled_alike(values: Pixels, scale: Scale) -> Images:
    """Values of more than 8 bits as bytes by the scale of a set; those a little outside are clipped as they were there.

    Raises:
        ValueError: they have another scale by their look.
    """
    told, seen = f"0..{scale.white}, the range of the training pictures", values_of([values], kind=scale.kind)
    if scale.kind == "float" and 0 < max(-seen.low, seen.top) <= least_bright(scale.white):
        raise ValueError(f"values to {seen.top:.3g}, too small for {told}")
    try:
        check_alike(seen, scale, given="a picture")
    except UserError as problem:
        raise ValueError(f"values outside {told}") from problem
    found: Images = scale.to_bytes(values[None])[0]
    return found


def is_coloured(images: npt.NDArray[np.generic]) -> bool:
    """Whether the three channels of (n, ..., 3) differ anywhere."""
    return any(bool((image[..., :2] != image[..., 1:]).any()) for image in images)


def _holds_more(image: Image.Image) -> bool:
    """Whether a file holds further pictures, of which the first alone is read."""
    try:
        return image.format not in PREVIEWS and bool(getattr(image, "is_animated", False))
    except Exception:  # it looks for them, in bytes that may be broken
        return False


def _is_clear(image: Image.Image) -> bool:
    """Whether an image is transparent all over."""
    return image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() == (0, 0)


def _plain(image: Image.Image) -> Image.Image:
    """An image of 8 bits in grey or in red, green and blue, its transparent places white."""
    plain = _on_white(image) if image.has_transparency_data else image
    return plain.convert("L" if plain.mode in ("1", "L") else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    """An image with transparent places, laid on white."""
    from PIL import Image

    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
