"""What searchers lose on measured pipelines: the laws of the table, on planted measurements."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import WIDTH, task

from databases.architectures.spaces.among import Among
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.errors import UserError
from databases.records.record import TaskEntry
from metad2a.evaluate import pipeline_searchers
from metad2a.evaluate.pipeline_searchers import parts
from metad2a.evaluate.pipeline_worlds import (
    AFTER,
    ALL,
    ALWAYS,
    BOTH,
    DRAWN,
    LEARNING,
    RANDOM,
    Drawn,
    World,
    taught_generator,
    without_z,
)
from metad2a.evaluate.regret import Measured, Tried
from metad2a.generate.generator import Generator, GeneratorConfig
from metad2a.reports.report import of_parts
from predictors.fine_tunings import Example, Looked
from predictors.outcome import OutcomeModel

PROBES = [Pipeline("own", 32, "probe"), Pipeline("own", 48, "probe")]
TUNED = [
    Pipeline("own", side, part, rate, slim=slim)
    for side in (32, 48)
    for part in ("all", "half")
    for rate in (0.03, 0.1)
    for slim in (False, True)
]
SOURCES = 5


def value(pipeline: Pipeline, side: int) -> float:
    """What a fine-tuning adds: tasks on one side want the fast rate, the others the slow one; all want 48 px."""
    fast = pipeline.learning_rate == 0.1
    return (
        8.0 * (fast == (side > 0)) + 2.0 * (pipeline.resolution == 48) - pipeline.slim - (pipeline.training == "half")
    )


def measured(number: int) -> Measured:
    source, side = f"source{number % SOURCES}", 1 if number // SOURCES else -1
    level = 50.0 + number
    looked = Looked(5, 300, {("own", 32): level, ("own", 48): level})
    tried = [Tried(each, 0, level, level, 1e6, 0.0) for each in PROBES]
    tried += [Tried(p, 400, level + 5 + value(p, side), level + 5 + value(p, side), 1e6, 400.0) for p in TUNED]
    return Measured(TaskEntry(f"key{number}", f"task{number}", source), source, looked, tuple(tried))


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """Two tasks a source, one on each side, whose images lie there too."""
    tasks = [measured(number) for number in range(2 * SOURCES)]
    examples = tuple(
        Example(each.looked, tried.pipeline, tried.steps, (tried.accuracy,), each.source)
        for each in tasks
        for tried in each.tried
        if tried.steps
    )
    model = OutcomeModel(examples)
    sides = [1 if number // SOURCES else -1 for number in range(len(tasks))]
    learnt = {source: model.without(source) for source in model.sources}
    return [World(each, learnt[each.source], task(i, at=2.0 * sides[i])) for i, each in enumerate(tasks)]


def test_the_order_of_the_truth_loses_nothing_and_the_reverse_most(worlds: list[World]) -> None:
    for world in worlds:
        best = sorted(world.tuned, key=lambda each: -world.tried[each].accuracy)
        assert world.lost(best).tolist() == [0.0] * len(AFTER)
        worst, some = world.lost(best[::-1]), world.lost(world.tuned)
        assert worst[0] == 12 and (worst >= some).all() and (np.diff(worst) <= 0).all()


def test_validation_chooses_and_the_test_judges(worlds: list[World]) -> None:
    world = worlds[0]
    first, second = world.tuned[:2]
    flattered = replace(world.tried[first], valid_accuracy=99.0, accuracy=40.0)
    tried = tuple(flattered if each is world.tried[first] else each for each in world.task.tried)
    misled = World(replace(world.task, tried=tried), world.model)
    best = max(each.accuracy for each in tried)
    assert misled.lost([first, second]).tolist() == [best - 40.0] * len(AFTER)


def test_every_way_asks_for_what_was_measured_and_nothing_twice(worlds: list[World]) -> None:
    world, others = worlds[0], [each for each in worlds if each.task.source != "source0"]
    fresh = Generator(GeneratorConfig(WIDTH, PIPELINE.name, ("400-steps",), width=8, latent=2, state=8))
    for name, way in {**dict(without_z(world, others)), **Drawn(world, others, fresh).ways()}.items():
        orders = [way(seed) for seed in (0, 0, 1)]
        for order in orders:
            assert len({*order}) == len(order) >= max(AFTER) and {*order} <= {*world.tuned}
        assert orders[0] == orders[1] and (orders[0] == orders[2]) == (name in ALWAYS)


def test_what_the_images_tell_is_learnt_and_another_z_is_told_apart(worlds: list[World]) -> None:
    for world in worlds[:1]:
        others = [each for each in worlds if each.task.source != world.task.source]
        drawn = Drawn(world, others, taught_generator(others, steps=60))
        assert drawn.preference() > 0.05
        alike, unlike = others[0], others[-1]
        by_side = [np.mean([world.lost(drawn.order(shown, seed)) for seed in range(40)]) for shown in (alike, unlike)]
        assert by_side[0] < by_side[1]
        deaf = Drawn(world, [world], drawn.generator)
        assert deaf.preference() == pytest.approx(0)


def test_the_table_tells_all_ways_and_why_one_is_missing(worlds: list[World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_searchers, "SEEDS", 1)
    monkeypatch.setattr(pipeline_searchers, "OF_SOURCE", 1)
    tasks, learnt = [each.task for each in worlds], {each.task.source: each.model for each in worlds}
    told: list[str] = []
    without = of_parts(parts(tasks, learnt, None, told.append), system="x", source="", setting="")
    (table,) = without.tables
    assert "generator: not judged, since there is no folder of image sources" in table.rows[-1][0]
    (figures,) = without.figures.values()
    after = {name: [each[f"after {count}"]["mean"] for count in AFTER] for name, each in figures.items()}
    assert after[ALL] == [0.0] * len(AFTER) and BOTH not in after and {*ALWAYS, RANDOM} < {*after}
    assert all((np.diff(each) <= 0).all() and min(each) >= 0 for each in after.values())  # validation is the truth here
    assert len(told) == SOURCES
    seen = {each.task.entry.key: each.features for each in worlds}
    monkeypatch.setattr(pipeline_searchers, "_features", lambda *given: (seen, ""))
    monkeypatch.setattr("metad2a.evaluate.pipeline_worlds.taught", lambda *given, **more: Generator(CONFIG))
    whole = of_parts(parts(tasks, learnt, None, print), system="x", source="", setting="")
    assert [len(each.rows) for each in whole.tables] == [12, 1] and {DRAWN, BOTH, LEARNING} < {*_names(whole.tables[0])}
    assert any("right z" in each.claim for each in whole.verdicts)
    json.dumps(whole.to_json(), allow_nan=False)


def test_images_of_other_content_are_not_taken_for_those_measured(tmp_path: Path) -> None:
    tasks = [measured(number) for number in range(2)]
    assert "was not drawn from an image source" in pipeline_searchers._features(tasks, tmp_path)[1]
    spec = {"source": "digits", "classes": [0, 1], "per_class": 5}
    drawn = [replace(each, entry=replace(each.entry, spec=spec)) for each in tasks]
    assert "should hold digits.npz" in pipeline_searchers._features(drawn, tmp_path)[1]
    x, y = np.arange(20 * 8 * 8, dtype=np.int64).reshape(20, 8, 8, 1).astype(np.uint8), np.arange(20) % 2
    np.savez(tmp_path / "digits.npz", x_train=x, y_train=y, x_test=x, y_test=y, class_names=np.array(["a", "b"]))
    assert "are others than those that were measured" in pipeline_searchers._features(drawn, tmp_path)[1]


def test_too_few_sources_are_told_in_a_line(worlds: list[World]) -> None:
    few = [each.task for each in worlds if each.task.source != "source0"]
    learnt = {each.task.source: each.model for each in worlds}
    (told,) = parts(few, learnt, None, print)
    assert "10 fine-tunings on tasks of 5 sources are needed" in told.table.rows[0][0] and not told.verdicts


def test_some_architectures_are_a_space_of_their_own() -> None:
    kept = [PIPELINE.of(each) for each in (*PROBES, *TUNED)]
    some = Among(PIPELINE, kept)
    assert {some.whole(each) for each in some.enumerate()} == {*kept} and some.size == len(kept)
    for each in kept:
        assert some.whole(some.within(each)) == each and some.parse(str(each)) == some.within(each)
        assert some.text(some.within(each)) == some.key(some.within(each)) == str(each)
    assert some.graphs([*some.enumerate()]).types.shape[0] == len(kept)
    with pytest.raises(UserError, match="no architecture of the space 'among'"):
        some.parse("hog 64px")
    assert Among(PIPELINE, kept[:1]).size == 1


CONFIG = GeneratorConfig(WIDTH, PIPELINE.name, ("400-steps",), width=8, latent=2, state=8)


def _names(table: object) -> list[str]:
    return [row[0] for row in table.rows]  # type: ignore[attr-defined]
