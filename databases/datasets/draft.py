"""Decoding many pictures into a draft on the disk, by several processes; a killed one is gone on with.

What is done stands in a journal, of which nothing is written before the pixels are safely on the disk.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import BinaryIO, TypeAlias

import numpy as np

from databases.datasets.archives import Files
from databases.datasets.decoders import decode_all
from databases.datasets.decoding import MAX_PICTURE_BYTES, Deep, Found, why_unreadable
from databases.datasets.mapped import Mapped, new_file
from databases.datasets.pace import Pace
from databases.datasets.stored import Settled, Stored
from databases.datasets.task import Images
from databases.errors import UserError
from databases.files import write_files

RUN = 64  # pictures that a process decodes at once
SECONDS_BETWEEN_NOTES = 5.0  # in the journal

Progress: TypeAlias = Callable[[int, int], None]  # of so many done, of how many
Settle: TypeAlias = Callable[[Images, Deep, Sequence[Found]], Settled]


class Draft:
    """A draft of images (n, px, px, 3), new or begun by an earlier process; its set is locked by this one."""

    def __init__(self, stored: Stored, shape: tuple[int, int, int, int]) -> None:
        self._stored, self._shape = stored, shape
        self._known = self._begun()
        self._done = sum(each.stop - each.start for each in self._known)

    def decode(
        self,
        files: Files,
        names: Sequence[str],
        *,
        given: str,
        workers: int,
        deadline: float,
        on_progress: Progress,
    ) -> None:
        """Decodes what is not done yet; raises UserError where time is too short, and keeps what was done."""
        stored, seen, pace = self._stored, 0, Pace(len(names) - self._done, deadline)

        def read(place: int) -> bytes | str:
            nonlocal seen
            pace.check(seen, given)
            seen += 1
            try:
                return files.read(names[place], most=MAX_PICTURE_BYTES)
            except OSError as problem:
                return why_unreadable(problem)

        runs = _missing(self._known, len(names))
        with stored.draft.open("r+b") as pixels, stored.deep.open("r+b") as deep, stored.journal.open("ab") as journal:
            pending: list[Found] = []
            said = time.monotonic()
            try:
                for found in decode_all(
                    runs, read, pixels=stored.draft, deep=stored.deep, px=self._shape[1], workers=workers
                ):
                    pending += found
                    self._done += sum(each.stop - each.start for each in found)
                    on_progress(self._done, len(names))
                    if time.monotonic() - said > SECONDS_BETWEEN_NOTES:
                        self._note(pending, (pixels, deep), journal)
                        pending, said = [], time.monotonic()
            finally:
                self._note(pending, (pixels, deep), journal)

    def settle(self, settle: Settle) -> Settled:
        """Brings the images to their final form and their place; what ``settle`` refuses is taken away."""
        stored, shape = self._stored, self._shape
        pixels = np.memmap(stored.draft, np.uint8, "r+", shape=shape)
        deep = Mapped(stored.deep, shape[:3], np.float32)
        stored.journal.unlink()  # who is killed from here on begins anew
        try:
            settled = settle(pixels, deep, sorted(self._known, key=lambda each: each.start))
        except UserError:
            stored.drop_draft()
            raise
        pixels.flush()
        del pixels, deep
        stored.finish(settled)
        return settled

    def _begun(self) -> list[Found]:
        """What an earlier process has done; else a new draft, which takes its room at once."""
        stored, size = self._stored, math.prod(self._shape)
        there = all(path.is_file() for path in (stored.draft, stored.deep, stored.journal))
        known: list[Found] = []
        if there and stored.draft.stat().st_size == size:
            known = _read(stored.journal.read_bytes())
        else:
            new_file(stored.draft, size)
            with stored.deep.open("wb") as deep:
                deep.truncate(size // 3 * 4)  # nearly always without content, which takes no room
        write_files({stored.journal: _lines(known)})  # without a line that was cut
        return known

    def _note(self, found: list[Found], written: Sequence[BinaryIO], journal: BinaryIO) -> None:
        """Writes what is known of runs, after their pixels."""
        for file in (*written, journal):
            if file is journal:
                journal.write(_lines(found))
                journal.flush()
            os.fsync(file.fileno())
        self._known += found


def _missing(known: Sequence[Found], count: int) -> list[range]:
    """Runs of places among so many of which nothing is known."""
    todo = np.ones(count, dtype=np.bool_)
    for each in known:
        todo[each.start : each.stop] = False
    places = np.flatnonzero(todo)
    gaps = np.flatnonzero(np.diff(places) > 1) + 1
    found = []
    for part in np.split(places, gaps):
        found += [range(start, min(start + RUN, int(part[-1]) + 1)) for start in part[::RUN].tolist()]
    return found


def _lines(found: Sequence[Found]) -> bytes:
    """A line of JSON for each."""
    plain = (asdict(each) | {"sizes": [[*size, number] for size, number in each.sizes.items()]} for each in found)
    return b"".join(json.dumps(each).encode() + b"\n" for each in plain)


def _read(content: bytes) -> list[Found]:
    """What the lines tell, up to the first that is cut."""
    return list(_whole(content))


def _whole(content: bytes) -> Iterator[Found]:
    for line in content.splitlines():
        try:
            plain = json.loads(line)
            sizes = Counter({(width, height): number for width, height, number in plain.pop("sizes")})
            broken = {int(place): reason for place, reason in plain.pop("broken").items()}
            found = Found(**plain, sizes=sizes, broken=broken)
        except (ValueError, TypeError, KeyError):
            return
        yield found
