"""Whether pictures can be read in the time there is, told early: nobody waits for what cannot end well."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from databases.errors import UserError

LEAST_SEEN, LEAST_SECONDS = 20, 0.5  # pictures and seconds before the pace is known
DOUBT = 0.25  # how far the rest may be off the pace
LISTING, PATIENCE = 8.0, 2.0  # seconds for listing, and for all else before reading: that tells better what is missing


@dataclass(frozen=True)
class Clock:
    """The monotonic second by which files must be read, and that in which they began to be listed."""

    deadline: float = math.inf
    begun: float = field(default_factory=lambda: time.monotonic())

    def check(self, files: int, given: str) -> None:
        """Raises UserError where no time is left to read so many files once they are listed and sorted."""
        now = time.monotonic()
        if now > max(self.deadline, self.begun + LISTING):
            raise UserError(
                f"given {given} with {files:,} files or more: listing and sorting them took {now - self.begun:.0f} s "
                "so far, and the budget leaves no time to read them; give more time, or fewer files"
            )

    def pace(self, count: int, doing: str) -> Pace:
        """The pace of something that comes before so many pictures are read."""
        return Pace(count, max(self.deadline, time.monotonic() + PATIENCE), doing)


class Pace:
    """How fast ``count`` pictures are read, or what else is done, by the monotonic second ``deadline``.

    It is measured from the first check on: until then processes may start, which tells nothing of the pace.
    """

    def __init__(self, count: int, deadline: float = math.inf, doing: str = "reading") -> None:
        self._count, self._deadline, self._begin, self._doing = count, deadline, time.monotonic(), doing
        self._first: tuple[float, int] | None = None

    def check(self, done: int, given: str) -> None:
        """Raises UserError as soon as it is clear that it cannot be done in time."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        took, seen = now - self._first[0], done - self._first[1]
        if self._deadline == math.inf or seen < LEAST_SEEN or took < LEAST_SECONDS:
            return
        whole, rest = took * self._count / seen, took * (self._count - done) / seen
        late = now + rest - self._deadline
        if late > DOUBT * rest or now > self._deadline:
            more = math.ceil(1.1 * max(late, 1))
            left = max(0, math.floor(self._deadline - self._begin))
            raise UserError(
                f"given {given} with {self._count:,} pictures: {self._doing} alone takes about {math.ceil(whole)} s "
                f"here, and the budget leaves {left} s for it beside the start, ranking and training; give {more} s "
                "more, or fewer or smaller pictures"
            )
