"""Expected accuracies after what was measured on the same images: the level of an answer follows that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from databases.architectures.space import Architecture, space
from databases.records.store import Store
from metad2a.recommend.recommendation import Candidate, Recommendation, as_shown
from predictors.level import Level


def expected_of(architecture: Architecture, known: Mapping[Architecture, float | None]) -> float | None:
    """The accuracy that was expected of an architecture, or of what computes the same, before any training."""
    if architecture in known:
        return known[architecture]
    return known.get(space(architecture.space).canonical(architecture))


def measured_here(answer: Recommendation, store: Store | None) -> Recommendation:
    """The answer with the level of trainings of the same images by its recipe, where the ``store`` has any.

    What they are compared with are the candidates, so all of them should be there. Their order stays.
    """
    expected = {each.architecture: each.expected_accuracy for each in answer.candidates}
    level, gaps, chosen = Level(), list[float](), space(answer.best.architecture.space)
    known = [] if store is None else store.records(task=answer.fingerprint, recipe=answer.recipe, space=chosen.name)
    for each in known:
        before = expected_of(chosen.parse(each.architecture), expected)
        if before is not None and each.valid_accuracy is not None:
            level.observe(before, each.valid_accuracy)
            gaps.append(each.valid_accuracy - before)
    if not gaps:
        return answer

    def by_now(candidate: Candidate) -> Candidate:
        accuracy, interval = candidate.expected_accuracy, candidate.interval
        return replace(
            candidate,
            expected_accuracy=None if accuracy is None else level(accuracy),
            interval=None if interval is None else (level(interval[0]), level(interval[1])),
        )

    gap = sum(gaps) / len(gaps)
    told = f"{len(gaps)} training{'s' * (len(gaps) > 1)} of these images by the recipe measured {abs(gap):.1f} points"
    note = f"{told} {'above' if gap >= 0 else 'below'} what was expected before: the level follows"
    return replace(
        answer,
        candidates=as_shown([*map(by_now, answer.candidates)]),
        front=tuple(map(by_now, answer.front)),
        notes=(*answer.notes, note),
    )
