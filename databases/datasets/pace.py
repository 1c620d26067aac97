"""Whether pictures can be read in the time there is, told early: nobody waits for what cannot end well."""

from __future__ import annotations

import math
import time

from databases.errors import UserError

LEAST_SEEN, LEAST_SECONDS = 20, 0.5  # pictures and seconds before the pace is known
DOUBT = 0.25  # how far the rest may be off the pace


class Pace:
    """How fast ``count`` pictures are read, from now on, that must be there at the monotonic second ``deadline``."""

    def __init__(self, count: int, deadline: float = math.inf) -> None:
        self._count, self._deadline, self._begin = count, deadline, time.monotonic()

    def check(self, done: int, given: str) -> None:
        """Raises UserError as soon as it is clear that the pictures cannot be read in time."""
        now = time.monotonic()
        took = now - self._begin
        if self._deadline == math.inf or done < LEAST_SEEN or took < LEAST_SECONDS:
            return
        whole = took * self._count / done
        late = self._begin + whole - self._deadline
        if late > DOUBT * (whole - took) or now > self._deadline:
            more = math.ceil(1.1 * max(late, 1))
            raise UserError(
                f"given {given} with {self._count:,} pictures: reading alone takes about {math.ceil(whole)} s here, "
                f"and the budget leaves {max(0, math.floor(self._deadline - self._begin))} s for it beside the start, "
                f"ranking and training; give {more} s more, or fewer or smaller pictures"
            )
