"""Whole pipelines, recommended and searched for, in plain values; the default of the service."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from metad2a.recommend.front import front
from metad2a.service import bases

if TYPE_CHECKING:
    from databases.architectures.spaces.pipeline import Pipeline
    from databases.datasets.task import Task
    from databases.records.store import Store
    from metad2a.recommend.pipelines import Seen
    from metad2a.search.pipelines.search import PipelineResult
    from metad2a.search.run_state import Trained
    from metad2a.service.library import OnEvent, Workplace
    from metad2a.train.bases import Base
    from metad2a.train.loop import Epoch

LIMITS = ("max_params", "max_flops", "max_latency")  # the names of `limits_here`'s in requests
_BETWEEN = 0.5  # seconds between two lines of what goes on just now


def look_at(task: Task, seed: int, *, also: Base | None = None) -> Seen:
    """What probes see of a dataset, for every question about it; ``also`` is a network of the team's own."""
    from metad2a.recommend.pipelines import look_at as look
    from metad2a.runtime.home import features_folder

    return look(task, seed=seed, cache=features_folder(), also=also)


def recommend(
    task: Task, looked: Seen, options: Mapping[str, Any], store: Store, *, also: Base | None = None
) -> dict[str, Any]:
    """The answer of ``metad2a recommend --json``: the best choices and the front.

    Beside it: how many were ``ranked``, and ``cloud``, the latency and expected accuracy of all others, for a picture.
    """
    from metad2a.recommend.pipeline_cost import limits_here
    from metad2a.recommend.pipelines import recommend_pipelines

    limits = limits_here(*(options[name] for name in LIMITS))
    answer = recommend_pipelines(
        task, seconds=options["seconds"], looked=looked, limits=limits, seed=options["seed"], store=store, also=also
    )
    kept = [each for each in answer.choices if each in answer.front or each in answer.choices[: options["top"]]]
    cloud = [[each.latency_ms, each.expected_accuracy] for each in answer.choices if each not in kept]
    return {**replace(answer, choices=tuple(kept)).to_json(), "ranked": len(answer.choices), "cloud": cloud}


def shown(answer: Mapping[str, Any]) -> dict[str, Any]:
    """A recommendation as pages show it: the front first, the fastest first, then others by accuracy.

    Each has its ``marks`` (best, knee, equal), and the ``cost`` and ``level`` of its place in the picture.
    """
    marked = {"best": answer["choices"][0]["pipeline"], "knee": answer["knee"], "equal": answer["equal"]}
    known = {
        each["pipeline"]: {
            **each,
            "title": each["pipeline"],
            "cost": each["latency_ms"],
            "level": each["expected_accuracy"],
            "marks": [mark for mark, name in marked.items() if name == each["pipeline"]],
        }
        for each in answer["choices"]
    }
    along = [known[name] for name in answer["front"]]
    listed = [*along, *(each for name, each in known.items() if name not in answer["front"])]
    best, equal = known[marked["best"]], known[marked["equal"]]
    return {
        **answer,
        "candidates": listed,
        "front": along,
        "faster": 1 - equal["latency_ms"] / best["latency_ms"],
        "cost_unit": "milliseconds an image here",
        "level_name": "expected accuracy, %",
    }


def search(task: Task, options: Mapping[str, Any], place: Workplace, on_event: OnEvent) -> PipelineResult:
    """Probes and fine-tunes within the budget: `metad2a.search.pipelines.search.search_pipelines`."""
    from metad2a.recommend.pipeline_cost import limits_here
    from metad2a.search.pipelines.search import search_pipelines, told_of_epoch

    also = bases.open_one(place.bases, options.get("also"), channels=task.channels)
    told, prefer = 0.0, options.get("prefer", "accuracy")
    limits = limits_here(*(options.get(name) for name in LIMITS), prefer=prefer)

    def now(text: str, event: str = "now", **more: Any) -> None:
        nonlocal told
        if time.monotonic() - told >= _BETWEEN:
            told = time.monotonic()
            on_event(event, {"text": text, "seconds": round(told - place.begun, 2), **more})

    def on_epoch(pipeline: Pipeline, epoch: Epoch) -> None:
        point = {"title": str(pipeline), "progress": epoch.progress, "loss": epoch.loss}
        now(told_of_epoch(pipeline, epoch), "curve", **point)

    return search_pipelines(
        task,
        seconds=options["seconds"],
        augment=options["augment"],
        limits=limits,
        also=also,
        seed=options["seed"],
        tracker=place.tracker,
        folder=place.folder,
        begun=place.begun,
        store=place.store,
        line=lambda text: on_event("line", {"text": text, "seconds": round(time.monotonic() - place.begun, 2)}),
        now=now,
        on_epoch=on_epoch,
    )


def summed_up(result: PipelineResult) -> dict[str, Any]:
    """What a search leaves; ``seen`` is for a picture of accuracy against cost, ``figures`` are of the test images."""
    card, trained = result.exported.card, [_plain(each) for each in result.trained]
    best = next(each for each in trained if each["architecture"] == str(result.best))
    figures = {name: getattr(result.report, name) for name in ("macro_f1", "megabytes", "milliseconds")}
    return {
        **{name: best[name] for name in ("architecture", "title", "space", "key", "parameters", "flops")},
        "valid_accuracy": result.valid_accuracy,
        "test_accuracy": result.test_accuracy,
        "trained": trained,
        "seen": _seen(trained),
        "figures": figures,
        "seconds": result.seconds,
        "resumed": result.resumed,
        "stopped_by": "time",
        "notes": list(result.notes),
        "classes": list(card.class_names),
        "run": result.folder.name,
        **{name: getattr(card, name) for name in ("recipe", "seed", "complete", "fingerprint", "temperature")},
    }


def _plain(trained: Trained) -> dict[str, Any]:
    plain, text, space = asdict(trained), str(trained.architecture), trained.architecture.space
    seconds = plain.pop("seconds")
    return {**plain, "architecture": text, "title": text, "space": space, "key": None, "trained_seconds": seconds}


def _seen(trained: Sequence[dict[str, Any]]) -> dict[str, Any]:
    points = _plotted(trained)
    told = {"cost_unit": "FLOPs of one image", "level_name": "validation accuracy, %"}
    return {"candidates": points, "front": front(points, cost=itemgetter("cost"), quality=itemgetter("level")), **told}


def _plotted(trained: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cost and level of each, in the order of the table."""
    return [
        {
            "title": each["title"],
            "cost": float(each["flops"]),
            "level": each["valid_accuracy"] or 0.0,
            "expected_accuracy": each["valid_accuracy"] or 0.0,
        }
        for each in trained
    ]
