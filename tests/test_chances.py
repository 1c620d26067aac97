"""Which fine-tunings are offered, and what each is expected to reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outcome_world import HOG, LITE, OWN, examples

from databases.architectures.spaces.pipeline import Pipeline
from metad2a.recommend.chances import MeasuredProbe, chances, is_far
from predictors.outcome import OutcomeModel


def test_a_faster_network_gets_more_passes_and_hog_nothing_to_tune(lawful: None) -> None:
    slow, fast = (
        chances([MeasuredProbe(OWN, 60.0, rate)], images=320, classes=10, seconds=20)[0] for rate in (50.0, 500.0)
    )
    assert slow.expected < fast.expected and slow.steps < fast.steps and slow.low < slow.expected < slow.high
    assert chances([MeasuredProbe(HOG, 99.0, 999.0)], images=1_000, classes=10, seconds=20) == []


def test_few_images_that_told_the_accuracies_widen_the_interval(lawful: None) -> None:
    def widths(accuracy: float) -> list[float]:
        asked: dict[str, Any] = {"images": 320, "classes": 10, "seconds": 20.0}
        found = [chances([MeasuredProbe(OWN, accuracy, 500.0)], held_out=n, **asked)[0] for n in (9, 100, 10_000, None)]
        assert len({each.expected for each in found}) == 1
        return [each.high - each.low for each in found]

    for accuracy in (60.0, 100.0):
        few, some, many, unasked = widths(accuracy)
        assert few > 1.2 * some > 1.2 * many >= 1.2 * unasked


def test_offers_do_not_depend_on_the_order_of_the_probes() -> None:
    whole = examples()
    model = OutcomeModel(
        tuple(replace(each, pipeline=replace(each.pipeline, short=short)) for each in whole for short in (False, True))
    )
    probes = [MeasuredProbe(OWN, 60.0, 500.0), MeasuredProbe(LITE, 60.0, 200.0)]
    found = [
        {str(each.pipeline) for each in chances(order, images=320, classes=10, seconds=20, short=True, model=model)}
        for order in (probes, probes[::-1])
    ]
    assert found[0] == found[1] and any("short" in each for each in found[0])


def test_nothing_is_offered_of_a_kind_that_nobody_measured() -> None:
    whole, ends = examples(), ((False, False), (True, False), (False, True), (True, True))

    def offered(model: OutcomeModel, *, short: bool = True) -> set[tuple[bool, bool]]:
        asked = {"images": 320, "classes": 10, "seconds": 20.0, "short": short}
        found = chances([MeasuredProbe(OWN, 60.0, 500.0)], model=model, **asked)  # type: ignore[arg-type]
        assert {each.pipeline.learning_rate for each in found} == {each.pipeline.learning_rate for each in whole}
        return {(each.pipeline.slim, each.pipeline.short) for each in found}

    sliced = [
        replace(each, pipeline=replace(each.pipeline, slim=slim, short=short)) for each in whole for slim, short in ends
    ]
    assert offered(OutcomeModel(whole)) == {(False, False)}
    assert offered(OutcomeModel(tuple(sliced))) == set(ends)
    assert offered(OutcomeModel(tuple(sliced)), short=False) == {(False, False), (True, False)}


def test_images_are_far_from_photographs_where_hog_is_well_above_all_probes_of_ours() -> None:
    hog, small, large = Pipeline("hog", 64, "probe"), Pipeline("own", 32, "probe"), Pipeline("own", 48, "probe")

    def found(**accuracies: float) -> bool:
        known = {"hog": hog, "small": small, "large": large}
        return is_far([MeasuredProbe(known[name], value, 100.0) for name, value in accuracies.items()])

    assert found(hog=88.0, small=58.0, large=64.0)  # traffic signs
    assert not found(hog=49.0, small=38.0, large=48.0)  # clothing, ten images a class: lite0 tells 64% of these
    assert found(hog=49.0, small=38.0)
    assert not found(hog=49.0) and not found(small=38.0) and not found()
