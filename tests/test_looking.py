"""Which networks look at the images: dear ones only where a few images, or HOG, do not speak against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain, repeat

import numpy as np
import pytest
from pipeline_world import random_base, stripes

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import TRAIN, VALIDATION, Task
from metad2a.recommend import looking
from metad2a.recommend.chances import Chance, MeasuredProbe, outcomes
from metad2a.recommend.looking import about, looks
from metad2a.recommend.pipelines import look_at
from metad2a.search.pipelines.competing import BEHIND, first_round
from metad2a.train import probe as probe_module
from metad2a.train.bases import Base
from metad2a.train.probe import loss_of_few, probe, probed_places, told_of_few
from predictors.fine_tunings import Looked

OWN, HOG, LITE = Pipeline("own", 32, "probe"), Pipeline("hog", 64, "probe"), Pipeline("lite0", 64, "probe")
WIDE = Pipeline("lite0", 96, "probe")


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random small networks in place of the shipped ones, all there."""
    monkeypatch.setattr("metad2a.train.pipeline.open_base", lambda name, **given: random_base(given["channels"]))
    monkeypatch.setattr(looking, "installed", lambda: dict.fromkeys(("own", "hog", "lite0"), True))
    monkeypatch.setattr("metad2a.recommend.chances.PROBES", (OWN, HOG, LITE, WIDE))


def probed(task: Task, monkeypatch: pytest.MonkeyPatch, losses: Mapping[int, float]) -> list[Pipeline]:
    """What is probed where the networks have these losses on a few images, by resolution."""
    monkeypatch.setattr(looking, "loss_of_few", lambda base, task, *, resolution: losses[resolution])
    return [each.measured.pipeline for each in looks(task, left=lambda: 1e9)]


@pytest.mark.parametrize(
    ("losses", "left_out"),
    [
        ({32: 1.0, 64: 1.2, 96: 1.1}, {LITE, WIDE}),  # behind ours
        ({32: 1.0, 64: 0.9, 96: 0.8}, set()),
        ({32: 1.0, 64: 0.9, 96: 0.95}, {WIDE}),  # dearer, and no better than what was seen
        ({32: 1.0, 64: 1.2, 96: 0.8}, {LITE}),  # small images need not speak for larger ones
    ],
)
def test_a_dear_network_that_is_behind_on_a_few_images_is_left_out(
    losses: dict[int, float], left_out: set[Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "FEW", {0: 4, VALIDATION: 2})
    assert set(probed(stripes(60, side=96), monkeypatch, losses)) == {OWN, HOG, LITE, WIDE} - left_out


def test_of_few_images_all_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LITE in probed(stripes(60), monkeypatch, {})


def test_what_was_left_out_is_said() -> None:
    assert about(None, [MeasuredProbe(OWN, 70.0, 900.0)], {"lite0": looking.IS_BEHIND}) == [
        f"lite0 was left out: {looking.IS_BEHIND}"
    ]
    assert about(None, [MeasuredProbe(LITE, 70.0, 900.0)], {"lite0": looking.IS_BEHIND}) == []
    hurried = about(None, [MeasuredProbe(OWN, 70.0, 900.0)], {"hog": looking.NO_TIME, "lite0": looking.NO_TIME})
    assert hurried == [f"HOG and lite0 were left out: {looking.NO_TIME}"]
    assert about(None, [MeasuredProbe(OWN, 70.0, 900.0)], {}) == []  # nobody asked for it: it is not installed


@pytest.mark.parametrize(
    ("reason", "losses", "known", "left"),
    [
        (looking.IS_BEHIND, {32: 1.0, 64: 1.2, 96: 1.1}, {}, 1e9),
        (looking.NO_TIME, {}, {}, 0.0),
        (looking.IS_FAR, {}, {OWN: 50.0, HOG: 65.0}, 1e9),
    ],
)
def test_the_one_reason_for_which_a_network_was_left_out_is_said(
    reason: str,
    losses: dict[int, float],
    known: dict[Pipeline, float],
    left: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "FEW", {0: 4, VALIDATION: 2})
    monkeypatch.setattr(looking, "loss_of_few", lambda base, task, *, resolution: losses[resolution])
    why: dict[str, str] = {}
    list(looks(stripes(60, side=96), left=lambda: left, known=known, left_out=why))
    assert why["lite0"] == reason


def test_a_few_images_tell_a_network_from_a_blind_one() -> None:
    task, base = stripes(90), random_base(3)
    blind = Base(**{**vars(base), "network": random_base(3).network})
    for each in blind.network.parameters():
        each.data.zero_()
    seeing, not_seeing = (loss_of_few(each, task, resolution=16) for each in (base, blind))
    assert seeing < not_seeing


@pytest.mark.parametrize(("gap", "count"), [(BEHIND / 2, 2), (2 * BEHIND, 1)])
def test_what_is_expected_far_behind_is_not_begun_and_its_time_goes_to_the_other(
    gap: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chances(measured: object, *, seconds: float, **given: object) -> list[Chance]:
        texts = (("own", 0.03, 80.0), ("lite0", 0.01, 80.0 - gap))
        return [Chance(Pipeline(name, 48, "all", rate), seconds, level) for name, rate, level in texts]

    monkeypatch.setattr("metad2a.search.pipelines.competing.chances", chances)
    found = first_round([MeasuredProbe(OWN, 70.0, 900.0)], images=1_000, classes=10, seconds=50.0)
    assert len(found) == count and (count > 1 or found[0].seconds == 50.0)


@pytest.mark.parametrize(("gap", "rates"), [(BEHIND / 2, [0.03, 0.01]), (2 * BEHIND, [0.1])])
def test_what_competes_is_best_after_its_share_and_one_alone_after_all_of_the_time(
    gap: float, rates: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chances(measured: object, *, seconds: float, **given: object) -> list[Chance]:
        found = [(0.03, 80.0, "own"), (0.1, 70.0 + seconds / 4, "own"), (0.01, 80.0 - gap, "lite0")]
        made = [Chance(Pipeline(name, 48, "all", rate), seconds, level) for rate, level, name in found]
        return sorted(made, key=lambda each: -each.expected)

    monkeypatch.setattr("metad2a.search.pipelines.competing.chances", chances)
    found = first_round([MeasuredProbe(OWN, 70.0, 900.0)], images=1_000, classes=10, seconds=60.0)
    assert [each.pipeline.learning_rate for each in found] == rates
    assert [each.seconds for each in found] == ([15.0, 15.0] if len(rates) == 2 else [60.0])


def test_where_a_fine_tuning_of_ours_begins_hardly_matters() -> None:
    """A probe that was lucky at one resolution promises no more of that resolution."""
    told = []
    for small, large in ((70.0, 66.0), (66.0, 70.0)):
        looked = Looked(10, 1_000, {("hog", 64): 60.0, ("own", 32): small, ("own", 48): large})
        told.append(outcomes().expect(looked, [(Pipeline("own", 48, "all", 0.03), 400)]).mean[0])
    assert told[0] == pytest.approx(told[1], abs=0.2)


@pytest.mark.parametrize(("own", "hog", "far"), [(50.0, 65.0, True), (60.0, 66.0, False), (70.0, 40.0, False)])
def test_images_where_hog_is_better_are_far_and_imagenets_weights_not_probed(
    own: float, hog: float, far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {OWN: own, HOG: hog, LITE: 50.0}
    monkeypatch.setattr("metad2a.recommend.chances.PROBES", (OWN, HOG, LITE))
    found = [each.measured.pipeline for each in looks(stripes(30), left=lambda: 9.0, known=known)]
    assert (LITE not in found) == far and found[:2] == [OWN, HOG]


@pytest.mark.parametrize(("left", "learnt"), [(1e9, 36), (7.0, 36), (4.2, 18), (2.8, None)])
def test_hog_by_which_alone_marks_show_may_take_more_of_the_time_or_fewer_images(
    left: float, learnt: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "PARTLY", {"hog": (0.8, 12, 2)})
    monkeypatch.setattr(looking, "LEAST_EACH", 2)
    monkeypatch.setattr(looking, "speed", lambda *given, **options: 10.0)
    why: dict[str, str] = {}
    seconds = chain([1e9, left], repeat(1.0))
    found = {
        each.measured.pipeline: each.probed for each in looks(stripes(60), left=lambda: next(seconds), left_out=why)
    }
    if learnt is None:
        assert set(found) == {OWN} and why["hog"] == looking.NO_TIME
    else:
        probed = found[HOG]
        assert set(found) == {OWN, HOG} and probed is not None and learnt - 2 <= len(probed.features) <= learnt


def test_the_first_probe_is_of_fewer_images_where_time_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LEAST", 12)
    monkeypatch.setattr(looking, "LEAST_EACH", 2)
    monkeypatch.setattr(looking, "speed", lambda *given, **options: 10.0)
    task = stripes(60)  # of which 36 are for training, and 12 for validation take 1.2 s
    for left, most in ((1e9, 36), (6.0, 18), (0.1, 12)):
        first = next(looks(task, left=lambda left=left: left))  # type: ignore[misc]
        assert first.probed is not None
        assert most - 2 <= len(first.probed.features) <= most


def test_a_machine_that_seems_a_little_slower_finds_the_kept_features() -> None:
    def most(rate: float) -> int:
        return looking.affordable(stripes(60), 3.4, rate=rate, features=8, least=12)[TRAIN]

    assert most(9.9) == most(10.0) == most(10.1) == 18 and most(5.0) == 12
    assert most(1e9) >= 36, "all where there is time for all"


def test_all_that_probes_look_at_is_all_however_uneven_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    task = stripes(60)
    places = np.flatnonzero(task.labels < 2)[:23].tolist() + np.flatnonzero(task.labels == 2)[:17].tolist()
    uneven = replace(task, images=task.images[places], labels=task.labels[places], parts=task.parts[places])
    monkeypatch.setattr(probe_module, "MOST", {TRAIN: 17, VALIDATION: 7})
    seen = {part: len(probed_places(uneven, part)) for part in (TRAIN, VALIDATION)}
    assert len(probed_places(uneven, TRAIN, seen)) < seen[TRAIN] < 17, "each class is rounded down once more"
    probed = probe(random_base(3), uneven, resolution=32, most=seen)
    assert len(probed.features) == seen[TRAIN] and told_of_few(probed, uneven) is None


def test_recommend_tells_of_a_probe_of_fewer_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "affordable", lambda *given, **options: {TRAIN: 12, VALIDATION: 12})
    notes = look_at(stripes(60)).notes
    assert [note.partition(" learnt from 12 of 36 training images: ")[0] for note in notes] == [str(OWN), str(HOG)]


def test_a_probe_of_fewer_images_is_told() -> None:
    task, base = stripes(60), random_base(3)
    assert told_of_few(probe(base, task, resolution=32), task) is None
    told = told_of_few(probe(base, task, resolution=32, most={TRAIN: 12}), task)
    assert told is not None and told.startswith("learnt from 12 of 36 training images")
