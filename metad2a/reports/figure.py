"""What all figures have in common: made without pyplot, quiet frames, colours that colour-blind people tell apart."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from metad2a.reports.cell_svg import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from metad2a.recommend.recommendation import Candidate

BLUE, VERMILION, PALE = "#0072B2", "#D55E00", "#AEBAC6"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def headline(figure: Figure, text: str, *, size: float = 14) -> None:
    """The title of a whole figure, in so many points."""
    figure.suptitle(text, x=0.012, horizontalalignment="left", fontsize=size, fontweight="bold", color=INK)


def quiet_axes(axes: Axes, title: str, x: str, y: str, *, pad: float = 26) -> None:
    """Title, labels and a quiet frame for a set of axes."""
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=pad)
    axes.set_xlabel(x, color=MUTED)
    axes.set_ylabel(y, color=MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=MUTED, labelsize=9)
    axes.grid(color=PALE, alpha=0.35, linewidth=0.8)
    axes.set_axisbelow(True)


def quality_name(known: bool) -> str:
    """What the axis of `quality` is called; ``known``: whether all candidates have an expected accuracy."""
    return "expected accuracy on held-out images (%)" if known else "score (only the order counts)"


def quality(candidate: Candidate, known: bool) -> float:
    """How good a candidate is drawn: its expected accuracy, else its score."""
    return candidate.expected_accuracy if known and candidate.expected_accuracy is not None else candidate.score


def say_empty(axes: Axes, words: str) -> None:
    """Words instead of a drawing."""
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color=MUTED)


def save(figure: Figure, path: Path, *, metadata: dict[str, str] | None = None) -> None:
    """Writes a figure; the suffix is the format, and the same figure gives the same SVG. A PNG holds ``metadata``."""
    with warnings.catch_warnings():
        # a dataset's name may be in a script that the font lacks: its letters become boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else metadata)
