"""Processes that decode pictures into a file: they get the bytes of a run of files, and answer what is known of them.

    python -m databases.datasets.decoders FILE DEEP PX

Files are read by the parent, one at a time, so that the limits of archives hold and little is in memory. A process ends
with its parent, however that ends. A picture that ends its process counts as unreadable, and the rest goes on.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import IO

import numpy as np

from databases.datasets.decoding import Found, decode_run
from databases.errors import UserError
from databases.hosting import own_process

MOST_WORKERS, MOST_DEATHS = 8, 50
LOST = (EOFError, OSError, pickle.UnpicklingError)  # what a process that died leaves
DIED = "its decoder broke down"
READY = b"."  # the first that a process answers

Read = Callable[[int], bytes | str]


def usual_workers() -> int:
    """One for each core that this process may use, within reason."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(MOST_WORKERS, there or 1))


def decode_all(
    runs: Sequence[range], read: Read, *, pixels: Path, deep: Path, px: int, workers: int
) -> Iterator[list[Found]]:
    """Decodes the files at these places by processes; yields what is known of each run when it is in the files.

    Args:
        runs: places, each run decoded at once.
        read: gives the content of the file at a place, or why it cannot be read; called by one thread at a time.
        pixels: a file for (n, px, px, 3) bytes, which has its size already.
        deep: one for (n, px, px) values of more than 8 bits.
        px: height and width.
        workers: how many processes.

    Raises:
        UserError: what ``read`` raises, or the files cannot be written.
    """
    fleet = _Fleet([sys.executable, "-m", __name__, str(pixels), str(deep), str(px)], read)
    pool = ThreadPoolExecutor(min(workers, max(1, len(runs))))
    try:
        for each in as_completed([pool.submit(fleet.decode, run) for run in runs]):
            yield each.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        fleet.end()
        pool.shutdown()


class _Fleet:
    """The processes, of which each thread that asks has one at a time."""

    def __init__(self, command: list[str], read: Read) -> None:
        self._command, self._read, self._reading, self._starting = command, read, Lock(), Lock()
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._all: list[subprocess.Popen[bytes]] = []
        self._ended, self._deaths = False, 0

    def decode(self, run: range) -> list[Found]:
        """One run; where its process dies each picture of it by itself, and then that one is known."""
        try:
            process = self._idle.get_nowait()
        except Empty:
            process = self._start()
        try:
            answer = self._ask(process, run)
        except LOST as problem:
            process.kill()
            self._deaths += 1
            if self._ended or self._deaths > MOST_DEATHS:
                raise UserError(
                    f"processes that decode pictures died {self._deaths} times, the last on picture {run.start + 1:,}: "
                    "free memory, or look for a broken installation (metad2a info)"
                ) from problem
            if len(run) > 1:
                return [found for place in run for found in self.decode(range(place, place + 1))]
            return [Found(run.start, run.stop, broken={run.start: DIED})]
        self._idle.put(process)
        if isinstance(answer, str):
            raise UserError(f"decoded pictures cannot be written ({answer}); make room for them there")
        return [answer]

    def end(self) -> None:
        """Ends all processes."""
        with self._starting:
            self._ended = True
        for process in self._all:
            process.kill()
        for process in self._all:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError, AttributeError):
                    pipe.close()  # type: ignore[union-attr]

    def _ask(self, process: subprocess.Popen[bytes], run: range) -> Found | str:
        assert process.stdin is not None and process.stdout is not None
        pickle.dump((run.start, len(run)), process.stdin)
        for place in run:
            with self._reading:
                content = self._read(place)
            pickle.dump(content, process.stdin)
        process.stdin.flush()
        answer: Found | str = pickle.load(process.stdout)  # of a process of ours
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._starting:
            if self._ended:
                raise UserError("decoding has ended")
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # an interruption by keyboard is the parent's business
            )
            self._all.append(process)
        assert process.stdout is not None
        process.stdout.read(len(READY))
        return process


def serve(given: IO[bytes], answers: IO[bytes], pixels: Path, deep: Path, px: int) -> None:
    """Decodes runs until there are no more; see `_Fleet._ask`."""
    with pixels.open("r+b") as pixel_file, deep.open("r+b") as deep_file:
        while True:
            try:
                start, count = pickle.load(given)
                rows = np.zeros((count, px, px, 3), dtype=np.uint8)
                deep_rows = np.zeros((count, px, px), dtype=np.float32)
                found: Found | str = decode_run((pickle.load(given) for _ in range(count)), start, rows, deep_rows)
            except (EOFError, pickle.UnpicklingError):  # the parent is done, or gone
                return
            assert isinstance(found, Found)
            try:
                pixel_file.seek(start * rows[0].nbytes)
                pixel_file.write(rows.data)
                pixel_file.flush()
                for place in found.deep:
                    deep_file.seek(place * deep_rows[0].nbytes)
                    deep_file.write(deep_rows[place - start].data)
                deep_file.flush()
            except OSError as problem:
                found = problem.strerror or str(problem)
            with suppress(BrokenPipeError):
                pickle.dump(found, answers)
                answers.flush()


def main(arguments: list[str]) -> int:
    """Serves the parent; see the head of this module."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a decoder prints must not become an answer
    answers.write(READY)
    answers.flush()
    serve(sys.stdin.buffer, answers, Path(arguments[0]), Path(arguments[1]), int(arguments[2]))
    return 0


if __name__ == "__main__":
    own_process()
    sys.exit(main(sys.argv[1:]))
