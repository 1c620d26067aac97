"""Whether pictures can be read in the time there is, told early: nobody waits for what cannot end well."""

from __future__ import annotations

import math
import time

from databases.errors import UserError

LEAST_SEEN, LEAST_SECONDS = 20, 0.5  # pictures and seconds before the pace is known
DOUBT = 0.25  # how far the rest may be off the pace


class Pace:
    """How fast ``count`` pictures are read that must be there at the monotonic second ``deadline``.

    It is measured from the first check on: until then processes may start, which tells nothing of the pace.
    """

    def __init__(self, count: int, deadline: float = math.inf) -> None:
        self._count, self._deadline, self._begin = count, deadline, time.monotonic()
        self._first: tuple[float, int] | None = None

    def check(self, done: int, given: str) -> None:
        """Raises UserError as soon as it is clear that the pictures cannot be read in time."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        took, seen = now - self._first[0], done - self._first[1]
        if self._deadline == math.inf or seen < LEAST_SEEN or took < LEAST_SECONDS:
            return
        whole, rest = took * self._count / seen, took * (self._count - done) / seen
        late = now + rest - self._deadline
        if late > DOUBT * rest or now > self._deadline:
            more = math.ceil(1.1 * max(late, 1))
            raise UserError(
                f"given {given} with {self._count:,} pictures: reading alone takes about {math.ceil(whole)} s here, "
                f"and the budget leaves {max(0, math.floor(self._deadline - self._begin))} s for it beside the start, "
                f"ranking and training; give {more} s more, or fewer or smaller pictures"
            )
