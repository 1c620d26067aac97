"""The resolution to read images at, where as many pixels are wanted as there are, up to some side."""

from __future__ import annotations

import statistics
import warnings
from io import BytesIO

import numpy.typing as npt

from databases.datasets.archives import Files
from databases.datasets.arrays import KEPT_RESOLUTIONS
from databases.datasets.decoding import MAX_PICTURE_BYTES
from databases.datasets.file_kinds import ending_of, readable_formats
from databases.datasets.task import MIN_RESOLUTION, PICTURE_RESOLUTION

SIDES = (32, 48, 64, 96, 128, 160, 224)
LOOKED_AT = 50  # pictures whose size tells that of all


def side_of(height: int, width: int, *, up_to: int) -> int:
    """A square's own side where it is small enough, else the largest of `SIDES` that neither side falls short of."""
    if height == width and MIN_RESOLUTION <= height <= up_to:
        return height
    return max((side for side in SIDES if side <= min(height, width, up_to)), default=PICTURE_RESOLUTION)


def array_side(images: npt.ArrayLike, up_to: int | None) -> int | None:
    """The side for images (n, h, w), (n, h, w, c) or (n, c, h, w); None where the usual rule is asked for."""
    shape = getattr(images, "shape", ())
    if up_to is None or len(shape) not in (3, 4):
        return None
    width, height = sorted(shape[1:])[-2:]  # channels are few
    return side_of(height, width, up_to=up_to)


def picture_side(files: Files, *, up_to: int, most_bytes: int | None = None) -> tuple[int, list[str]]:
    """The side for pictures of a folder, by some of them; what cannot be read does not count.

    It is that of arrays where all are squares of one size, else the usual one by their median. A smaller side, and a
    note on it, where all would take more than ``most_bytes`` at theirs.
    """
    sizes, count = _sizes(files), len(_pictures(files))
    side = int(statistics.median(map(min, sizes))) if sizes else PICTURE_RESOLUTION
    square = set(sizes) == {(side, side)}
    wanted = px = side_of(side, side if square else side + 1, up_to=up_to)
    while most_bytes is not None and _size(count, px) > most_bytes and px > SIDES[0]:
        px = side_of(px - 1, px, up_to=px - 1)
    if px == wanted:
        return px, []
    return px, [
        f"read at {px}x{px} pixels: at {wanted}x{wanted} all {count:,} pictures would take "
        f"{_size(count, wanted) / 1e9:.0f} GB"
    ]


def kept_side(files: Files) -> int:
    """The side that pictures keep as arrays do: their own where some are squares of one small size, else the usual."""
    found = set(_sizes(files))
    width, height = found.pop() if len(found) == 1 else (0, 0)
    return width if width == height and width in KEPT_RESOLUTIONS else PICTURE_RESOLUTION


def _size(pictures: int, px: int) -> int:
    """Bytes of coloured pictures."""
    return 3 * pictures * px * px


def _sizes(files: Files) -> list[tuple[int, int]]:
    """Width and height of some pictures, spread over the folder."""
    from PIL import Image

    names, found = _pictures(files), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of oddities, as in `decoding`
        for name in names[:: max(1, len(names) // LOOKED_AT)][:LOOKED_AT]:
            try:
                content = BytesIO(files.read(name, most=MAX_PICTURE_BYTES))
                with Image.open(content, formats=readable_formats()[0]) as image:
                    found.append(image.size)
            except Exception:  # a decoder raises whatever broken bytes make it raise; `read_pictures` will tell
                continue
    return found


def _pictures(files: Files) -> list[str]:
    """The names of what may be a picture, in order."""
    endings = readable_formats()[1]
    return [name for name in sorted(files.names) if ending_of(name) in endings]
