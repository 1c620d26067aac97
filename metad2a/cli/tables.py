"""A table on the terminal: headings and texts fold, numbers never, and columns that do not fit stand below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from metad2a.reports.words import seen

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

GAP = 2  # places that a column takes beside its letters
FOLDED = 16  # letters of a word in a text column, above which it may be folded too


class FittedTable:
    """A table without frames, as wide as the console allows; nothing in it is cut.

    A heading that begins with ``>`` aligns its column to the right, and its cells are never folded; nor are those of
    one that begins with ``=``, since they are copied. Where the columns do not fit side by side, even folded, they
    are told in several tables, each with the first column.
    """

    def __init__(self, title: str | None, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        self.title, self.headings = title, headings
        cells = [[seen(cell) for cell in row] for row in rows]
        self.columns = [[row[i] for row in cells] for i in range(len(headings))]

    def fits(self, room: int) -> bool:
        """Whether all columns fit side by side."""
        return len([*self._parts(room)]) == 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """The parts, one below the other."""
        for number, part in enumerate(self._parts(options.max_width)):
            yield self._table(part, options.max_width, title=None if number else self.title)

    def _parts(self, room: int) -> Iterator[list[int]]:
        """Numbers of the columns of each part."""
        part: list[int] = []
        for column in range(len(self.columns)):
            if len(part) > 1 and self._least([*part, column]) > room:
                yield part
                part = part[:1]
            part.append(column)
        yield part

    def _least(self, part: Sequence[int]) -> int:
        return sum(self._bounds(each)[0] + GAP for each in part)

    def _bounds(self, column: int) -> tuple[int, int]:
        """Fewest and most letters a line that a column asks for."""
        heading, cells = self.headings[column], self.columns[column]
        whole = heading.startswith((">", "="))
        words = _words(heading).split()
        least = max(map(_wide, words), default=0)
        if whole:
            least = max(least, *map(_wide, cells), 1)
        else:
            least = max(least, *(min(_wide(word), FOLDED) for each in cells for word in each.split()), 1)
        return least, max(least, *map(_wide, [_words(heading), *cells]))

    def _table(self, part: Sequence[int], room: int, *, title: str | None) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        made.padding, made.pad_edge, made.show_header = (0, 1, 0, 0), False, any(self.headings)
        widths = _shrunk([self._bounds(each) for each in part], room - GAP * len(part))
        for column, width in zip(part, widths, strict=True):
            heading = self.headings[column]
            number = heading.startswith(">")
            made.add_column(_words(heading), justify="right" if number else "left", width=width, overflow="fold")
        for row in zip(*(self.columns[each] for each in part), strict=True):
            made.add_row(*map(Text, row))
        return made


def _shrunk(bounds: Sequence[tuple[int, int]], room: int) -> list[int]:
    """Widths between least and most that fit into the room, the widest shrunk first; the least where none do."""
    widths = [most for _, most in bounds]
    while sum(widths) > room:
        free = [i for i, (least, _) in enumerate(bounds) if widths[i] > least]
        if not free:
            break
        widths[max(free, key=lambda i: widths[i])] -= 1
    return [min(each, max(room, 1)) for each in widths]


def _words(heading: str) -> str:
    """A heading without the sign that tells of its column."""
    return heading[1:] if heading.startswith((">", "=")) else heading


def _wide(text: str) -> int:
    """Places that the widest line of a text takes."""
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)
