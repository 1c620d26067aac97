"""The figure of a search that goes with its tracked run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from metad2a.search.run_state import Trained


def drawn(trained: Sequence[Trained]) -> Figure:
    """Validation accuracies of the trainings over the seconds that they took."""
    from databases.architectures.space import space
    from metad2a.reports.search_figure import search_figure

    known = [each for each in trained if each.valid_accuracy is not None]
    return search_figure(
        [space(each.architecture.space).brief(each.architecture) for each in known],
        [each.valid_accuracy or 0.0 for each in known],
        [each.seconds for each in known],
        ["" if each.shortened else each.fate for each in known],
    )
