"""How often one client may upload."""

from __future__ import annotations

import time
from collections import OrderedDict

from metad2a.service.problems import Problem


class Rate:
    """At most ``most`` requests of one client a minute."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, client: str) -> None:
        """429 for a client that is too fast."""
        now = time.monotonic()
        recent = [each for each in self._seen.pop(client, []) if now - each < 60]
        self._seen[client] = recent
        while len(self._seen) > 10_000:
            self._seen.popitem(last=False)
        if len(recent) >= self._most:
            wait = str(max(1, round(60 - (now - recent[0]))))
            raise Problem(429, f"too many uploads: at most {self._most} a minute, wait {wait} s", {"Retry-After": wait})
        recent.append(now)
