"""Pictures of pipelines: the front of accuracy against latency, and test pictures that were taken for another class."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from metad2a.recommend.front import EQUAL
from metad2a.reports.cell_svg import INK, MUTED
from metad2a.reports.figure import BLUE, PALE, VERMILION, headline, new_figure, quiet_axes, save
from metad2a.reports.pictures import draw_once
from metad2a.runtime.files import ours, write_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from databases.datasets.task import Images
    from metad2a.recommend.pipelines import Choice, PipelineRecommendation

Labels = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]
MISTAKES = "mistakes.png"
COLUMNS, MOST_ROWS, LETTERS = 8, 4, 22  # of the sheet of mistakes


def write_pipelines(answer: PipelineRecommendation, folder: Path) -> list[str]:
    """Writes recommendation.json, front.svg and front.png; an earlier answer is replaced as a whole.

    Returns the names.

    Raises:
        UserError: the folder is a file or cannot be written; it is then left as it was.
    """

    def write(beside: Path) -> list[str]:
        figure = front_figure(answer)
        for name in ("front.svg", "front.png"):
            save(figure, beside / name)
        text = json.dumps(answer.to_json(), indent=2, allow_nan=False) + "\n"
        (beside / "recommendation.json").write_text(text, encoding="utf-8")
        return ["front.svg", "front.png", "recommendation.json"]

    return write_folder(folder, write)


def front_figure(answer: PipelineRecommendation) -> Figure:
    """Expected accuracy against milliseconds an image, with 80% intervals, the front as a line."""
    figure = new_figure(8.2, 5)
    axes = figure.subplots()
    quiet_axes(
        axes, f"{answer.seconds:.0f} s of training", "milliseconds an image on this machine", "expected accuracy (%)"
    )
    axes.set_xscale("log")
    behind = [each for each in answer.choices if each not in answer.front]
    axes.plot(*_at(behind), "o", color=PALE, markersize=4, label="others")
    x, y = _at(answer.front)
    low, high = zip(*(each.interval for each in answer.front), strict=True)
    errors = np.maximum(0, [np.subtract(y, low), np.subtract(high, y)])
    axes.errorbar(x, y, yerr=errors, fmt="none", ecolor=BLUE, alpha=0.4, linewidth=1.4, label="80% interval")
    axes.plot(x, y, "o-", color=BLUE, linewidth=1.6, markersize=5, label="front")
    fastest, hollow = f"fastest within {EQUAL:g} points", dict[str, Any](color=INK, fillstyle="none")
    axes.plot(*_at([answer.best]), "o", color=VERMILION, markersize=8, zorder=3, label=f"best: {answer.best.pipeline}")
    axes.plot(*_at([answer.knee]), "o", markersize=13, zorder=3, label=f"knee: {answer.knee.pipeline}", **hollow)
    axes.plot(*_at([answer.equal]), "s", markersize=18, zorder=3, label=f"{fastest}: {answer.equal.pipeline}", **hollow)
    ticks = sorted({float(f"{value:.1g}") for value in np.geomspace(*axes.get_xlim(), 5)})
    axes.set_xticks(ticks, [f"{each:g}" for each in ticks])
    axes.minorticks_off()
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9, markerscale=0.6)
    headline(figure, "Which network, and at what cost")
    return figure


def write_mistakes(
    images: Images,
    taken: Labels,
    truth: Labels,
    names: Sequence[str],
    folder: Path,
    *,
    places: Places | None = None,
) -> Path | None:
    """Writes `MISTAKES` into the folder, in the place of an earlier one; None, and no file, where nothing is wrong.

    One of the same mistakes, which the picture itself tells, stays as it is: drawing takes a second and more.
    """
    path, there = folder / MISTAKES, MISTAKES in ours(folder)
    wrong, shown = _wrong(taken, truth)
    if not len(wrong):
        if there:
            path.unlink()
        return None
    told = hashlib.sha256(repr((tuple(names), taken.tolist(), truth.tolist())).encode())
    told.update(images[shown if places is None else places[shown]].tobytes())
    draw_once(lambda: mistakes_figure(images, taken, truth, names, places=places), path, of=told.hexdigest())
    return path


def mistakes_figure(
    images: Images, taken: Labels, truth: Labels, names: Sequence[str], *, places: Places | None = None
) -> Figure:
    """Some wrongly classified pictures (n, h, w, c) of all classes, each under what it is and what it was taken for.

    With ``places`` (m,) the pictures are those of ``images`` there, of which ``taken`` and ``truth`` tell.
    """
    wrong, shown = _wrong(taken, truth)
    rows = max(1, -(-len(shown) // COLUMNS))
    figure = new_figure(1.5 * COLUMNS, 0.5 + 1.85 * rows)
    for axes in (grid := figure.subplots(rows, COLUMNS, squeeze=False)).ravel():
        axes.axis("off")
    for axes, place in zip(grid.ravel(), shown, strict=False):
        picture = images[place if places is None else places[place]]
        axes.imshow(picture[..., 0] if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
        told = f"{_short(names[truth[place]])}\nas {_short(names[taken[place]])}"
        axes.set_title(told, fontsize=7.5, color=MUTED)
    title = f"{len(wrong):,} of {len(truth):,} test pictures are taken for another class"
    more = f"; {len(shown)} of them" if len(wrong) > len(shown) else ""
    headline(figure, title + more, size=12)
    return figure


def _wrong(taken: Labels, truth: Labels) -> tuple[Places, Places]:
    """Positions of what was taken for another class, and of those that are shown."""
    wrong, most = np.flatnonzero(taken != truth), COLUMNS * MOST_ROWS
    return wrong, wrong if len(wrong) <= most else wrong[np.linspace(0, len(wrong) - 1, most).astype(np.int64)]


def _at(choices: Sequence[Choice]) -> tuple[list[float], list[float]]:
    return [each.latency_ms for each in choices], [each.expected_accuracy for each in choices]


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
