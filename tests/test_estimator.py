"""`MetaD2AClassifier` is the search in scikit-learn's manner: any labels, probabilities, clones, one-line errors."""

from __future__ import annotations

import fcntl
import os
import pickle
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cli_world import QUICK, FakeModel
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from databases.datasets.loading import load_task
from databases.errors import UserError
from databases.records.recipe import RECIPES
from metad2a import MetaD2AClassifier
from metad2a.runtime.home import DATABASE
from metad2a.search import estimator
from metad2a.search.runs import LOCK

pytestmark = pytest.mark.usefixtures("home")

Y = np.arange(60) % 3
X = (np.random.default_rng(0).integers(0, 60, (60, 8, 8)) + 90 * Y[:, None, None]).astype(np.uint8)


def quick(**options: Any) -> MetaD2AClassifier:
    return MetaD2AClassifier(**{"space": "nasbench201", "trials": 1, "recipe": QUICK.name, "on": "cpu", **options})


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough epochs to learn the toy."""
    monkeypatch.setitem(RECIPES, QUICK.name, replace(QUICK, epochs=8))


@pytest.mark.parametrize("names", [(10, -2, 7), ("b", "a", "10"), (1.0, 0.0, 2.0)])
def test_it_learns_and_scores_labels_of_any_type(model: FakeModel, longer: None, names: tuple[Any, ...]) -> None:
    labels = np.array(names)[Y]
    fitted = quick(trials=2).fit(X, labels)
    assert fitted.classes_.tolist() == sorted(names) and fitted.score(X, labels) > 0.8
    kinds = (list(labels), labels.astype(np.dtypes.StringDType())) if labels.dtype.kind == "U" else (list(labels),)
    assert {fitted.score(X, each) for each in kinds} == {fitted.score(X, labels)}
    assert set(fitted.predict(X)) <= set(names) and fitted.predict(X).dtype == labels.dtype
    likely = fitted.predict_proba(X[:7])
    assert likely.shape == (7, 3)
    np.testing.assert_allclose(likely.sum(1), 1)
    np.testing.assert_array_equal(fitted.classes_[likely.argmax(1)], fitted.predict(X[:7]))
    assert fitted.result_.exported.card.class_names == tuple(map(str, fitted.classes_))


def test_the_search_is_that_of_the_command_and_goes_on(model: FakeModel, home: Path) -> None:
    first, again = quick(trials=2).fit(X, Y), quick(trials=2).fit(X, Y)
    assert first.result_.resumed == 0 and again.result_.resumed == 2 and (home / DATABASE).is_file()
    assert first.architecture_ == str(first.result_.best) and len(first.result_.trained) == 2
    assert first.valid_accuracy_ == max(each.valid_accuracy or 0 for each in first.result_.trained)
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    assert quick(trials=1, random_state=1).fit(X, Y).result_.resumed == 0


def test_what_is_done_to_training_images_is_asked_for(model: FakeModel) -> None:
    asked = quick(augment="shift").fit(X, Y).result_
    assert "training images are shifted, not mirrored, as asked" in asked.notes
    with pytest.raises(UserError, match="'turn': choose one of auto, none, shift, flip"):
        quick(augment="turn").fit(X, Y)


def test_images_to_predict_are_read_as_those_of_the_fit(model: FakeModel) -> None:
    fitted = quick().fit(X, Y)
    expected = fitted.predict_proba(X)
    coloured = np.repeat(X[..., None], 3, axis=3)
    np.testing.assert_array_equal(fitted.predict_proba(coloured), expected)
    np.testing.assert_array_equal(fitted.predict_proba(np.moveaxis(coloured, 3, 1)), expected)
    dark = fitted.predict_proba(np.minimum(X, 1))  # not taken for 0 to 1
    assert np.abs(dark - fitted.predict_proba(np.zeros_like(X))).max() < np.abs(dark - expected).max()
    shares = quick().fit(X / 255, Y)
    np.testing.assert_allclose(shares.predict_proba(X / 255), expected, atol=1e-6)
    colour = quick().fit(np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)), Y)
    assert colour.predict(X).shape == (60,)
    for wrong, words in [
        (X[0], "single image"),
        (X / -255, "values from"),
        (np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)), "in colour"),
        ([["a"]], "numbers"),
    ]:
        with pytest.raises(UserError, match=words):
            fitted.predict(wrong)


def test_a_single_coloured_image_is_one_image(model: FakeModel) -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    fitted = quick().fit(x, Y)
    with pytest.raises(UserError, match=r"single image.* as \[X\]"):
        fitted.predict(x[0])
    assert fitted.predict(x[:1]).shape == (1,)


def test_shares_after_bytes_are_refused_not_taken_for_black(model: FakeModel) -> None:
    with pytest.raises(UserError, match="allowed are 0 to 255, as in the first images"):
        quick().fit(X, Y).predict(X / 255)


def test_a_fit_with_dark_and_overshooting_images_warns_of_what_a_search_of_them_tells(model: FakeModel) -> None:
    x = X.astype(float)
    assert quick().fit(x, Y).notes_ == (f"X: took values as 0 to 255: they are {x.min():g} to {x.max():g}",)
    x[0] /= 1_000
    x[1, 0, 0] = 260
    with pytest.warns(UserWarning) as caught:
        fitted = quick().fit(x, Y)
    warned = [str(each.message) for each in caught]
    assert warned == list(fitted.notes_) and "clipped" in warned[0] and "nearly black" in warned[1]
    assert {note.removeprefix("X: ") for note in warned} <= set(load_task((x, Y)).notes)
    assert fitted.predict(x[2:]).shape == (58,)


def test_what_a_search_tells_of_images_is_told_by_a_fit_and_warned_of_where_it_is_odd(model: FakeModel) -> None:
    many, twice = np.array(["dog", "cat"])[(np.arange(60) < 4).astype(int)], X.copy()
    twice[1] = twice[0]
    few = np.array(["dog", "cat"])[(np.arange(60) < 2).astype(int)]
    for x, y, told in [
        (X, many, "imbalanced: 'dog' has 56 images, 'cat' has 4; always answering 'dog' is right for 93.3%"),
        (twice, np.array(["a", "b", "c"])[Y], "'image 0' of 'a' and 'image 1' of 'b'"),
        (X, few, "a class has no image for validation, which tells nothing of 'cat'"),
    ]:
        with pytest.warns(UserWarning) as caught:
            fitted = quick().fit(x, y)
        warned = [str(each.message) for each in caught]
        assert any(told in each for each in warned) and {*warned} <= {*fitted.notes_}
        searched = {note for note in load_task((x, y)).notes if "validation" not in note and "test" not in note}
        assert searched <= {*fitted.notes_} and "for test" not in "".join(fitted.notes_)
    assert quick().fit(X[:, :, :7], Y).notes_ == ("resized images of 7x8 pixels to 32x32",)  # which is nothing odd


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.from_numpy(X), torch.from_numpy(Y)),
        ((torch.from_numpy(X)[:, None] / 255).requires_grad_(), torch.from_numpy(Y)),
        (list(X), pd.Series(Y, dtype="Int64")),
        (X.astype(object), Y.astype(object)),
    ],
)
def test_tensors_and_columns_are_arrays_before_anything_is_trained(model: FakeModel, x: Any, y: Any) -> None:
    fitted = quick().fit(x, y)
    assert fitted.classes_.dtype == np.int64
    expected = quick().fit(X, Y)
    assert expected.result_.resumed == 1  # the same task
    np.testing.assert_allclose(fitted.predict_proba(x), expected.predict_proba(X), atol=1e-6)


def test_texts_of_any_column_come_back_as_texts(model: FakeModel) -> None:
    for kind in (object, "string", "category"):
        fitted = quick().fit(X, pd.Series(np.array(["b", "a", "c"])[Y], dtype=kind))
        assert fitted.classes_.tolist() == ["a", "b", "c"] and set(fitted.predict(X)) <= {"a", "b", "c"}


def test_two_fits_of_the_same_images_wait_for_each_other(model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = quick().fit(X, Y).result_.folder
    held = os.open(folder / LOCK, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    timer = threading.Timer(0.5, os.close, [held])
    timer.start()
    assert quick(trials=2).fit(X, Y).result_.resumed == 1
    assert not timer.is_alive()
    held = os.open(folder / LOCK, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(UserError, match="in use by process"):
            quick(max_time=0.5).fit(X, Y)
    finally:
        os.close(held)


def test_it_clones_pickles_and_is_cross_validated(model: FakeModel) -> None:
    made = quick(trials=2, max_time=60.0, random_state=3)
    assert clone(made).get_params() == made.get_params() and made.set_params(trials=1).trials == 1
    with pytest.raises(NotFittedError):
        made.predict(X)
    fitted = made.fit(X, Y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), fitted.predict_proba(X))
    assert cross_val_score(quick(), X, Y, cv=2, error_score="raise").shape == (2,)


@pytest.mark.parametrize(
    ("options", "x", "y", "words"),
    [
        ({}, X.reshape(60, -1), Y, "images of shape (60, 64)"),
        ({}, X, Y[:-1], "60 images and 59 labels"),
        ({}, X, Y + 0.5, "allowed is one whole number (1.0 too), text or boolean an image"),
        ({}, X, np.stack([Y, Y], 1), "not classes"),
        ({}, X, np.eye(3)[Y], "give numpy.asarray(y).argmax(axis=1)"),
        ({}, X, pd.get_dummies(pd.Series(Y)), "give numpy.asarray(y).argmax(axis=1)"),
        ({}, X * (16 / 255), Y, "which value is white"),
        ({}, X, np.zeros(60), "given 1 class"),
        ({}, X, np.array(["a", "b", None] * 20, dtype=object), "20 are missing (None or NaN), the first at 2"),
        ({}, X, np.where(Y == 1, np.nan, Y), "20 are missing (None or NaN), the first at 1"),
        ({}, np.where(X > 200, np.nan, X), Y, "NaN"),
        ({"trials": 0}, X, Y, "0 trainings"),
        ({"recipe": "large"}, X, Y, "large"),
        ({"searcher": "oracle"}, X, Y, "oracle"),
        ({"max_time": -1}, X, Y, "-1"),
        ({"on": "abacus"}, X, Y, "abacus"),
        ({"on": None}, X, Y, "given on=None; allowed is a text"),
        ({"space": None}, X, Y, "given space=None"),
        ({"augment": ["flip"]}, X, Y, "given augment=['flip']"),
        ({"recipe": ["tiny"]}, X, Y, "given recipe=['tiny']"),
        ({"searcher": b"random"}, X, Y, "given searcher=b'random'"),
        ({"model": 5}, X, Y, "given model=5; allowed is the path of a file, or None"),
        ({"stop_early": "no"}, X, Y, "given stop_early='no'; allowed is True or False"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    model: FakeModel, options: dict[str, Any], x: Any, y: Any, words: str
) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        quick(**options).fit(x, y)
    assert "\n" not in str(caught.value)


def test_parameters_of_other_spaces_are_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimator.MetaD2AClassifier, "_pipeline", lambda *given: 1 // 0)  # it is asked, that is all
    for given in ({"trials": 2}, {"recipe": "tiny", "stop_early": False}, {"on": "cuda"}):
        told = " and ".join(f"{name}={value!r}" for name, value in given.items())
        with pytest.warns(UserWarning, match=f"given {told} with space='pipeline'"), pytest.raises(ZeroDivisionError):
            MetaD2AClassifier(**given).fit(X, Y)
    with pytest.raises(UserError, match="choose one of pipeline, nasbench201"):
        MetaD2AClassifier(space="foo").fit(X, Y)


def test_parameters_may_be_numpys(model: FakeModel) -> None:
    odd = {
        "trials": np.int64(1),
        "stop_early": np.bool_(True),
        "searcher": np.str_("random"),
        "max_time": np.float32(9),
    }
    assert quick(**odd).set_params(max_time=np.float32(9)).fit(X, Y).classes_.tolist() == [0, 1, 2]


def test_random_states_are_numpys(model: FakeModel) -> None:
    assert quick(random_state=np.random.RandomState(5))._seed() == quick(random_state=np.random.RandomState(5))._seed()
    assert quick(random_state=None)._seed() != quick(random_state=None)._seed()


def test_what_predicting_will_do_is_tried_before_anything_is_trained(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise UserError("given X that cannot be read again")

    trained: list[object] = []
    monkeypatch.setattr(estimator, "more_images", fails)
    monkeypatch.setattr(estimator, "search", lambda *given, **_: trained.append(given))
    with pytest.raises(UserError, match="cannot be read again"):
        quick().fit(X, Y)
    assert not trained
