"""Many images on a slow machine: a probe judges by, and a report tests on, as many as there is time for."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from pipeline_world import random_base, stripes

from databases.datasets.task import TEST, TRAIN, VALIDATION
from metad2a.recommend import looking
from metad2a.recommend.looking import affordable
from metad2a.search.pipelines import report as module
from metad2a.search.pipelines.report import report, told_of_tested
from metad2a.search.pipelines.search import search_pipelines
from metad2a.train.classifier import Classifier, Places
from metad2a.train.probe import probe, told_of_few

TASK = stripes(600)  # 360 to train on, 120 to validate and 120 to test on


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images are needed in any case."""
    for where, name, value in (
        (looking, "LEAST", 30),
        (looking, "LEAST_EACH", 2),
        (looking, "LEAST_JUDGES", 20),
        (module, "LEAST", 30),
        (module, "PACE", 6),
    ):
        monkeypatch.setattr(where, name, value)


def test_validation_images_take_their_share_of_the_seconds_and_no_more() -> None:
    enough, short, none = (affordable(TASK, seconds, rate=10.0, features=8, least=30) for seconds in (1e3, 20.1, 0.0))
    assert enough[VALIDATION] == 120 and enough[TRAIN] >= 360
    assert 48 <= short[VALIDATION] <= 60 and 110 < short[TRAIN] < 150  # 6 of 20 seconds, and what is left, in steps
    assert none == {TRAIN: 30, VALIDATION: 20}


def test_a_probe_that_a_part_of_the_images_judged_says_so() -> None:
    base = random_base()
    found = probe(base, TASK, resolution=16, most={TRAIN: 90, VALIDATION: 30})
    assert (len(found.features), len(found.valid_features)) == (90, 30) and found.valid_accuracy is not None
    told = told_of_few(found, TASK)
    assert told is not None
    assert told.startswith("learnt from 90 of 360 training images and was judged by 30 of 120 for validation")


def test_a_report_tests_on_as_many_images_as_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = probe(random_base(), TASK, resolution=16).classifier
    whole = report(classifier, TASK, temperature=1.0)[1]
    assert whole.places.tolist() == TASK.places(TEST).tolist() and told_of_tested(whole, TASK) == []
    clock, really = [0.0], Classifier.logits

    def slow(self: Classifier, images: np.ndarray, places: Places | None = None) -> np.ndarray:
        clock[0] += 0.1 * (len(images) if places is None else len(places))
        return really(self, images, places)

    monkeypatch.setattr(Classifier, "logits", slow)
    monkeypatch.setattr(module, "time", type("Clock", (), {"perf_counter": staticmethod(lambda: clock[0])}))
    for seconds, tested in ((0.0, 30), (6.6, 60), (1e6, 120), (math.inf, 120)):
        accuracy, found = report(classifier, TASK, temperature=1.0, seconds=seconds)
        assert len(found.places) == len(found.taken) == found.confusion.sum() == tested
        assert accuracy is not None and (TASK.parts[found.places] == TEST).all()
        assert bool(told_of_tested(found, TASK)) == (tested < 120)
        assert set(np.bincount(TASK.labels[found.places])) == {tested // 3}


def test_a_search_out_of_time_judges_and_tests_on_a_few_images_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))
    monkeypatch.setattr("metad2a.train.pipeline.open_base", lambda name, **given: random_base(given["channels"]))
    monkeypatch.setattr(looking, "installed", lambda: {"own": True})
    counted, really = list[int](), Classifier.logits

    def spied(self: Classifier, images: np.ndarray, places: Places | None = None) -> np.ndarray:
        counted.append(len(images) if places is None else len(places))
        return really(self, images, places)

    monkeypatch.setattr(Classifier, "logits", spied)
    result = search_pipelines(TASK, seconds=1e-3)
    assert len(result.report.places) == 30 and max(counted) == 30
    assert any("judged by 18 of 120 for validation" in each for each in result.notes)
    assert any(each.startswith("tested on 30 of 120 test images") for each in result.notes)
    again = search_pipelines(TASK, seconds=1e-3)  # what was found answers whole
    assert len(again.report.places) == 120
