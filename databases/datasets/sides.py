"""The resolution to read images at, where as many pixels are wanted as there are, up to some side."""

from __future__ import annotations

import statistics
from io import BytesIO

from databases.datasets.archives import Files
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


def picture_side(files: Files, *, up_to: int, most_bytes: int | None = None) -> tuple[int, list[str]]:
    """The side for pictures of a folder, by the median of some; what cannot be read does not count.

    A smaller side, and a note on it, where all would take more than ``most_bytes`` at theirs.
    """
    from PIL import Image

    formats, endings = readable_formats()
    names = [name for name in sorted(files.names) if ending_of(name) in endings]
    found = []
    for name in names[:: max(1, len(names) // LOOKED_AT)][:LOOKED_AT]:
        try:
            with Image.open(BytesIO(files.read(name, most=MAX_PICTURE_BYTES)), formats=formats) as image:
                found.append(min(image.size))
        except Exception:  # a decoder raises whatever broken bytes make it raise; `read_pictures` will tell
            continue
    side = int(statistics.median(found)) if found else PICTURE_RESOLUTION
    wanted = px = side_of(side, side + 1, up_to=up_to)
    while most_bytes is not None and _size(len(names), px) > most_bytes and px > SIDES[0]:
        px = side_of(px - 1, px, up_to=px - 1)
    if px == wanted:
        return px, []
    return px, [
        f"read at {px}x{px} pixels: at {wanted}x{wanted} all {len(names):,} pictures would take "
        f"{_size(len(names), wanted) / 1e9:.0f} GB"
    ]


def _size(pictures: int, px: int) -> int:
    """Bytes of coloured pictures."""
    return 3 * pictures * px * px
