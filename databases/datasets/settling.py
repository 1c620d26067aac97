"""How decoded pictures get their final form: a scale for those of more than 8 bits, one channel where all are grey."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from databases.datasets.decoding import Deep, Found
from databases.datasets.file_kinds import MOST_UNREAD
from databases.datasets.mapped import let_go
from databases.datasets.names import some
from databases.datasets.scale import CHUNK, Scale, dark_notes, faint_notes, find_scale
from databases.datasets.stored import Settled
from databases.datasets.task import Images
from databases.datasets.values import values_of
from databases.datasets.wide import wide_notes
from databases.errors import UserError, count


@dataclass(frozen=True)
class Settling:
    """Brings decoded pictures of these names to their final form, in place; see `draft.Settle`."""

    names: Sequence[str]
    given: str
    px: int

    def __call__(self, pixels: Images, deep: Deep, found: Sequence[Found]) -> Settled:
        """Leaves those out that cannot be read, scales those of more than 8 bits, and keeps one channel of grey ones.

        Raises:
            UserError: more than a tenth cannot be read, or no scale fits.
        """
        broken = {place: reason for each in found for place, reason in each.broken.items()}
        if len(broken) * MOST_UNREAD > len(self.names):
            raise UserError(
                f"given {self.given} with {len(self.names):,} pictures, of which {len(broken):,} cannot be read: "
                f"{broken_names(broken, self.names)}; allowed is a tenth of them; repair or remove them"
            )
        places = np.array([place for each in found for place in each.deep], dtype=np.intp)
        plain = len(self.names) - len(broken) - len(places)
        scale, told = self._scale(deep, places, floats=any(each.floats for each in found))
        told = [f"{note} ({count(len(places), 'picture')} of more than 8 bits)" for note in told] if plain else told
        wide = any(each.wide for each in found)
        faint = bool(plain) and not wide and max(each.top for each in found) == 1
        faint = faint and (scale is None or scale.white == 1)
        told += plain_notes(found, self.given, plain, faint=faint)
        channels = 3 if any(each.coloured for each in found) else 1
        kept = np.delete(np.arange(len(self.names)), list(broken))
        if len(places) or broken or channels == 1 or faint:
            _rewrite(pixels, kept, channels, deep, set(places.tolist()), scale, faint=faint)
        sizes = sum((each.sizes for each in found), Counter[tuple[int, int]]())
        white = scale.white if scale and scale.darkest else 1 if faint else None  # none but black ones tell no white
        return Settled((len(kept), self.px, self.px, channels), broken, sizes, white, tuple(told))

    def _scale(self, deep: Deep, places: npt.NDArray[np.intp], *, floats: bool) -> tuple[Scale | None, list[str]]:
        """How values of more than 8 bits become 0 to 255, None where there are none; and notes."""
        if not len(places):
            return None, []
        values = values_of(_At(deep, places), kind="float" if floats else "whole")
        return find_scale(values, given=f"{self.given} with pictures of more than 8 bits")


class _At(Sequence[Deep]):
    """Arrays at some places, taken one at a time."""

    def __init__(self, arrays: Deep, places: npt.NDArray[np.intp]) -> None:
        self._arrays, self._places = arrays, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Deep: ...

    @overload
    def __getitem__(self, index: slice) -> _At: ...

    def __getitem__(self, index: int | slice) -> Deep | _At:
        if isinstance(index, slice):
            return _At(self._arrays, self._places[index])
        found: Deep = self._arrays[self._places[index]]
        return found


def _rewrite(
    pixels: Images,
    kept: npt.NDArray[np.intp],
    channels: int,
    deep: Deep,
    scaled: set[int],
    scale: Scale | None,
    *,
    faint: bool,
) -> None:
    """Writes the kept pictures one after the other to the front of where they are: never over one yet to be read.

    Where all of 8 bits are ``faint``, 0 and 1 alone, 1 becomes white.
    """
    front, size = pixels.reshape(-1), math.prod(pixels.shape[1:3]) * channels
    for start in range(0, len(kept), CHUNK):
        places = kept[start : start + CHUNK]
        block = np.asarray(pixels[places]) * np.uint8(255 if faint else 1)
        for row in [row for row, place in enumerate(places.tolist()) if place in scaled]:
            assert scale is not None
            block[row] = scale.to_bytes(deep[places[row : row + 1]])[0][..., None]
        front[start * size : start * size + len(places) * size] = block[..., :channels].reshape(-1)
        let_go(pixels)


def plain_notes(found: Sequence[Found], given: str, plain: int, *, faint: bool) -> list[str]:
    """What is odd about the ``plain`` files, those of 8 bits: all are dark, or further pictures are left out.

    Raises:
        UserError: many pictures of 16 bits a colour, none of which is bright as of 0 to 65,535.
    """
    top, frames = max((each.top for each in found), default=0), sum(each.frames for each in found)
    told = wide_notes([each for one in found for each in one.wide], plain, given=given)
    if faint:
        told.append(f"scaled values of 0 to 1 to 0 to 255 ({count(plain, 'picture')} of 8 bits)")
    elif plain and top:
        beside = top > 1 or any(each.wide for each in found)
        told += [] if top == 1 and beside else dark_notes(top)
        told += faint_notes(sum(each.faint for each in found), "picture") if beside else []
    if clear := sum(each.clear for each in found):
        verb = "is" if clear == 1 else "are"
        told.append(f"{count(clear, 'picture')} {verb} transparent all over, and so white: save them without that")
    if frames:
        told = [*told, f"took the first of several pictures in {count(frames, 'file')} (frames, or pages)"]
    return told


def broken_names(broken: dict[int, str], names: Sequence[str]) -> str:
    """Some of the pictures that cannot be read, each with the reason."""
    return some(f"{names[place]} ({reason})" for place, reason in broken.items())
