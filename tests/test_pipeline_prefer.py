"""A search that prefers speed: of what is as good by validation the fastest answers, alone, and it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pipeline_world import short_searches, stripes
from pydantic import ValidationError
from typer.testing import CliRunner

from databases.architectures.spaces.pipeline import Pipeline
from databases.errors import UserError
from metad2a.cli.app import app
from metad2a.recommend.chances import Chance, MeasuredProbe
from metad2a.recommend.limits import Limits
from metad2a.recommend.pipeline_cost import THIS_MACHINE, Allowed, cost_of, limits_here
from metad2a.search.pipelines import competing
from metad2a.search.pipelines.competing import first_round
from metad2a.search.pipelines.search import PipelineResult, search_pipelines
from metad2a.search.pipelines.session import PipelineSession
from metad2a.service.schemas import SearchIn

PROBE, WHOLE = Pipeline("own", 32, "probe"), Pipeline("own", 32, "all", 0.03)
SLIM = replace(WHOLE, slim=True)
TASK = stripes(60)
FAST = limits_here(None, None, None, prefer="latency")
TAKES = {"whole": 3.0, "slim": 1.0}


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, our weights alone, short fine-tunings, and milliseconds that are the same everywhere."""

    def takes(self: Allowed, pipeline: Pipeline) -> float:
        return TAKES["slim" if pipeline.slim else "whole"]

    short_searches(monkeypatch, tmp_path / "home", probes=(PROBE,))
    monkeypatch.setattr(Allowed, "latency", takes)


def searched(monkeypatch: pytest.MonkeyPatch, slim: float, limits: Limits = FAST) -> PipelineResult:
    """A search whose probe and whole network know 80% of the validation images and whose slice knows ``slim``."""
    known = {PROBE: 60.0, WHOLE: 80.0, SLIM: slim}
    keep = PipelineSession.keep

    def told(self: PipelineSession, index: int, classifier: object, accuracy: float, *given: object, **more: object):  # type: ignore[no-untyped-def]
        return keep(self, index, classifier, known[self.pipeline(index)], *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(PipelineSession, "keep", told)
    monkeypatch.setattr(competing, "first_round", lambda *a, **b: [Chance(WHOLE, 0.3, 80.0), Chance(SLIM, 0.3, 80.0)])
    return search_pipelines(TASK, seconds=500, limits=limits)


def test_the_fastest_within_half_a_point_is_exported_alone_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    result = searched(monkeypatch, 79.6)
    assert result.best == SLIM and result.members == (SLIM,) and result.valid_accuracy == 79.6
    assert sum(each.numel() for each in result.exported.training.network.parameters()) == cost_of(SLIM, TASK).parameters
    told = (
        "the fastest within 0.5 points of own 32px all rate0.03 whole: 1 ms an image, not 3; validation 79.6, not 80.0%"
    )
    assert any(note.endswith(told) for note in result.notes)
    again = search_pipelines(TASK, seconds=500, limits=FAST)
    assert again.best == SLIM and again.notes == result.notes and again.folder == result.folder


def test_what_is_worse_than_that_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    result = searched(monkeypatch, 79.4)
    assert result.best == WHOLE and not any("the fastest within" in note for note in result.notes)


def test_without_the_preference_the_best_is_exported_by_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    free, fast = searched(monkeypatch, 79.6, Limits()), searched(monkeypatch, 79.6)
    assert free.best == WHOLE and free.folder != fast.folder


def test_what_is_expected_as_good_begins_with_the_fastest() -> None:
    measured = [MeasuredProbe(PROBE, 90.0, 1_000.0)]
    free = first_round(measured, images=800, classes=5, seconds=20.0)
    fast = first_round(measured, images=800, classes=5, seconds=20.0, allowed=Allowed(FAST, TASK))
    equal = [each for each in free if each.expected >= free[0].expected - 0.5]
    assert fast[0].pipeline.slim or not any(each.pipeline.slim for each in equal)
    assert fast[0].expected >= free[0].expected - 0.5


def test_a_run_is_told_apart_by_limits_and_preference() -> None:
    assert Limits().named() == {} and FAST.named() == {"prefer": "latency"}
    both = limits_here(1_000, None, None, prefer="latency")
    assert both.named() == {"limits": "at most 1,000 parameters", "prefer": "latency"}


def test_another_preference_is_refused_in_a_line() -> None:
    with pytest.raises(UserError, match="given the preference 'balanced' for a search of pipelines; allowed are"):
        Allowed(Limits(device=THIS_MACHINE, prefer="balanced"), TASK)
    with pytest.raises(ValidationError, match="prefer means nothing in the space nasbench201"):
        SearchIn(dataset="0" * 32, prefer="latency", space="nasbench201")
    assert SearchIn(dataset="0" * 32, prefer="latency").space == "pipeline"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--prefer", "latency", "--space", "nasbench201"], "in the space pipeline only"),
        (["recommend", "--prefer", "latency"], "in spaces of networks only"),
        (["search", "--prefer", "speed"], "'speed' is not one of 'accuracy', 'latency'"),
    ],
)
def test_it_is_refused_where_it_means_nothing(arguments: list[str], said: str) -> None:
    command, *rest = arguments
    result = CliRunner().invoke(app, [command, "sklearn:digits", *rest])
    assert result.exit_code != 0 and said in " ".join((result.output + str(result.exception)).split())
