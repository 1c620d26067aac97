"""`search --space pipeline --searcher NAME`: the searcher asks, in the session of the plan; no network is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from zlib import crc32

import pytest
from pipeline_world import opened, short_searches, stripes

from databases.architectures.space import Architecture
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.architectures.supernets.families import open_family
from databases.errors import UserError
from metad2a.recommend import chances
from metad2a.recommend.limits import Limits
from metad2a.search.controllers import CONTROLLERS, controller
from metad2a.search.loop import run
from metad2a.search.pipelines import asking, tuning
from metad2a.search.pipelines.asking import FORETOLD, UNFIT, Asked
from metad2a.search.pipelines.search import PipelineResult, search_pipelines
from metad2a.search.run_state import read_state
from metad2a.train.finetune import Tuned
from metad2a.train.loop import Epoch
from metad2a.train.pipeline import Effort, tune_pipeline

OWN, PROBED, TUNED = Pipeline("own", 32, "probe"), Pipeline("own", 48, "probe"), Pipeline("own", 32, "all", 0.03)
TRIALS = 3
FIT = sorted(set(CONTROLLERS) - set(UNFIT))


@cache
def two_steps() -> Tuned:
    return tune_pipeline(TUNED, stripes(60), Effort(steps=2))


@pytest.fixture(autouse=True)
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is fine-tuned, in order; each is the same network of two steps, with an accuracy of its pipeline's own."""
    short_searches(monkeypatch, tmp_path / "home", probes=(OWN,))
    monkeypatch.setattr("metad2a.train.pipeline.open_base", opened)
    for module in ("asking", "search"):
        monkeypatch.setattr(f"metad2a.search.pipelines.{module}.installed", lambda: {"own": True})
    monkeypatch.setattr(asking, "run", lambda searcher, measure, trials: run(searcher, measure, trials=TRIALS))
    monkeypatch.setattr(tuning, "begin_of", lambda *given, **more: None)
    made = two_steps()
    asked: list[str] = []

    def quick(pipeline: Pipeline, *given: object, **more: object) -> object:
        asked.append(str(pipeline))
        return replace(made, valid_accuracy=crc32(str(pipeline).encode()) % 97)

    monkeypatch.setattr(tuning, "tune_pipeline", quick)
    yield asked


def searched(name: str | None, **given: object) -> PipelineResult:
    return search_pipelines(stripes(60), seconds=500, searcher=name, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FIT)
def test_a_searcher_asks_and_validation_chooses(name: str, tuned: list[str]) -> None:
    result = searched(name)
    tried = [str(each.architecture) for each in result.trained]
    assert tried[0] == str(OWN) and len(tried) == 1 + TRIALS == len(set(tried)) and set(tuned) < set(tried)
    assert result.valid_accuracy == max(each.valid_accuracy or 0 for each in result.trained)
    assert any(f"the searcher {name} asked" in note for note in result.notes)


@pytest.mark.parametrize("name", ["reinforce", "surrogate"])
def test_a_killed_search_goes_on_the_same_way(
    name: str, tuned: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = [str(each.architecture) for each in searched(name).trained]
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "other"))
    before, quick = len(tuned), vars(tuning)["tune_pipeline"]

    def killed(*given: object, **more: object) -> object:
        if len(tuned) == before + 1:
            raise KeyboardInterrupt
        return quick(*given, **more)

    monkeypatch.setattr(tuning, "tune_pipeline", killed)
    with pytest.raises(KeyboardInterrupt):
        searched(name)
    monkeypatch.setattr(tuning, "tune_pipeline", quick)
    assert [str(each.architecture) for each in searched(name).trained] == whole
    monkeypatch.setattr(tuning, "tune_pipeline", None)
    assert searched(name).resumed == 1 + TRIALS  # nothing is trained again
    assert tuned[:before] == tuned[before:]


def test_what_other_weights_of_ours_began_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    first = searched("random")
    assert searched("random").resumed == len(first.trained)
    monkeypatch.setitem(vars(open_family("residual")), "digest", "0" * 16)  # an update brings others
    again = searched("random")
    assert again.resumed == 0 and again.folder != first.folder


def test_the_seed_decides_and_without_a_searcher_the_plan_does(tuned: list[str]) -> None:
    first, other = ([str(each.architecture) for each in searched("random", seed=seed).trained] for seed in (0, 1))
    assert first != other
    planned = searched(None)
    state = read_state(planned.folder)
    assert state is not None and "searcher" not in state.identity
    assert not any("asked for pipelines" in note for note in planned.notes)


@pytest.mark.parametrize("name", FORETOLD)
def test_what_is_foretold_best_is_asked_first(name: str, tuned: list[str]) -> None:
    searched(name)
    probe = chances.MeasuredProbe(OWN, searched(name).trained[0].valid_accuracy or 0.0, 1e4)
    likely = chances.chances([probe], images=36, classes=3, seconds=40, short=True)
    there = [each for each in likely if each.pipeline.weights in ("own", "scratch") and each.pipeline.resolution <= 64]
    assert tuned[0] == str(max(there, key=lambda each: each.expected).pipeline)


def test_what_cannot_be_done_or_is_beyond_the_limits_is_passed_over(tuned: list[str]) -> None:
    searched("random", limits=Limits(params=2_000_000))
    asked = [PIPELINE.pipeline(PIPELINE.parse(each)) for each in tuned]
    assert asked and all(each.slim or each.short for each in asked)
    assert {each.weights for each in asked} <= {"own", "scratch"} and max(each.resolution for each in asked) <= 64


def test_what_was_begun_replaces_the_first_wishes() -> None:
    inner = [controller("random", PIPELINE, seed=3) for _ in range(2)]
    wishes = inner[0].ask(60)
    kept = [each for each in wishes if not str(each).startswith("hog")]
    begun: list[Architecture] = [PIPELINE.parse("own 32px all rate0.1 whole")]
    asked = Asked(inner[1], begun=begun, possible=lambda each: not str(each).startswith("hog"))
    assert [*asked.ask(1), *asked.ask(4)] == [*begun, *kept[1:5]]


@pytest.mark.parametrize("after", [PROBED, Pipeline("own", 48, "all", 0.1)])
def test_what_is_tried_after_one_that_was_not_kept_has_a_curve_of_its_own(
    after: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = dict[str, list[float]]()

    def track(*given: object, curve: Sequence[Epoch], **more: object) -> None:
        curves[str(given[2].architecture)] = [each.loss for each in curve]  # type: ignore[attr-defined]

    def cut(pipeline: Pipeline, *given: object, on_epoch: Callable[[Epoch], None], **more: object) -> object:
        first = pipeline == TUNED and str(TUNED) not in curves  # it is cut, and goes on to something worse
        on_epoch(Epoch(1, 1.0 if pipeline == TUNED else 2.0, 3, 0.5, 1.0))
        return replace(two_steps(), complete=not first, valid_accuracy=90.0 if first else 1.0)

    monkeypatch.setattr("metad2a.search.pipelines.session.track_pipeline", track)
    monkeypatch.setattr(tuning, "tune_pipeline", cut)
    order = [PIPELINE.of(TUNED), PIPELINE.of(after)]
    monkeypatch.setattr(asking, "_searcher", lambda session, each: controller("zero-shot", PIPELINE, order=order))
    for seconds in (500, 1_000):
        search_pipelines(stripes(60), seconds=seconds, searcher="zero-shot")
    assert curves == {str(OWN): [], str(TUNED): [1.0], str(PIPELINE.of(after)): [2.0] * (after != PROBED)}


@pytest.mark.parametrize("name", [*UNFIT, "oracle"])
def test_one_of_no_use_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(UserError, match=f"given the searcher '{name}'|unknown searcher 'oracle'") as refusal:
        searched(name)
    assert "choose" in str(refusal.value) and "\n" not in str(refusal.value)
