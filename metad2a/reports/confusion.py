"""The confusion matrix of a classifier, as a table of numbers and as a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from databases.errors import in_a_line
from databases.records.csv_file import csv_text
from metad2a.reports.cell_svg import INK, MUTED, one_line
from metad2a.reports.figure import headline, new_figure
from metad2a.reports.pictures import draw_once
from metad2a.runtime.files import ours, write_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Counts = npt.NDArray[np.int64]
TABLE, PICTURE = "confusion.csv", "confusion.png"
CORNER = "true class"  # above the names of the rows
NUMBERED, NAMED, LETTERS = 30, 60, 22  # classes up to which counts, and names, are legible; letters of a name
POWER, DARK = 0.5, 0.3  # of shares, so that rare mistakes show too; the share from which a number is white
SIDE, BESIDE = 0.42, 2.8  # inches of a class, and of what stands beside the matrix


def write_confusion(confusion: Counts, names: Sequence[str], folder: Path) -> Path | None:
    """Writes `TABLE` and `PICTURE` into the folder, in the place of earlier ones; returns the path of the table.

    Where no image was tested there is neither, and None. ``confusion`` (classes, classes) counts images of each class,
    by row, by what they were taken for.

    Raises:
        UserError: the folder cannot be written.
    """
    if not confusion.sum():
        for name in {TABLE, PICTURE} & ours(folder):
            (folder / name).unlink()
        return None
    rows = [(CORNER, *names), *((name, *row) for name, row in zip(names, confusion.tolist(), strict=True))]
    text = csv_text(rows).encode(errors="backslashreplace")  # halves of characters, too, keep names apart
    write_results(folder, {TABLE: text})
    draw_once(lambda: confusion_figure(confusion, names), folder / PICTURE, of=hashlib.sha256(text).hexdigest())
    return folder / TABLE


def confusion_figure(confusion: Counts, names: Sequence[str]) -> Figure:
    """Shares of each class by what it was taken for, with the counts and the names where they are legible."""
    count = len(names)
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    side = max(2.4, SIDE * min(count, NUMBERED))
    figure = new_figure(side + BESIDE, side + BESIDE - 0.6)
    axes = figure.subplots()
    axes.imshow(shares**POWER, cmap="Blues", vmin=0, vmax=1)
    if count <= NUMBERED:
        for row, column in np.argwhere(confusion):
            colour = "white" if shares[row, column] > DARK else INK
            axes.text(column, row, f"{confusion[row, column]}", ha="center", va="center", fontsize=8, color=colour)
    written = [one_line(in_a_line(name), LETTERS) for name in names] if count <= NAMED else []
    size = 8.0 if count <= NUMBERED else 5.5
    axes.set_xticks(range(len(written)), written, rotation=90, fontsize=size)
    axes.set_yticks(range(len(written)), written, fontsize=size)
    axes.set_xlabel("taken for", color=MUTED)
    axes.set_ylabel("is", color=MUTED)
    axes.tick_params(colors=MUTED, length=0)
    axes.spines[:].set_visible(False)
    right, total = int(np.diag(confusion).sum()), int(confusion.sum())
    headline(figure, f"{right:,} of {total:,} test images are right", size=11)
    return figure
