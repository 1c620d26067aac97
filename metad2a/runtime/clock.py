"""How long calls take, the slow hours of the machine shared alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

WARM_UP = 5  # calls of each that are not counted


def seconds_in_turn(
    calls: Sequence[Callable[[], object]],
    *,
    repeats: int,
    before: int = WARM_UP,
    on: str = "cpu",
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """Median seconds of each of some calls, made in turn: what slows the machine for a while slows all alike.

    On the CPU it is the time that this thread's processor spends, where its clock is fine enough: others' work does not
    count. The first ``before`` of each are not counted; ``on`` is torch's name of the device that computes.
    """
    fine = time.get_clock_info("thread_time").resolution < 1e-5
    clock, rounds = time.thread_time if on == "cpu" and fine else time.perf_counter, list[list[float]]()
    for done in range(before + repeats):
        rounds.append([_seconds(call, clock) for call in calls])
        on_progress(max(0, done + 1 - before))
    return [median(times) for times in zip(*rounds[before:], strict=True)]


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    call()
    return clock() - begin
