"""Where speed is preferred: the fastest of the candidates that are as good as the best answers, alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metad2a.recommend.front import EQUAL, as_good

if TYPE_CHECKING:
    from metad2a.search.pipelines.session import PipelineSession


def fastest(session: PipelineSession, ranked: list[int]) -> int | None:
    """The fastest of the candidates that are as good as the first; of equally fast ones the better."""
    known = session.run.state.trained
    if not ranked:
        return None
    return as_good(
        ranked, cost=lambda index: _milliseconds(session, index), level=lambda index: known[index].valid_accuracy or 0.0
    )


def told_of_fastest(session: PipelineSession, best: int) -> list[str]:
    """A note of what the fastest saves and loses, where another was more accurate."""
    first = session.ranked()[0]
    if not session.fast or first == best:
        return []
    known = session.run.state.trained
    speed = f"{_milliseconds(session, best):.2g} ms an image, not {_milliseconds(session, first):.2g}"
    right = f"{known[best].valid_accuracy or 0.0:.1f}, not {known[first].valid_accuracy or 0.0:.1f}%"
    named = f"{session.pipeline(best)} is exported, the fastest within {EQUAL:g} points of {session.pipeline(first)}"
    return [f"{named}: {speed}; validation {right}"]


def _milliseconds(session: PipelineSession, index: int) -> float:
    assert session.allowed is not None  # which says that speed is preferred
    return session.allowed.latency(session.pipeline(index))
