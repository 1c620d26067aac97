"""The files of one set of decoded pictures: its images and what is known of them, or a draft on the way there."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from databases.errors import UserError
from databases.files import replace_file, write_files


@dataclass(frozen=True)
class Settled:
    """What decoded pictures are in the end.

    Attributes:
        shape: of the images, without those that cannot be read. broken: why those cannot, by place.
        sizes: how many were (width, height). white, told: the white of pictures of more than 8 bits, and notes on it.
    """

    shape: tuple[int, int, int, int]
    broken: dict[int, str]
    sizes: Counter[tuple[int, int]]
    white: int | None
    told: tuple[str, ...]


class Stored:
    """A set by its path without an ending. Whole are ``images`` with ``facts``; the others are on the way there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        endings = ("pixels", "json", "draft", "deep", "journal", "lock")
        self.images, self.facts, self.draft, self.deep, self.journal, self._lock = (
            path.with_name(f"{path.name}.{ending}") for ending in endings
        )

    def read(self) -> Settled | None:
        """What is known of a whole set, which counts as used now; None where there is none."""
        try:
            plain = json.loads(self.facts.read_text(encoding="utf-8"))
            settled = Settled(
                tuple(plain["shape"]),
                {int(place): reason for place, reason in plain["broken"].items()},
                Counter({(width, height): number for width, height, number in plain["sizes"]}),
                plain["white"],
                tuple(plain["told"]),
            )
            whole = self.images.stat().st_size == math.prod(settled.shape)
            os.utime(self.facts)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return settled if whole else None

    def finish(self, settled: Settled) -> None:
        """Makes the draft, whose images have their final form, the set."""
        plain = asdict(settled) | {"sizes": [[*size, number] for size, number in settled.sizes.items()]}
        os.truncate(self.draft, math.prod(settled.shape))
        replace_file(self.draft, self.images)
        write_files({self.facts: json.dumps(plain).encode()})
        self.drop_draft()

    def drop_draft(self) -> None:
        """Takes away what is on the way."""
        for path in (self.journal, self.deep, self.draft):
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self, given: str, deadline: float) -> Iterator[None]:
        """One process at a time; another waits until the monotonic second ``deadline``, and then finds the set.

        Raises:
            UserError: the other is not done by then.
        """
        patience = -1 if deadline == math.inf else max(0.0, deadline - time.monotonic())
        lock = FileLock(self._lock, timeout=patience)
        try:
            lock.acquire()
        except Timeout:
            raise UserError(
                f"given {given}, whose pictures another process is decoding: wait for it, or give more time"
            ) from None
        try:
            yield
        finally:
            lock.release()

    @property
    def used(self) -> float:
        """When it was used last, in seconds since 1970."""
        return max((path.stat().st_mtime for path in self._there()), default=0.0)

    @property
    def size(self) -> int:
        """Bytes on the disk; a file of more than 8 bits a value is counted as empty, which it nearly always is."""
        return sum(path.stat().st_size for path in self._there() if path != self.deep)

    def remove(self) -> None:
        """Takes it away, unless a process works on it."""
        with suppress(Timeout, OSError), FileLock(self._lock, timeout=0):
            for path in self._there():
                path.unlink(missing_ok=True)

    def _there(self) -> list[Path]:
        return [path for path in self.path.parent.glob(f"{self.path.name}.*") if path != self._lock]
