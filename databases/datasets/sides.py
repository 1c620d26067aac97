"""The resolution to read images at, where as many pixels are wanted as there are, up to some side."""

from __future__ import annotations

import statistics
from io import BytesIO

from databases.datasets.archives import Files
from databases.datasets.arrays import KEPT_RESOLUTIONS
from databases.datasets.file_kinds import ending_of, readable_formats
from databases.datasets.pictures import MAX_PICTURE_BYTES
from databases.datasets.task import MIN_RESOLUTION, PICTURE_RESOLUTION

SIDES = (32, 48, 64, 96, 128, 160, 224)
LOOKED_AT = 50  # pictures whose size tells that of all


def side_of(height: int, width: int, *, up_to: int) -> int:
    """A square's own side where it is small enough, else the largest of `SIDES` that neither side falls short of."""
    if height == width and MIN_RESOLUTION <= height <= up_to:
        return height
    return max((side for side in SIDES if side <= min(height, width, up_to)), default=PICTURE_RESOLUTION)


def picture_side(files: Files, *, up_to: int) -> int:
    """The side for pictures of a folder, by the median of some; what cannot be read does not count."""
    found = [min(size) for size in _sizes(files)]
    side = int(statistics.median(found)) if found else PICTURE_RESOLUTION
    return side_of(side, side + 1, up_to=up_to)


def kept_side(files: Files) -> int:
    """The side that pictures keep as arrays do: their own where some are squares of one small size, else the usual."""
    found = set(_sizes(files))
    width, height = found.pop() if len(found) == 1 else (0, 0)
    return width if width == height and width in KEPT_RESOLUTIONS else PICTURE_RESOLUTION


def _sizes(files: Files) -> list[tuple[int, int]]:
    """Width and height of some pictures, spread over the folder."""
    from PIL import Image

    formats, endings = readable_formats()
    names = [name for name in sorted(files.names) if ending_of(name) in endings]
    found = []
    for name in names[:: max(1, len(names) // LOOKED_AT)][:LOOKED_AT]:
        try:
            with Image.open(BytesIO(files.read(name, most=MAX_PICTURE_BYTES)), formats=formats) as image:
                found.append(image.size)
        except Exception:  # a decoder raises whatever broken bytes make it raise; `read_pictures` will tell
            continue
    return found
