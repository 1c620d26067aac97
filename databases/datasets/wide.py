"""Colours of 16 bits, of which Pillow reads the upper 8, as of values from 0 to 65,535: whether they are is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from databases.datasets.scale import FEW_WHOLE, LEAST_TOP
from databases.errors import UserError, count

if TYPE_CHECKING:
    from PIL import Image

WIDE, WIDEST = 257, 65_535  # a step of the upper 8 bits, and the value that is white
_known: WeakValueDictionary[int, Any] = WeakValueDictionary()  # wide ones by identity: once read they do not tell it


def is_wide(image: Image.Image) -> bool:
    """Whether a file that was opened holds colours of 16 bits, which Pillow makes 8: by how its parts are written."""
    tiles = getattr(image, "tile", ())  # nothing once it was read
    return not image.mode.startswith("I") and any(";16" in str(each) for each in tiles)


def wide_notes(tops: Sequence[int], plain: int, *, given: str, further: bool = False) -> list[str]:
    """How pictures of 16 bits a colour were taken, by the largest value of each, of ``plain`` in all.

    Of ``further`` ones, such as those to predict, the dark ones alone are told.

    Raises:
        UserError: many pictures, none of which is bright as of 0 to 65,535, but for further ones.
    """
    if not tops:
        return []
    of = f"{count(len(tops), 'picture')} of 16 bits a colour"
    most, dark = max(tops) // WIDE * 256 + 255, sum(top < LEAST_TOP[WIDEST] for top in tops)
    if dark == len(tops) >= FEW_WHOLE * plain and not further:
        raise UserError(
            f"given {given} with {of} and none of their values above {most:,}; allowed are 0 to "
            f"{WIDEST:,}, as which all would be nearly black; save them with 8 bits a colour, scaled to 0 to 255"
        )
    darkened = f"; {dark:,} of them with no value above {LEAST_TOP[WIDEST]:,.0f} will be dark" if dark else ""
    return [f"took {of} as 0 to {WIDEST:,}{darkened}"] if dark or not further else []


def wide_told(values: object, *, given: str, further: bool = False) -> list[str]:
    """The same of images of Pillow, in any list or array of such; nothing of all else. Raises as `wide_notes` does."""
    images = list(_images(values))
    tops = [WIDE * int(np.max(image.convert("RGB").getextrema())) for image in images if _was_wide(image)]
    return wide_notes(tops, len(images), given=given, further=further)


def _images(values: Any) -> Iterator[Image.Image]:
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return
    if isinstance(values, list | tuple | np.ndarray):
        yield from (each for each in values if hasattr(each, "getbands"))


def _was_wide(image: Image.Image) -> bool:
    """The same of an image that may have been read since: by us, or where its file is still there."""
    if is_wide(image) or _known.get(id(image)) is image:
        _known[id(image)] = image
        return True
    name = getattr(image, "filename", "")
    if getattr(image, "tile", ()) or not name:
        return False
    from PIL import Image

    try:
        with Image.open(name) as anew:
            return is_wide(anew)
    except Exception:  # the file may be another by now
        return False
