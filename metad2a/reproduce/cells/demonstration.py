"""Why found cells look as they do: wide and shallow cells learn faster, so that short trainings favour them.

On NAS-Bench-201's tables, on small trainings of cells that differ in their connections alone, and on what searches in
the tables find. What ENAS, MDENAS and LPT find on shared weights, their own reports tell in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from databases.architectures.cell_shape import CellShape
from databases.datasets.loading import load_task
from databases.records.benchmark_table import BenchmarkTable
from metad2a.reports.report import (
    MEAN,
    MEDIAN,
    Curve,
    Panel,
    Report,
    Table,
    Verdict,
    band,
    judged,
    not_refuted,
    with_interval,
)
from metad2a.reproduce.cells.found_cells import Gains, table_of, verdicts_of
from metad2a.reproduce.cells.known import PUBLISHED
from metad2a.reproduce.cells.landscapes import POINTS, REACH, Job, Landscape, by_cell, measured, rewired
from metad2a.reproduce.cells.table import (
    CONTROL,
    ENTRIES,
    Cells,
    Correlation,
    FoundShapes,
    by_width,
    correlation,
    every_cell,
    found,
    wider,
)
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.nasnet.transferred_cells import fewer
from predictors.metrics import Interval, tau_interval

Values = npt.NDArray[np.float64]
SOURCE = "Shu, Wang, Cai, ICLR 2020"
RECIPES = {"12 epochs": "nasbench201-12ep", "200 epochs": "nasbench201"}
SHORT, LONG = RECIPES
SHUFFLED = "width of random other cells (control)"
LOSS, ROUGHNESS, VARIANCE, TEST = "training loss", "roughness", "gradient variance", "test accuracy"
BELOW = "interval below 0"
FINDERS = tuple(each.label for each in ENTRIES if each.label != CONTROL)
SHOWN = ("narrowest", "middle", "widest")


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        datasets: of NAS-Bench-201. seeds, trials: of the searches in its table. cells, trainings: whose landscapes are
            looked at, and trainings of each. directions: lines through each trained network. images: to train with.
    """

    datasets: tuple[str, ...] = ("cifar10", "cifar100", "imagenet16-120")
    seeds: int = 40
    trials: int = 150
    cells: int = 10
    trainings: int = 5
    directions: int = 6
    images: int = 540


FAST = Size(datasets=("cifar10",), seeds=20, trials=50, cells=3, trainings=1, directions=2, images=160)


def run(context: Context) -> Report:
    """Width and depth against accuracy, landscapes from narrow to wide cells, and the shapes of what searches find."""
    size = FAST if context.fast else Size()
    cells = every_cell()
    tables = {
        each: {name: context.table(f"nasbench201/{each}", recipe=of) for name, of in RECIPES.items()}
        for each in size.datasets
    }
    related = {each: _related(of, cells, context.seed) for each, of in tables.items()}
    context.say(f"{len(cells.architectures):,} cells correlated on {', '.join(tables)}")
    seeds = context.seeds(size.seeds)
    shapes = found(
        tables["cifar10"][SHORT], cells, seeds=seeds, trials=size.trials, workers=context.workers, say=context.say
    )
    above = wider(shapes, float(cells.width.mean())), wider(shapes)
    seen = _landscapes(size, context)
    slopes = _slopes(seen)
    return Report(
        "cells",
        SOURCE,
        f"{len(cells.architectures):,} networks of NAS-Bench-201 on {', '.join(size.datasets)}; {size.seeds} searches "
        f"of {size.trials} look-ups by validation after 12 epochs on CIFAR-10; {size.cells} cells of ENAS's operations "
        f"from narrow to wide, trained {size.trainings} times on digits; the cells of searches on shared weights are "
        "told by `enas`, `mdenas` and `lpt`",
        (_published(), _related_table(related), _landscape_table(seen), table_of(shapes, *above)),
        (*_related_verdicts(related), *_slope_verdicts(slopes), *_found_verdicts(*above)),
        (_width_panel(tables["cifar10"], cells), *_landscape_panels(seen), _found_panel(shapes)),
        {
            "correlation": {
                each: {name: value.figures() for name, value in of.items()} for each, of in related.items()
            },
            "landscapes": {name: each.to_json() for name, each in slopes.items()},
            "wider than all": above[0],
            "wider than its kind": above[1],
        },
    )


def _related(tables: dict[str, BenchmarkTable], cells: Cells, seed: int) -> dict[str, Correlation]:
    """Correlation of width and of depth with test accuracy, after few epochs and after many."""
    of = {name: table.test[table.rows(cells.architectures)] for name, table in tables.items()}
    shapes = {"width": cells.width, "depth": cells.depth}
    related = {
        f"{shape}, {name}": correlation(values, accuracy, cells, seed=seed)
        for shape, values in shapes.items()
        for name, accuracy in of.items()
    }
    others = np.random.default_rng(seed).permutation(cells.width)
    return {**related, SHUFFLED: correlation(others, of[SHORT], cells, seed=seed)}


def _landscapes(size: Size, context: Context) -> list[list[Landscape]]:
    """The trainings of each cell, the narrowest first."""
    task = fewer(load_task("sklearn:digits", as_stored=True), size.images)
    seeds = context.seeds(size.trainings)
    jobs = [Job(each, seed, task, size.directions) for each in rewired(size.cells, seed=context.seed) for seed in seeds]
    done: list[Landscape] = []
    for each in context.run(measured, jobs):
        done.append(each)
        context.say(f"{len(done)} of {len(jobs)} trainings: width {each.shape.width:g}, {each.test:.1f}%")
    return by_cell(done)


def _means(seen: Sequence[Sequence[Landscape]]) -> dict[str, Values]:
    """What was measured of each cell, means over its trainings, (cells,)."""

    def mean(value: Callable[[Landscape], float]) -> Values:
        return np.array([np.mean([value(each) for each in of]) for of in seen])

    return {
        LOSS: mean(lambda each: float(np.mean(each.losses))),
        ROUGHNESS: mean(lambda each: each.roughness),
        VARIANCE: mean(lambda each: each.variance[0]),
        "the same, trained": mean(lambda each: each.variance[1]),
        TEST: mean(lambda each: each.test),
    }


def _slopes(seen: Sequence[Sequence[Landscape]]) -> dict[str, Interval]:
    """Kendall's tau of width with everything measured, over the cells."""
    widths = [of[0].shape.width for of in seen]
    return {name: tau_interval(widths, values) for name, values in _means(seen).items()}


def _published() -> Table:
    """Our width and depth of the five published cells beside the paper's."""

    def told(shape: CellShape) -> str:
        return f"{shape.width:g}c, {shape.depth}"

    rows = tuple(
        (name, told(each.shape), told(CellShape.of(each.sources, inputs=2))) for name, each in PUBLISHED.items()
    )
    return Table("Width and depth of published normal cells", ("Cell", ">Paper", ">Ours"), rows)


def _related_table(related: dict[str, dict[str, Correlation]]) -> Table:
    names = list(next(iter(related.values())))
    rows = tuple((each, *(with_interval(of[name].figures()) for name in names)) for each, of in related.items())
    title = "Rank correlation with test accuracy among cells of the same operations [95%]"
    return Table(title, ("Dataset", *(f">{name}" for name in names)), rows)


def _landscape_table(seen: Sequence[Sequence[Landscape]]) -> Table:
    means = _means(seen)
    rows = tuple(
        (f"{of[0].shape.width:g}c", str(of[0].shape.depth), *(f"{values[i]:.3g}" for values in means.values()))
        for i, of in enumerate(seen)
    )
    return Table("Cells of the same operations, means", (">Width", ">Depth", *(f">{name}" for name in means)), rows)


def _related_verdicts(related: dict[str, dict[str, Correlation]]) -> list[Verdict]:
    found = []
    for dataset, of in related.items():
        wide, deep = of[f"width, {SHORT}"].figures(), of[f"depth, {SHORT}"].figures()
        other = of[SHUFFLED].figures()
        more = of[f"width, {SHORT}"].less(of[f"width, {LONG}"])
        found += [
            _above(f"{dataset}: wider cells are better after {SHORT}", wide),
            _above(f"{dataset}: and more so than after {LONG}", more),
            judged(f"{dataset}: deeper cells are worse after {SHORT}", BELOW, deep, below=0),
            not_refuted(f"{dataset}: the widths of random other cells tell nothing", "interval on 0", other, above=0),
        ]
    return found


def _slope_verdicts(slopes: dict[str, Interval]) -> list[Verdict]:
    names = (LOSS, ROUGHNESS, VARIANCE)
    return [
        judged(
            f"{name} falls with width",
            "tau's interval below 0",
            slopes[name].to_json(),
            below=0,
            reached=str(slopes[name]),
        )
        for name in names
    ]


def _found_verdicts(all_cells: Gains, kind: Gains) -> list[Verdict]:
    control = all_cells[CONTROL]
    return [
        *verdicts_of(FINDERS, all_cells, kind),
        not_refuted("a search told shuffled values does not", "interval not above 0", control, above=0),
    ]


def _above(claim: str, found: dict[str, float]) -> Verdict:
    return judged(claim, "interval above 0", found, above=0)


def _width_panel(tables: dict[str, BenchmarkTable], cells: Cells) -> Panel:
    curves = []
    for name, table in tables.items():
        x, middle, half = by_width(table.test[table.rows(cells.architectures)], cells)
        drawn = (tuple(each.tolist()) for each in (x, middle, middle - half, middle + half))
        curves.append(Curve(f"after {name}", *drawn, told=MEAN))
    title = "CIFAR-10: cells of the same operations"
    return Panel(title, "width", "mean percentile of test accuracy", tuple(curves))


def _landscape_panels(seen: Sequence[Sequence[Landscape]]) -> list[Panel]:
    """Losses of three cells over the epochs and along lines, and what was measured of all cells against width."""
    three = dict(zip(SHOWN, (seen[0], seen[len(seen) // 2], seen[-1]), strict=True))
    labels = {name: f"{name}: {of[0].shape.width:g}c, depth {of[0].shape.depth}" for name, of in three.items()}
    epochs = range(1, len(seen[0][0].losses) + 1)
    steps = np.linspace(-REACH, REACH, POINTS)
    losses = tuple(band(labels[name], epochs, [each.losses for each in of]) for name, of in three.items())
    along = tuple(band(labels[name], steps, np.concatenate([each.lines for each in of])) for name, of in three.items())
    return [
        Panel("Training", "epoch", "training loss", losses),
        Panel("Loss around the trained weights", "step along a random line", "loss", along),
        _against_width(ROUGHNESS, [[each.roughness for each in of] for of in seen], seen),
        _against_width(VARIANCE, [[each.variance[0] for each in of] for of in seen], seen, log_y=True),
    ]


def _against_width(
    name: str, values: Sequence[Sequence[float]], seen: Sequence[Sequence[Landscape]], *, log_y: bool = False
) -> Panel:
    """Cells of equal width are drawn as one."""
    widths = np.array([of[0].shape.width for of in seen])
    x = np.unique(widths)
    pooled = [np.concatenate([of for of, width in zip(values, widths, strict=True) if width == each]) for each in x]
    low, middle, high = (tuple(float(np.quantile(each, at)) for each in pooled) for at in (0.1, 0.5, 0.9))
    curve = Curve("median of its trainings", tuple(map(float, x)), middle, low, high, told=MEDIAN)
    return Panel(name.capitalize(), "width", name, (curve,), log_y=log_y)


def _found_panel(shapes: dict[str, FoundShapes]) -> Panel:
    """Share of the searches whose cell is at least so wide."""
    x = np.linspace(1, 2.4, 29)
    curves = []
    for label, each in shapes.items():
        share = tuple(float(100 * np.mean(each.width >= at - 1e-9)) for at in x)
        curves.append(Curve(label, tuple(map(float, x)), share, share, share))
    return Panel("Cells that searches find", "at least so wide", "percent of the searches", tuple(curves))


DEMONSTRATION = Demonstration("cells", "Why found cells are wide and shallow", SOURCE, run)
