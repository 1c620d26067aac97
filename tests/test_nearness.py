"""Which measured datasets a new one is like."""

from __future__ import annotations

from dataclasses import replace

from databases.architectures.spaces.pipeline import Pipeline
from metad2a.recommend.chances import outcomes
from predictors.fine_tunings import Example, Looked
from predictors.nearness import nearness

OWN, HOG = ("own", 32), ("hog", 64)
AT = {"photos": (70.0, 40.0), "birds": (72.0, 42.0), "signs": (40.0, 90.0), "letters": (60.0, 95.0)}
EXAMPLES = [
    Example(Looked(10, 900, {OWN: own, HOG: hog}), Pipeline("own", 32, "all", 0.03), 400, (80.0,), source)
    for source, (own, hog) in AT.items()
]


def test_a_measured_dataset_is_nearest_to_itself_and_then_to_what_is_alike() -> None:
    found = nearness({OWN: 70.0, HOG: 40.0}, EXAMPLES)
    assert [source for source, _ in found.nearest[:2]] == ["photos", "birds"] and len(found.nearest) == 3
    assert found.nearest[0][1] == 0.0 and not found.unlike
    assert str(found).startswith("Nearest measured datasets: photos (0.00), birds (0.")


def test_what_is_farther_than_any_measured_one_from_its_nearest_is_unlike() -> None:
    assert nearness({OWN: 99.0, HOG: 5.0}, EXAMPLES).unlike
    assert not nearness({OWN: 45.0, HOG: 91.0}, EXAMPLES).unlike


def test_without_probes_in_common_or_other_sources_everything_is_unlike() -> None:
    assert nearness({("lite0", 64): 50.0}, EXAMPLES).unlike
    alone = [replace(each, source="one") for each in EXAMPLES]
    assert nearness({OWN: 70.0}, alone).unlike and "none" in str(nearness({OWN: 70.0}, []))


def test_each_of_our_own_is_like_another_and_none_has_the_distance_of_the_farthest() -> None:
    examples = outcomes().examples
    for source in {each.source for each in examples}:
        probes = next(each.looked.probes for each in examples if each.source == source)
        others = [each for each in examples if each.source != source]
        assert nearness(probes, examples).nearest[0] == (source, 0.0)
        assert nearness(probes, others).nearest[0][1] > 0
