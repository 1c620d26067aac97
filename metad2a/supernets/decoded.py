"""Pictures for pretraining as one array on disk, decoded once by all processes, and what is odd about them."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from databases.errors import UserError
from databases.files import replace_file
from metad2a.runtime.lock import hold
from metad2a.train.together import Together

FRAMES, WIDE, FAINT, CLEAR = 1, 2, 4, 8  # of a picture, beside its largest value


def decoded(
    content: Callable[[int], bytes],
    names: Sequence[str],
    side: int | None,
    path: Path,
    processes: Together,
    *,
    given: str,
) -> tuple[np.ndarray, list[str]]:
    """All images (n, h, w, 3) as one array on disk, written as a whole or not at all; and notes on what is odd.

    Each process decodes its share. Another command that decodes meanwhile is waited for, and its array used.

    Args:
        content: gives the file of an image by its place.
        names: of the images.
        side: height and width in pixels; None: as they are stored, which nobody asks about.
        path: of the array.
        processes: this one among others.
        given: what the user called the data, for errors.

    Raises:
        UserError: an image cannot be read, many are dark as of 16 bits a colour, or there is no room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = hold(path.parent / "decoding.lock", patience=math.inf) if processes.first else None
    try:
        processes.wait()
        if not path.is_file() or (side is not None and not _looks(path).is_file()):
            _decode_all(content, names, side, path, processes)
        processes.wait()
    finally:
        if lock is not None:
            lock.release()
    found: np.ndarray = np.load(path, mmap_mode="r")
    return found, [] if side is None else _notes(np.load(_looks(path)), given)


def _looks(path: Path) -> Path:
    """The array (n, 2) of what is odd about each image of an array, and its largest value."""
    return path.with_suffix(".looks.npy")


def _notes(looks: np.ndarray, given: str) -> list[str]:
    from databases.datasets.decoding import Found
    from databases.datasets.settling import plain_notes

    odd, top = looks.T
    frames, faint, clear = (int(((odd & kind) > 0).sum()) for kind in (FRAMES, FAINT, CLEAR))
    wide = (odd & WIDE) > 0
    found = Found(0, len(looks), frames=frames, faint=faint, clear=clear, wide=(257 * top[wide].astype(int)).tolist())
    found.top = int(top[~wide].max(initial=0))
    return plain_notes([found], given, len(looks), faint=False)


def _decode_all(
    content: Callable[[int], bytes], names: Sequence[str], side: int | None, path: Path, processes: Together
) -> None:
    partial = path.with_name(f".decoding-{path.name}")
    first = _picture(content(0), side, names[0])[0].shape
    if processes.first:
        _check_room(path.parent, len(names) * int(np.prod(first)))
        np.lib.format.open_memmap(partial, "w+", np.uint8, (len(names), *first)).flush()
        np.lib.format.open_memmap(_looks(partial), "w+", np.uint8, (len(names), 2)).flush()
    processes.wait()
    made, looks = (np.load(each, mmap_mode="r+") for each in (partial, _looks(partial)))
    for number in range(processes.number, len(names), processes.size):
        picture, *looks[number] = _picture(content(number), side, names[number])
        if picture.shape != first:
            raise UserError(
                f"image {names[number]} has the shape {picture.shape}, the first one {first}; allowed is one shape"
            )
        made[number] = picture
    made.flush()
    looks.flush()
    processes.wait()
    if processes.first:
        replace_file(partial, path)
        if side is None:
            _looks(partial).unlink()
        else:
            replace_file(_looks(partial), _looks(path))


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"the decoded images need {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} are free; "
            "set METAD2A_HOME to a folder with room or give fewer pixels"
        )


def _picture(content: bytes, side: int | None, name: str) -> tuple[np.ndarray, int, int]:
    """(h, w, 3) uint8, squeezed to a square of that side, None: as it is stored; what is odd, and the largest value."""
    from databases.datasets.decoding import decode, opened_picture, why_unreadable

    odd = top = 0
    try:
        if side is None:
            from PIL import Image

            with Image.open(io.BytesIO(content)) as image:
                values = opened_picture(image)
        else:
            one = decode(content, side, known=0)
            values, top = one.pixels, one.top
            odd = FRAMES * one.more + WIDE * one.wide + FAINT * one.faint + CLEAR * one.clear
    except Exception as problem:  # a decoder raises whatever broken bytes make it raise
        raise UserError(f"image {name} cannot be read ({why_unreadable(problem)}): mend it or leave it out") from None
    if values.dtype != np.uint8:
        raise UserError(f"image {name} has more than 8 bits a pixel; allowed are pictures of 8: save it with 8")
    return np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values, odd, top
