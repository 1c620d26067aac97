"""What the accuracies of a search are worth: against the largest class, against each other, by how few images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from databases.datasets.task import TEST, TRAIN, VALIDATION, Task
from metad2a.search.run_state import Trained

FEW_TO_JUDGE = 10  # images; one of them moves the accuracy by more than ten points
OVER, AWHILE = 1.1, 1.0  # times the budget, and seconds, that a search may take without a word
BEYOND_CHANCE = 3.0  # standard errors; the validation accuracy is the best of several


def ended(trained: Sequence[Trained], count: int | None) -> str:
    """What became of the trainings, ``count`` of them where that was asked, when there was no time for another."""
    numbers = {
        "finished": sum(each.complete for each in trained),
        "shortened": sum(each.shortened for each in trained),
        "given up": sum(each.stopped for each in trained),
        "cut": sum(not each.done and not each.shortened for each in trained),
        "never begun": (count or 0) - len(trained),
    }
    told = ", ".join(f"{number} {what}" for what, number in numbers.items() if number > 0)
    wanted = count or len(trained)
    return f"no time for another training: of {wanted} training{'s' * (wanted > 1)} {told}"


def remarks(trained: Sequence[Trained], best: Trained, *, recipe: str) -> list[str]:
    """Notes on what was trained in part, and in parts."""
    notes = []
    if stopped := sum(each.stopped for each in trained):
        notes.append(f"{stopped} of {len(trained)} trainings were given up early: they could not become the best")
    whole = best.complete or best.shortened
    higher = [each.valid_accuracy or 0.0 for each in trained if whole and not (each.complete or each.shortened)]
    if higher and max(higher) > (best.valid_accuracy or 0.0):
        notes.append(
            f"a training that was cut or given up had a higher validation accuracy ({max(higher):.1f}%): "
            "only finished trainings compete"
        )
    if best.shortened:
        notes.append(
            f"its schedule was fitted to the time left ({best.epochs} epochs): accuracies are not those of the recipe "
            f"{recipe!r}"
        )
    elif not best.complete:
        notes.append(
            f"the network was trained in part ({best.epochs} epochs): it can be used, "
            f"but its accuracies are not those of the recipe {recipe!r}"
        )
    notes += _expectation(trained)
    if (parts := max(each.parts for each in trained)) > 1:
        notes.append(f"memory was short: batches were trained in up to {parts} parts")
    return notes


def told_of_seconds(spent: float, budget: float) -> list[str]:
    """A note where a search that trained took well more than the seconds it had."""
    if spent <= OVER * budget + AWHILE:
        return []
    return [
        f"the budget of {budget:g} s was over before its end, {spent:.0f} s in all: the least that a search does takes "
        "so long here, or the machine was busy with something else"
    ]


def told_of_probe(probed: tuple[str, float] | None, valid: float | None) -> list[str]:
    """A note where a cheap probe, given with its validation accuracy in percent, is better than what was trained."""
    if probed is None or valid is None or probed[1] <= valid:
        return []
    return [
        f"{probed[0]}, fitted in seconds, is right for {probed[1]:.1f}% of the validation images, more than the "
        f"{valid:.1f}% of this network: a search in the space pipeline, the default, begins with it"
    ]


def _expectation(trained: Sequence[Trained]) -> list[str]:
    """A note on what was expected of the trainings, once some of them were finished by the recipe."""
    pairs = [
        (each.valid_accuracy, each.expected_accuracy)
        for each in trained
        if each.complete and each.valid_accuracy is not None and each.expected_accuracy is not None
    ]
    if not pairs:
        return []
    gap = sum(measured - expected for measured, expected in pairs) / len(pairs)
    told = f"{abs(gap):.1f} points {'above' if gap >= 0 else 'below'} it"
    if len(pairs) == 1:
        return [f"Expected is of before the training, which measured {told}"]
    return [
        "Expected is of before each training, and follows what those before it measured: "
        f"{len(pairs)} finished trainings measured {told} on average"
    ]


def judgements(
    task: Task,
    valid: float | None,
    test: float | None,
    *,
    counts: Mapping[int, int] | None = None,
    went_on: bool = False,
) -> list[str]:
    """Notes on the validation and test accuracies (percent) of the network that was chosen.

    ``counts``: on how many images of each part they were measured, by default all. ``went_on``: whether it learnt more
    after validation, so that the test may well be higher.
    """
    notes = []
    counts = counts or {part: int((task.parts == part).sum()) for part in (VALIDATION, TEST)}
    for part, use in ((VALIDATION, "validation"), (TEST, "test")):
        count = counts[part]
        if 0 < count < FEW_TO_JUDGE:
            notes.append(f"only {count} image{'s' * (count > 1)} for {use}: that accuracy is rough")
    grew = went_on and (test or 0.0) > (valid or 0.0)
    return [*notes, *_majority(task, valid, test, counts), *([] if grew else _disagreement(valid, test, counts))]


def _majority(task: Task, valid: float | None, test: float | None, counts: Mapping[int, int]) -> list[str]:
    """A note where always answering with the largest training class is right as often."""
    largest = int(np.bincount(task.labels[task.parts == TRAIN]).argmax())
    part, told, use = (VALIDATION, valid, "validation") if test is None else (TEST, test, "test")
    labels = task.labels[task.parts == part]
    if told is None or len(labels) < FEW_TO_JUDGE:
        return []
    share = 100 * float((labels == largest).mean())
    if told > share + 100 * _error(share / 100, counts[part]):
        return []
    return [
        f"always answering {task.class_names[largest]!r} is right for {share:.1f}% of the {use} images: "
        f"{told:.1f}% is no more than that, within chance"
    ]


def _disagreement(valid: float | None, test: float | None, counts: Mapping[int, int]) -> list[str]:
    """A note where the two accuracies differ by more than chance allows."""
    if valid is None or test is None:
        return []
    both = (valid * counts[VALIDATION] + test * counts[TEST]) / (100 * (counts[VALIDATION] + counts[TEST]))
    error = 100 * math.hypot(_error(both, counts[VALIDATION]), _error(both, counts[TEST]))
    if abs(valid - test) <= BEYOND_CHANCE * error:
        return []
    why = "images of validation may be related to those of training: name what belongs together (--groups)"
    return [
        f"validation ({valid:.1f}%) and test ({test:.1f}%) disagree beyond chance: "
        + (why if valid > test else "their images may differ in kind")
    ]


def _error(share: float, count: int) -> float:
    """The standard error of a share of so many."""
    return math.sqrt(max(0.0, share * (1 - share)) / max(1, count))
