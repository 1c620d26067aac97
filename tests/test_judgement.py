"""What accuracies are worth: told where the largest class alone gives as much, or validation and test disagree."""

from __future__ import annotations

import numpy as np
import pytest

from databases.datasets.task import TEST, VALIDATION, Task, split
from metad2a.search.judgement import judgements, told_of_seconds


def task(sizes: tuple[int, int], *, validation: float = 0.2, test: float = 0.2) -> Task:
    labels = np.repeat([0, 1], sizes)
    parts = split(labels, validation=validation, test=test)
    return Task("t", np.zeros((len(labels), 8, 8, 1), np.uint8), labels, parts, ("road", "sign"))


def test_an_accuracy_that_the_largest_class_alone_gives_is_told() -> None:
    uneven = task((988, 12))
    notes = judgements(uneven, 98.5, 98.8)
    assert len(notes) == 1 and notes[0].startswith("always answering 'road' is right for 9") and "98.8%" in notes[0]
    assert not judgements(task((500, 500)), 80.0, 81.0)
    assert "of the validation images" in judgements(task((950, 50), test=0), 95.0, None)[0]


@pytest.mark.parametrize(
    ("valid", "test", "words"),
    [(92.4, 60.0, "may be related to those of training"), (60.0, 92.4, "may differ in kind"), (92.4, 91.0, "")],
)
def test_validation_and_test_that_disagree_beyond_chance_are_told(valid: float, test: float, words: str) -> None:
    notes = judgements(task((500, 500)), valid, test)
    assert [words in note for note in notes] == [True] * bool(words)


def test_what_learnt_more_after_validation_may_be_better_on_test_images() -> None:
    assert judgements(task((500, 500)), 60.0, 92.4, went_on=True) == []
    assert "related" in judgements(task((500, 500)), 92.4, 60.0, went_on=True)[0]
    assert "always answering" in judgements(task((900, 100)), 60.0, 90.0, went_on=True)[0]


def test_few_images_disagree_by_chance_and_are_called_rough() -> None:
    few = task((20, 20))
    assert (few.parts == VALIDATION).sum() == (few.parts == TEST).sum() == 8
    notes = judgements(few, 87.5, 62.5)
    assert notes == [f"only 8 images for {use}: that accuracy is rough" for use in ("validation", "test")]


def test_chance_is_of_the_images_that_judged() -> None:
    whole = task((5000, 5000))
    assert judgements(whole, 73.8, 65.6), "beyond chance on 2,000 images each"
    assert not judgements(whole, 73.8, 65.6, counts={VALIDATION: 500, TEST: 500})
    assert judgements(whole, 73.8, 65.6, counts={VALIDATION: 8, TEST: 500})[0].startswith(
        "only 8 images for validation"
    )


@pytest.mark.parametrize(
    ("spent", "budget", "told"),
    [(15.9, 15.0, False), (6.4, 5.0, False), (6.6, 5.0, True), (80.0, 60.0, True), (9e9, float("inf"), False)],
)
def test_a_budget_that_was_not_kept_is_told(spent: float, budget: float, told: bool) -> None:
    notes = told_of_seconds(spent, budget)
    assert [note.startswith(f"the budget of {budget:g} s was over before its end") for note in notes] == [True] * told
