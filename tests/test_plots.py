"""The cell's SVG, the overview and the files of an answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from databases.architectures.space import Architecture, finite_space
from databases.errors import UserError
from metad2a.reports.plots import cell_svg, overview, write_recommendation

CELLS = finite_space("nasbench201")
FULL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|avg_pool_3x3~1|avg_pool_3x3~2|"
DEAD_END = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"
SVG = "{http://www.w3.org/2000/svg}"


def candidate(size: int, accuracy: float | None = 70.0, text: str = FULL, *, behind: Any = None) -> Any:
    interval = None if accuracy is None else (accuracy - 4, accuracy + 3)
    return SimpleNamespace(
        architecture=CELLS.parse(text),
        expected_accuracy=accuracy,
        interval=interval,
        score=size / 1000,
        parameters=size,
        behind=behind,
    )


def answer(*candidates: Any, nearest: tuple[tuple[str, float], ...] = (), unlike: bool = False) -> Any:
    return SimpleNamespace(
        candidates=candidates,
        recipe="tiny",
        nearest=tuple(SimpleNamespace(name=name, source="own", distance=far) for name, far in nearest),
        unlike=unlike,
        device=None,
        to_json=lambda: {"recipe": "tiny", "candidates": [str(each.architecture) for each in candidates]},
    )


def points(axes: Any) -> list[tuple[list[float], list[float]]]:
    """Abscissas and ordinates of every line."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


def words(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_cell_shows_its_operations_and_leaves_out_none() -> None:
    drawing = cell_svg(CELLS.parse(DEAD_END))
    assert re.findall(r'class="m2-(\w+)" data-edge="(\d-\d)" data-state="(\w+)"', drawing) == [
        ("nor_conv_3x3", "0-1", "dead"),
        ("nor_conv_1x1", "1-2", "dead"),
        ("skip_connect", "0-3", "live"),
    ]
    assert "no effect" in drawing and "no effect" not in cell_svg(CELLS.parse(FULL))


def test_live_edges_are_those_the_space_counts() -> None:
    rng = np.random.default_rng(0)
    for architecture in (CELLS.sample(rng) for _ in range(300)):
        drawing = cell_svg(architecture)
        live = sum(CELLS.graph_numbers(architecture)[:4])
        assert drawing.count('data-state="live"') == live
        assert ("No path from input to output" in drawing) == (live == 0)


def test_a_cell_is_well_formed_whatever_its_title() -> None:
    drawing = ElementTree.fromstring(cell_svg(CELLS.parse(FULL), 'a <b> & "c"\x00\udce4\n'))
    assert next(each.text for each in drawing.iter(f"{SVG}text")) == 'a <b> & "c"'
    assert drawing.get("aria-label") == 'a <b> & "c"'
    long = cell_svg(CELLS.parse(FULL), "x" * 500)
    assert "x" * 83 + "…" in long and "x" * 84 not in long


def test_labels_and_nodes_of_the_cell_with_the_longest_labels_do_not_overlap() -> None:
    drawing = ElementTree.fromstring(cell_svg(CELLS.architecture((4,) * 6)))

    def numbers(element: ElementTree.Element, *names: str) -> list[float]:
        return [float(element.get(name, "nan")) for name in names]

    labels = [numbers(each, "x", "y", "width", "height") for each in drawing.findall(f"{SVG}g/{SVG}rect")]
    circles = [numbers(each, "cx", "cy", "r") for each in drawing.iter(f"{SVG}circle")]
    boxes = [(x, y, x + w, y + h) for x, y, w, h in labels]
    boxes += [(x - r, y - r, x + r, y + r) for x, y, r in circles]
    assert len(boxes) == 6 + 4
    for a, b in combinations(boxes, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    assert all(0 < x0 and x1 < 780 and 60 < y0 and y1 < 365 for x0, y0, x1, y1 in boxes)


def test_a_cell_of_another_space_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"'enas'.*'nasbench201'"):
        cell_svg(Architecture("enas", (0, 1)))


def test_overview_draws_candidates_where_they_are_and_how_far_they_are_behind(tmp_path: Path) -> None:
    many = [candidate(10_000 + 9_000 * i, 80.0 - i, behind=(i, i - 2.0, i + 3.0)) for i in range(7)]
    figure = overview(answer(*many), tmp_path / "a.svg")
    left, middle = figure.axes[:2]
    assert ([10_000], [80]) in points(left) and ([46_000], [76]) in points(left)
    assert ([55_000, 64_000], [75, 74]) in points(left)  # the others are dots
    assert words(left) == ["1", "2", "3", "4", "5"]
    assert "accuracy" in left.get_ylabel() and "tiny" in figure.get_suptitle()
    assert ([2, 7], [4, 4]) in points(middle) and ([4], [4]) in points(middle)
    assert len(middle.get_yticklabels()) == 5


def test_overview_without_levels_draws_scores(tmp_path: Path) -> None:
    figure = overview(answer(candidate(9_000, None), candidate(4_000, 60.0)), tmp_path / "a.png")
    left = figure.axes[0]
    assert "score" in left.get_ylabel()
    assert {level for _, levels in points(left) for level in levels} == {9.0, 4.0}  # no interval, no level


def test_candidates_at_one_place_share_their_label_and_are_not_moved(tmp_path: Path) -> None:
    figure = overview(answer(*[candidate(5_000, 70.0)] * 3, candidate(9_000)), tmp_path / "a.png")
    assert words(figure.axes[0]) == ["1, 2, 3", "4"]
    assert [annotation.xy[0] for annotation in figure.axes[0].texts] == [5_000, 9_000]  # type: ignore[attr-defined]
    assert words(figure.axes[1]) == ["not known for this recipe"]


def test_labels_that_would_overlap_are_one_and_the_legend_tells_both_colours(tmp_path: Path) -> None:
    near = [candidate(27_300, 75.4), candidate(27_300, 75.3), candidate(59_600, 76.33), candidate(59_700, 76.30)]
    left = overview(answer(*near), tmp_path / "a.png").axes[0]
    assert words(left) == ["1", "2", "3, 4"]
    assert ([59_700], [76.30]) in points(left), "no dot is moved"
    assert (legend := left.get_legend()) is not None
    assert [text.get_text() for text in legend.get_texts()] == ["next 3", "first"]


def test_nearest_datasets_come_in_order_with_a_warning_where_all_are_far(tmp_path: Path) -> None:
    nearest = (("far", 0.9), (r"$\near$", 0.1), ("名", 0.5), ("x" * 60, 0.7))
    right = overview(answer(candidate(5_000), nearest=nearest, unlike=True), tmp_path / "a.png").axes[2]
    assert [label.get_text() for label in right.get_yticklabels()] == [
        r"$\near$",
        "名",
        "x" * 27 + "…",
        "far",
    ]
    assert [bar.get_width() for bar in right.patches] == [0.1, 0.5, 0.7, 0.9]  # type: ignore[attr-defined]
    assert any("unlike all known data" in text for text in words(right))
    usual = overview(answer(candidate(5_000)), tmp_path / "a.png").axes[2]
    assert words(usual) == ["none known"]


def test_an_answer_is_written_and_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "answer"
    write_recommendation(answer(candidate(5_000), candidate(6_000, None), candidate(7_000)), folder)
    (folder / "cell-mine.svg").touch()
    shorter = answer(candidate(5_000, 71.25, DEAD_END))
    write_recommendation(shorter, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        ".metad2a-files", "cell-1.svg", "cell-mine.svg", "overview.png", "overview.svg", "recommendation.json",
    ]  # fmt: skip
    assert json.loads((folder / "recommendation.json").read_text()) == shorter.to_json()
    assert DEAD_END in (folder / "cell-1.svg").read_text(encoding="utf-8")
    assert "71.2% (80%: 67.2 to 74.2) expected, 5k parameters" in (folder / "cell-1.svg").read_text("utf-8")


def test_a_place_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"file \(it is a file\): name another folder"):
        write_recommendation(answer(candidate(5_000)), tmp_path / "file")
    with pytest.raises(UserError, match="Not a directory"):
        write_recommendation(answer(candidate(5_000)), tmp_path / "file" / "answer")
    for parent in (tmp_path, tmp_path / "made"):
        with pytest.raises(UserError, match="name too long"):
            write_recommendation(answer(candidate(5_000)), parent / ("x" * 300))
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_recommendation(answer(candidate(5_000)), tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    for folder in (tmp_path / "old", tmp_path / "made" / "new"):
        with pytest.raises(UserError, match="No space left on device"):
            write_recommendation(answer(candidate(6_000), candidate(7_000)), folder)
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_folder_in_the_way_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "overview.png").mkdir()
    with pytest.raises(UserError, match=r"overview\.png in it is a folder"):
        write_recommendation(answer(candidate(5_000)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["overview.png"]


def test_matplotlib_waits_for_the_first_figure_and_pyplot_is_never_used(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, metad2a.reports.plots as plots; assert 'matplotlib' not in sys.modules;"
        "plots.save(plots.new_figure(2, 2), pathlib.Path(sys.argv[1]) / 'a.png');"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 0
