"""Room on the disk for pictures that are too many for memory: decoded once, mapped into memory, used again.

A set is named after all that decides it: the files' names, sizes and times of change, and the pixels. Decoding anew in
every epoch would cost nearly half as much again as training does (JPEGs of 256 pixels, networks of 32).
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from databases.datasets.archives import Files
from databases.datasets.decoders import usual_workers
from databases.datasets.draft import Draft, Progress, Settle
from databases.datasets.mapped import Mapped
from databases.datasets.stored import Settled, Stored
from databases.datasets.task import Images
from databases.errors import UserError

IN_MEMORY = 256 * 2**20  # bytes of decoded pictures that are held in memory, and not on the disk
MOST_WANTED = 16 * 2**30  # bytes that pictures take at the pixels that they have: more of them get fewer pixels
KEPT_FREE = 2**30  # bytes of the disk that are left to others
MOST_KEPT = 64 * 2**30  # bytes of all sets together, beyond which those not used for a day go
BETWEEN = 100  # files between two looks at the clock
A_DAY = 24 * 3600.0
VERSION = 1  # of how pictures become pixels


@dataclass(frozen=True)
class Room:
    """Where decoded pictures go that memory should not hold.

    Attributes:
        folder: made on demand. held: bytes of pictures that stay in memory. workers: processes; 0: one for each core.
    """

    folder: Path
    held: int = IN_MEMORY
    workers: int = 0

    def decoded(
        self,
        files: Files,
        names: Sequence[str],
        *,
        px: int,
        given: str,
        settle: Settle,
        deadline: float = math.inf,
        on_progress: Progress = lambda done, total: None,
    ) -> tuple[Images, Settled]:
        """The pictures of these names as images in a file: of an earlier call, or decoded now.

        ``settle`` brings images (n, px, px, 3) to their final form, in place.

        Raises:
            UserError: there is no room, time is short, or what ``settle`` raises.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        stored = Stored(self.folder / _key(files, names, px, given))
        with stored.locked(given, deadline):
            settled = stored.read()
            if settled is None:
                self._make_room(stored, len(names) * px * px * 3, f"given {given} with {len(names):,} pictures")
                draft = Draft(stored, (len(names), px, px, 3))
                workers = self.workers or usual_workers()
                draft.decode(files, names, given=given, workers=workers, deadline=deadline, on_progress=on_progress)
                settled = draft.settle(settle)
        return Mapped(stored.images, settled.shape), settled

    def _make_room(self, stored: Stored, needed: int, given: str) -> None:
        """Takes sets away that were not used for a day where a new one needs their room; refuses where none helps."""
        names = {path.name.partition(".")[0] for path in self.folder.iterdir()} - {stored.path.name}
        others = sorted((Stored(self.folder / name) for name in names), key=lambda each: each.used)
        for each in others:
            total = sum(other.size for other in others)
            short = self._free() + stored.size < needed + KEPT_FREE or total + needed > MOST_KEPT
            if short and time.time() - each.used > A_DAY:
                each.remove()
        free = self._free() + stored.size
        if free < needed + KEPT_FREE:
            raise UserError(
                f"{given}, which take {needed / 1e9:.1f} GB as pixels, with {free / 1e9:.1f} GB free in "
                f"{self.folder}; allowed is what leaves {KEPT_FREE / 1e9:.1f} GB; make room there, set METAD2A_HOME to "
                "a folder with room, or give fewer pictures"
            )

    def _free(self) -> int:
        return shutil.disk_usage(self.folder).free


def _key(files: Files, names: Sequence[str], px: int, given: str) -> str:
    """32 hex digits that name what decoding these files would give; raises UserError where time is short."""
    from PIL import __version__

    digest = hashlib.sha256(repr((VERSION, px, __version__)).encode())
    pace = files.clock.pace(len(names), "looking for changes of them")
    for number, name in enumerate(names):
        if not number % BETWEEN:
            pace.check(number, given)
        digest.update(f"{name}\0{files.mark(name)}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]
