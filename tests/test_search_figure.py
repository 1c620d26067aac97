"""The figure of a search, and its sheet of mistakes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from pipeline_world import stripes

from databases.datasets.task import Images, Labels
from metad2a.reports.confusion import confusion_figure, write_confusion
from metad2a.reports.figure import VERMILION, new_figure, save
from metad2a.reports.pipeline_figures import mistakes_figure, write_mistakes
from metad2a.reports.search_figure import MOST, search_figure


def test_the_best_trainings_are_named_in_their_order_and_the_winner_is_in_colour() -> None:
    names, accuracies = [f"network {number}" for number in range(40)], [50.0 + (7 * n) % 40 for n in range(40)]
    axes = search_figure(names, accuracies, [1.0] * 40, [""] * 40).axes[0]
    written = [label.get_text() for label in axes.get_yticklabels()]
    kept = sorted(np.argsort(accuracies)[-MOST:].tolist())
    assert written == [names[place] for place in kept]
    colours = axes.collections[0].get_facecolor()
    coloured = [place for place, colour in zip(kept, np.asarray(colours), strict=True) if colour[0] > 0.5]
    assert coloured == [accuracies.index(max(accuracies))] and VERMILION.startswith("#D")


def test_a_search_without_a_measurement_says_so() -> None:
    assert [text.get_text() for text in search_figure([], [], [], []).axes[0].texts] == ["no training was measured"]


def test_a_training_that_was_given_up_is_drawn_hollow_and_is_never_the_best() -> None:
    fates = ["", "given up", "cut", ""]
    axes = search_figure(list("abcd"), [70.0, 90.0, 80.0, 71.0], [1.0] * 4, fates).axes[0]
    faces, edges = (
        np.asarray(found) for found in (axes.collections[0].get_facecolor(), axes.collections[0].get_edgecolor())
    )
    assert [face[:3].tolist() == [1, 1, 1] for face in faces] == [False, True, True, False]
    assert [edge[0] > 0.5 for edge in edges] == [False, False, False, True]
    assert [text.get_text() for text in axes.texts] == ["1.0 s", "1.0 s, given up", "1.0 s, cut", "1.0 s"]
    low, high = sorted(axes.get_ylim())
    assert low < -0.5 and high > 3.5  # no point lies on the frame
    only = search_figure(["a"], [70.0], [1.0], ["cut"]).axes[0].collections[0]
    assert np.asarray(only.get_edgecolor())[0][0] > 0.5


def test_the_best_is_drawn_however_many_that_were_given_up_stand_above_it() -> None:
    number = MOST + 5
    accuracies, fates = [90.0] * number + [60.0], ["given up"] * number + [""]
    axes = search_figure([str(n) for n in range(number + 1)], accuracies, [1.0] * (number + 1), fates).axes[0]
    assert axes.get_yticklabels()[-1].get_text() == str(number)


def test_mistakes_are_drawn_each_with_both_names(tmp_path: Path) -> None:
    task = stripes(90)
    figure = mistakes_figure(task.images, (task.labels + 1) % 3, task.labels, task.class_names)
    save(figure, tmp_path / "mistakes.png")
    titles = [each.get_title() for each in figure.axes]
    assert "level\nas upright" in titles and (tmp_path / "mistakes.png").is_file()


def test_mistakes_are_drawn_anew_only_where_they_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, drawn = stripes(30), list[int]()
    wrong, sheet, figure = (task.labels + 1) % 3, tmp_path / "mistakes.png", new_figure(1, 1)

    def draw(images: Images, taken: Labels, *others: object, **more: object) -> object:
        drawn.append(len(taken))
        return figure

    monkeypatch.setattr("metad2a.reports.pipeline_figures.mistakes_figure", draw)

    def written(images: Images, taken: Labels, names: tuple[str, ...] = task.class_names) -> int:
        found = write_mistakes(images, taken, task.labels, names, tmp_path)
        assert found == sheet and sheet.is_file()
        return len(drawn)

    assert [written(task.images, wrong), written(task.images, wrong)] == [1, 1]
    assert written(task.images, (task.labels + 2) % 3) == 2  # other mistakes
    assert written(255 - task.images, (task.labels + 2) % 3) == 3  # other pictures
    assert written(255 - task.images, (task.labels + 2) % 3, ("a", "b", "c")) == 4  # other names
    sheet.write_bytes(b"")
    assert [written(task.images, wrong), written(task.images, wrong)] == [5, 5]  # a broken one
    assert write_mistakes(task.images, task.labels, task.labels, task.class_names, tmp_path) is None
    assert not sheet.exists()


@pytest.mark.parametrize("names", [("cat", "dog"), ("1,5", 'a "b"'), ("=1+1", "two\nlines"), ("\ud800", "\ud801")])
def test_a_confusion_matrix_is_a_table_with_the_names_of_classes(names: tuple[str, str], tmp_path: Path) -> None:
    counts = np.array([[7, 2], [0, 5]])
    found = write_confusion(counts, names, tmp_path)
    assert found == tmp_path / "confusion.csv" and (tmp_path / "confusion.png").is_file()
    with found.open(encoding="utf-8", newline="") as file:
        rows = [*csv.reader(file)]
    told = [name.encode(errors="backslashreplace").decode() for name in names]
    assert rows == [["true class", *told], [told[0], "7", "2"], [told[1], "0", "5"]]
    assert write_confusion(0 * counts, names, tmp_path) is None
    assert not {*tmp_path.glob("confusion.*")}


def test_a_confusion_matrix_is_drawn_anew_only_where_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, drawn = np.array([[7, 2], [0, 5]]), list[int]()

    def draw(confusion: object, names: object) -> object:
        drawn.append(1)
        return new_figure(1, 1)

    monkeypatch.setattr("metad2a.reports.confusion.confusion_figure", draw)
    for matrix, names in ((counts, "ab"), (counts, "ab"), (counts.T, "ab"), (counts.T, "ac")):
        write_confusion(matrix, names, tmp_path)
    assert len(drawn) == 3


@pytest.mark.parametrize(("classes", "numbers", "names"), [(2, 4, 2), (30, 900, 30), (31, 0, 31), (90, 0, 0)])
def test_what_would_not_be_legible_is_left_out(classes: int, numbers: int, names: int) -> None:
    axes = confusion_figure(np.ones((classes, classes), np.int64), [f"class {n}" for n in range(classes)]).axes[0]
    assert (len(axes.texts), len(axes.get_yticks())) == (numbers, names)
