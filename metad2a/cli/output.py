"""What people and programs read: answers on stdout, progress on stderr."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from metad2a.cli.tables import FittedTable
from metad2a.reports.words import seen, span

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.progress import Progress, TaskID
    from rich.segment import Segment

SECONDS_BETWEEN_LINES = 15  # of progress, where no terminal shows it
WIDTH = 100  # of text that goes to a file or a pipe
NARROWEST = 60  # columns, below which tables would leave columns out


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; names of the user's are never taken for markup."""
    from rich.console import Console

    class Plain(Console):
        """Whatever a class or a file is called, it gives the terminal no orders."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for each in super().render(renderable, options):
                yield each if each.control else each._replace(text=seen(each.text))

    found = Plain(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = WIDTH
    found.width = max(found.width, NARROWEST)
    return found


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout; a number that is not finite becomes null."""
    from metad2a.reports.report import jsonable

    print(json.dumps(jsonable(value), indent=2, allow_nan=False))


def tell_written(names: Sequence[str], folder: Path) -> None:
    """Says on stderr which files were written; of many that are numbered the first and the last."""
    numbered = [name for name in names if re.search("-[0-9]+[.]", name)]
    told = numbered if len(numbered) < 3 else [f"{numbered[0]} to {numbered[-1]}"]
    others = [name for name in names if name not in numbered]
    console(stderr=True).print(f"Written to {folder}: {', '.join([*told, *others])}", soft_wrap=True)


def table(title: str | None, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> FittedTable:
    """A table of which nothing is cut; what a heading's first sign says of its column, `FittedTable` tells."""
    return FittedTable(title, headings, rows)


class Reporter:
    """Progress on stderr: lines that stay, and below them one moving line where a terminal shows it.

    Where none does, what is going on is a line of its own whenever nothing was said for long.
    """

    def __init__(self, progress: Progress, task: TaskID, text: str) -> None:
        self._progress, self._task = progress, task
        self._text, self._since = text, time.monotonic()
        self._said = self._since

    def line(self, text: str) -> None:
        """Prints a line that stays."""
        self._said = time.monotonic()
        self._progress.console.print(text, soft_wrap=True)

    def reading(self, done: int, total: int) -> None:
        """How many pictures are read, of how many."""
        self.now(f"Reading the images: {done:,} of {total:,} ...")

    def now(self, text: str, *, done: float | None = None, total: float | None = None) -> None:
        """Changes the moving line; ``done`` of ``total`` fills its bar."""
        self._text, self._since = text, time.monotonic()
        self._break_silence()
        if total is not None:
            self._progress.update(self._task, description=text, completed=done or 0, total=total)
        else:
            self._progress.update(self._task, description=text)

    def _break_silence(self) -> None:
        """Nobody sees the moving line of a pipe or a file, and silence looks like a standstill."""
        if self._progress.disable and time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            lasts = time.monotonic() - self._since
            self.line(self._text if lasts < SECONDS_BETWEEN_LINES else f"{self._text} {span(lasts)} so far")

    @contextmanager
    def heard(self) -> Iterator[None]:
        """While the block lasts silence is broken, though the block itself may say nothing."""
        ended = Event()

        def listen() -> None:
            while not ended.wait(min(1.0, SECONDS_BETWEEN_LINES)):
                self._break_silence()

        listening = Thread(target=listen, daemon=True)
        listening.start()
        try:
            yield
        finally:
            ended.set()
            listening.join()


@contextmanager
def reporting(text: str) -> Iterator[Reporter]:
    """Shows progress while the block lasts, and leaves only the lines behind."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    errors = console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        TimeElapsedColumn(),
    )
    hidden = not errors.is_terminal
    with Progress(*columns, console=errors, transient=True, disable=hidden, redirect_stdout=False) as progress:
        reporter = Reporter(progress, progress.add_task(text, total=None), text)
        with reporter.heard() if hidden else nullcontext():
            yield reporter
