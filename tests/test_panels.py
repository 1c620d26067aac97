"""Figures of curves: one look a name, readable ticks, no legend on the drawing, no band beyond what can be."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex
from test_plots import points, words

from metad2a.reports.panels import panels
from metad2a.reports.report import MEAN, MEDIAN, Curve, Panel, band


def flat(label: str, *, at: float = 1.0, half: float = 0.0, x: tuple[float, ...] = (1.0, 2.0)) -> Curve:
    n = len(x)
    return Curve(label, x, (at,) * n, (at - half,) * n, (at + half,) * n)


def test_panels_count_in_whole_numbers_and_have_a_place_for_zero(tmp_path: Path) -> None:
    regret = (2.0, 0.5, 0.0)
    line = Curve("ours", (1.0, 2.0, 3.0), regret, regret, regret)
    drawn = (Panel("whole", "trainings", "regret", (line,), log_y=True), Panel("none", "trainings", "regret", ()))
    axes, empty = panels(drawn, tmp_path / "panels.png").axes
    assert all(float(each).is_integer() for each in axes.get_xticks())
    assert axes.get_yscale() == "symlog" and np.isfinite(axes.transData.transform((3.0, 0.0))).all()
    assert points(axes) == [([1, 2, 3], list(regret))] and words(empty) == ["nothing was measured"]


def test_a_name_looks_the_same_in_every_panel(tmp_path: Path) -> None:
    drawn = (Panel("a", "x", "y", (flat("one"), flat("two"))), Panel("b", "x", "y", (flat("two"), flat("three"))))
    first, second = panels(drawn, tmp_path / "panels.png").axes
    colours = [{line.get_label(): to_hex(line.get_color()) for line in axes.lines} for axes in (first, second)]
    assert colours[0]["two"] == colours[1]["two"] and len({*colours[0].values(), *colours[1].values()}) == 3


def test_the_legend_lies_beside_the_drawing(tmp_path: Path) -> None:
    shared = (Panel("a", "x", "y", (flat("one"), flat("two"))), Panel("b", "x", "y", (flat("two"),)))
    figure = panels(shared, tmp_path / "shared.png")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    apart = panels((shared[0], Panel("c", "x", "y", (flat("three"),))), tmp_path / "apart.png")
    legends = [figure.legends[0], *(axes.get_legend() for axes in apart.axes)]
    for axes, legend in zip([figure.axes[0], *apart.axes], legends, strict=True):
        assert legend is not None and legend.get_window_extent().y1 <= axes.get_window_extent().y0


def test_neither_legends_nor_the_title_are_wider_than_what_they_belong_to(tmp_path: Path) -> None:
    names = [f"a rather long name of the kind that demonstrations have, {number}" for number in range(7)]
    curves = tuple(flat(name) for name in names)
    title = "system (many authors, at a conference; and a comparison by many other authors, at another conference)"
    alone = panels((Panel("a", "x", "y", curves),), tmp_path / "alone.png", title=title)
    alone.draw_without_rendering()  # at its own resolution, not the file's
    assert alone.legends[0].get_window_extent().width <= alone.bbox.width
    assert alone.get_suptitle().replace("\n", " ") == title
    assert alone.texts[0].get_window_extent().x1 <= alone.bbox.x1
    apart = panels((Panel("a", "x", "y", curves[:3]), Panel("b", "x", "y", curves[3:])), tmp_path / "apart.png")
    for axes in apart.axes:
        legend = axes.get_legend()
        assert legend is not None and legend.get_window_extent().width <= axes.get_window_extent().width


def test_bands_end_where_values_do_and_unknown_places_are_left_out(tmp_path: Path) -> None:
    gap = Curve("gap", (1.0, 2.0), (math.nan, 5.0), (math.nan, 5.0), (math.nan, 5.0))
    drawn = (Panel("a", "x", "%", (flat("one", at=98.0, half=9.0), gap), least=0, most=100),)
    axes = panels(drawn, tmp_path / "panels.png").axes[0]
    assert max(np.asarray(path.vertices)[:, 1].max() for each in axes.collections for path in each.get_paths()) == 100.0
    assert points(axes)[1] == ([2.0], [5.0])
    never = Panel("b", "x", "%", (flat("none", at=0.0),), least=0, most=100)
    low, high = panels((never,), tmp_path / "never.png").axes[0].get_ylim()
    assert low <= 0 and high >= 100


def test_a_single_place_has_one_tick_and_its_interval(tmp_path: Path) -> None:
    axes = panels((Panel("a", "passes", "y", (flat("one", half=2.0, x=(1.0,)),)),), tmp_path / "panels.png").axes[0]
    assert list(axes.get_xticks()) == [1.0] and points(axes) == [([1.0], [1.0])]
    (bar,) = axes.collections
    assert np.asarray(bar.get_paths()[0].vertices)[:, 1].tolist() == [-1.0, 3.0]


def test_ticks_of_a_logarithmic_axis_do_not_overlap(tmp_path: Path) -> None:
    drawn = (Panel("a", "x", "y", (flat("one", x=(3.0, 50.0)),), log_x=True),)
    figure = panels(drawn, tmp_path / "panels.png")
    axis = figure.axes[0].xaxis
    shown = [each for each in [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)] if each.get_text()]
    boxes = sorted((each.get_window_extent().x0, each.get_window_extent().x1) for each in shown)
    assert len(boxes) >= 3 and all(left[1] < right[0] for left, right in pairwise(boxes))


def test_places_without_an_order_are_not_joined(tmp_path: Path) -> None:
    axes = panels((Panel("a", "task", "y", (flat("one"),), joined=False),), tmp_path / "panels.png").axes[0]
    assert axes.lines[0].get_linestyle() == "None" and axes.lines[0].get_marker() not in ("", "None")


def test_a_figure_with_bands_says_what_they_are(tmp_path: Path) -> None:
    seeds = band("one", (1, 2), [[1.0, 2.0], [3.0, 4.0]])
    mean = Curve("two", (1.0, 2.0), (1.0, 1.0), (0.0, 0.0), (2.0, 2.0), told=MEAN)
    alone = band("three", (1, 2), [[1.0, 2.0]])
    for curves, told in (((seeds, mean), f"t Lines and bands: {MEDIAN}; {MEAN}"), ((alone,), "t")):
        figure = panels((Panel("a", "x", "y", curves),), tmp_path / "panels.png", title="t")
        assert figure.get_suptitle().replace("\n", " ") == told
