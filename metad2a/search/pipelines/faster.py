"""Where speed is preferred: the fastest of the candidates that are as good as the best answers, alone."""

from __future__ import annotations

from metad2a.recommend.front import EQUAL
from metad2a.search.pipelines.session import PipelineSession


def told_of_fastest(session: PipelineSession, best: int) -> list[str]:
    """A note of what the fastest saves and loses, where another was more accurate."""
    first = session.ranked()[0]
    if not session.fast or first == best:
        return []
    known = session.run.state.trained
    speed = f"{session.milliseconds(best):.2g} ms an image, not {session.milliseconds(first):.2g}"
    right = f"{known[best].valid_accuracy or 0.0:.1f}, not {known[first].valid_accuracy or 0.0:.1f}%"
    named = f"{session.pipeline(best)} is exported, the fastest within {EQUAL:g} points of {session.pipeline(first)}"
    return [f"{named}: {speed}; validation {right}"]
