"""Width and depth against accuracy over all of NAS-Bench-201, and the shapes of the cells that searchers find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from databases.architectures.space import Architecture, finite_space
from databases.errors import Say
from databases.records.benchmark_table import BenchmarkTable
from metad2a.compare.comparison import Entry, incumbents, search_table
from metad2a.reports.report import paired
from predictors.metrics import bounds

Values = npt.NDArray[np.float64]
SPACE = "nasbench201"
DRAWS = 2000  # of the bootstrap
RANDOM, CONTROL = "random search", "evolution, told shuffled values (control)"
ENTRIES = (
    Entry(RANDOM, "random"),
    Entry("evolution", "evolution"),
    Entry("reinforce", "reinforce"),
    Entry("multinomial", "multinomial"),
    Entry(CONTROL, "evolution", shuffled=True),
)


@dataclass(frozen=True, eq=False)
class Cells:
    """Every network of the space once.

    Attributes:
        architectures: n cells without dead edges. width, depth: (n,). groups: (n,) the number of the cell's set of
            operations: cells of one group differ in their connections alone.
    """

    architectures: tuple[Architecture, ...]
    width: Values
    depth: Values
    groups: npt.NDArray[np.int64]

    def within(self, values: Values) -> Values:
        """Ranks (n,) less their group's mean."""
        ranks = rankdata(values)
        return np.asarray(ranks - (np.bincount(self.groups, ranks) / np.bincount(self.groups))[self.groups])


def every_cell() -> Cells:
    """The live parts of every class."""
    space = finite_space(SPACE)
    cells = tuple(dict.fromkeys(each for each in map(space.live, space.classes) if each is not None))
    shapes = [shape for shape in map(space.shape, cells) if shape is not None]
    numbers: dict[tuple[int, ...], int] = {}
    groups = [numbers.setdefault(operations(each), len(numbers)) for each in cells]
    width, depth = (
        np.array(each, dtype=np.float64) for each in zip(*((s.width, s.depth) for s in shapes), strict=True)
    )
    return Cells(cells, width, depth, np.array(groups))


def operations(cell: Architecture) -> tuple[int, ...]:
    """The operations of its edges but zeros, in whatever places."""
    return tuple(sorted(each for each in cell.walk if each))


@dataclass(frozen=True, eq=False)
class Correlation:
    """Rank correlation at fixed operations: ``draws`` (DRAWS,) are those of groups drawn with replacement."""

    value: float
    draws: Values

    def figures(self) -> dict[str, float]:
        """The value with its 95% interval."""
        low, high = bounds(self.draws)
        return {"mean": self.value, "low": low, "high": high}

    def less(self, other: Correlation) -> dict[str, float]:
        """How much smaller the other is, with its 95% interval over the same draws."""
        return Correlation(self.value - other.value, self.draws - other.draws).figures()


def correlation(shape: Values, accuracy: Values, cells: Cells, *, seed: int = 0) -> Correlation:
    """Of width or depth and accuracy, (n,) each, among cells of the same operations."""
    x, y = cells.within(shape), cells.within(accuracy)
    sums = np.stack([np.bincount(cells.groups, each) for each in (x * y, x * x, y * y)])  # (3, groups)
    drawn = np.random.default_rng(seed).integers(sums.shape[1], size=(DRAWS, sums.shape[1]))
    xy, xx, yy = sums[:, drawn].sum(axis=2)
    total = sums.sum(axis=1)
    return Correlation(float(total[0] / np.sqrt(total[1] * total[2])), xy / np.sqrt(xx * yy))


def by_width(accuracy: Values, cells: Cells) -> tuple[Values, Values, Values]:
    """(widths,) each: width, mean percentile among cells of the same operations, and half of its 95% interval."""
    share = 100 * (0.5 + cells.within(accuracy) / len(accuracy))
    widths = np.unique(cells.width)
    of = [share[cells.width == each] for each in widths]
    half = [1.96 * each.std() / np.sqrt(len(each)) for each in of]
    return widths, np.array([each.mean() for each in of]), np.array(half)


@dataclass(frozen=True, eq=False)
class FoundShapes:
    """Width and depth of the cell that each seed's search took, (seeds,) each; 0 of a cell without a path.

    ``of_its_kind`` is the mean width of all cells with the same operations.
    """

    width: Values
    depth: Values
    of_its_kind: Values


def found(
    table: BenchmarkTable, cells: Cells, *, seeds: Sequence[int], trials: int, workers: int, say: Say
) -> dict[str, FoundShapes]:
    """Searcher -> the shapes of what it takes by validation."""
    searched = search_table(table, ENTRIES, seeds=seeds, trials=trials, workers=workers, say=say)
    last = {label: incumbents(table, each.rows)[:, -1] for label, each in searched.items()}
    return {label: shapes_of([table.architectures[row] for row in rows], cells) for label, rows in last.items()}


def shapes_of(found: Sequence[Architecture], cells: Cells) -> FoundShapes:
    """Of the cells that were found, one a seed."""
    space, place = finite_space(SPACE), {each: i for i, each in enumerate(cells.architectures)}
    mean = np.bincount(cells.groups, cells.width) / np.bincount(cells.groups)
    lives = [space.live(each) for each in found]
    rows = [-1 if each is None else place[each] for each in lives]  # the last: without a path
    values = (np.append(each, 0.0)[rows] for each in (cells.width, cells.depth, mean[cells.groups]))
    width, depth, kind = (each.round(9) for each in values)  # of one kind with one width no cell is wider by a rounding
    return FoundShapes(width, depth, kind)


def wider(shapes: Mapping[str, FoundShapes], than: float | None = None) -> dict[str, dict[str, float]]:
    """How much wider each searcher's cells are than that, or than those of their operations; over seeds [95%]."""
    return {
        label: paired(each.width, each.of_its_kind if than is None else np.full_like(each.width, than))
        for label, each in shapes.items()
    }
