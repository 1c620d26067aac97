"""The one place where the service calls the library: recommend, search, train, retrain, and what they leave.

Everything goes in and comes out as plain JSON values, so that pages and schemas need not know the library's classes.
Functions import heavy packages themselves: the web process calls only the light ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databases.errors import UserError
from databases.usual import AUTOMATIC, DEFAULT_SPACE
from metad2a.service.words import as_fields, content_of, word_of

if TYPE_CHECKING:
    from databases.architectures.space import Architecture
    from databases.datasets.room import Room
    from databases.datasets.task import Task
    from databases.records.store import Store
    from metad2a.recommend.model import MetaD2A
    from metad2a.runtime.tracking import Tracker
    from metad2a.search.result import SearchProgress, SearchResult

OnEvent = Callable[[str, dict[str, Any]], None]  # kind of event, what it tells
MAX_KEY = 4_000
# a question's name -> that of `Limits`
_LIMITS = {f"max_{name}": name for name in ("params", "flops", "latency")} | {
    name: name for name in ("device", "prefer")
}
_CLOUD = 400


@dataclass(frozen=True)
class Workplace:
    """Where a job works: records, its folder, own networks, MLflow, the monotonic second at which its budget began."""

    store: Store
    folder: Path
    bases: Path
    tracker: Tracker
    begun: float


def recipes() -> list[str]:
    """The recipes by which networks can be trained here."""
    from databases.records.recipe import RECIPES

    return [name for name, recipe in RECIPES.items() if not recipe.published]


def device_names() -> list[str]:
    """The target devices whose latencies can be predicted."""
    from metad2a.devices.latency_model import HARDWARE

    return sorted(HARDWARE)


def load_data(
    path: str, name: str, *, seed: int = 0, up_to: int | None = None, room: Room | None = None, groups: str = AUTOMATIC
) -> Task:
    """A stored dataset by its owner's name for it, to train on where a ``room`` is given; see `load_task`."""
    from databases.datasets.loading import load_task

    task = load_task(path, seed=seed, up_to=up_to, looking=room is None, room=room, groups=groups)
    return replace(task, name=name, source=name, notes=tuple(map(as_fields, task.notes)))


def load_model(which: str | None = None) -> MetaD2A:
    """The shipped meta-model, ``champion`` or ``challenger``."""
    from metad2a.retrain.open_model import open_model

    return open_model(None if which in (None, "shipped") else Path(str(which)))


def recommend(model: MetaD2A, task: Task, options: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """The answer of ``metad2a recommend --json``; each candidate with a title, and a key where it can be drawn.

    Beside it: ``front``, the candidates that none beats in both accuracy and cost, cheapest first, and ``cloud``, the
    cost and level of some of all the others, for a picture. ``level`` is the expected accuracy, or where that is not
    known the score, which only orders.
    """
    from metad2a.recommend.here import timed_here
    from metad2a.recommend.limits import Limits
    from metad2a.recommend.measured import measured_here
    from metad2a.recommend.preference import front_of

    given = {name: value for name, value in options.items() if value is not None} | {"top": None}
    named = {_LIMITS[name]: value for name, value in given.items() if name in _LIMITS}
    chosen = {name: value for name, value in given.items() if name not in _LIMITS}
    answer = timed_here(measured_here(model.recommend(task, **chosen, limits=Limits(**named)), store), task)
    everything = answer.candidates
    kept = replace(answer, candidates=everything[: options["top"]], front=answer.front or front_of(everything))
    told = kept.to_json()
    for name, candidates in (("candidates", kept.candidates), ("front", kept.front)):
        for each, candidate in zip(told[name], candidates, strict=True):
            each |= _described(candidate.architecture) | {"cost": candidate.cost, "level": candidate.quality}
    step = max(1, len(everything) // _CLOUD)
    cloud = [[each.cost, each.quality] for each in everything[::step]]
    return {**told, "ranked": len(everything), "cost_unit": "ms" if answer.device else "FLOPs", "cloud": cloud}


def _described(architecture: Architecture) -> dict[str, Any]:
    from databases.architectures.space import space

    return {
        "title": space(architecture.space).brief(architecture),
        "space": architecture.space,
        "key": key_of(architecture),
    }


def key_of(architecture: Architecture) -> str:
    """The text of an architecture and its space, fit for an address."""
    return word_of(f"{architecture.space} {architecture}".encode())


def architecture_of(key: str) -> Architecture:
    """The architecture of a key; raises UserError for one that no architecture has."""
    from databases.architectures.space import space

    try:
        if len(key) > MAX_KEY:
            raise ValueError("too long")
        name, _, text = content_of(key).decode().partition(" ")
        return space(name).parse(text)
    except ValueError as problem:  # as UserError is
        raise UserError("no architecture has this key: take it from a candidate of a recommendation") from problem


def drawing(key: str) -> str:
    """An architecture as SVG; raises UserError where its space has no drawings."""
    from metad2a.reports.cell_svg import cell_svg

    return cell_svg(architecture_of(key))


def search(task: Task, options: Mapping[str, Any], place: Workplace, on_event: OnEvent) -> SearchResult:
    """Recommends, trains, learns, exports: `metad2a.search.search.search`."""
    from metad2a.search.search import search as run

    return run(
        load_model(options.get("model")),
        task,
        store=place.store,
        train=options["train"],
        seconds=options.get("seconds"),
        recipe=options["recipe"],
        searcher=options["searcher"],
        space=options.get("space") or DEFAULT_SPACE,
        stop_early=options["stop_early"],
        augment=options.get("augment", AUTOMATIC),  # jobs of an earlier version have none
        seed=options["seed"],
        tracker=place.tracker,
        folder=place.folder,
        begun=place.begun,
        on_progress=Telling(on_event),
    )


def train(task: Task, options: Mapping[str, Any], place: Workplace, on_event: OnEvent) -> SearchResult:
    """Trains one architecture: `metad2a.search.search.train_one`."""
    from databases.architectures.space import space
    from metad2a.search.search import train_one

    return train_one(
        task,
        space(options["space"]).parse(options["architecture"]),
        store=place.store,
        recipe=options["recipe"],
        seconds=options.get("seconds"),
        augment=options.get("augment", AUTOMATIC),
        seed=options["seed"],
        tracker=place.tracker,
        folder=place.folder,
        begun=place.begun,
        on_progress=Telling(on_event),
    )


def retrain(options: Mapping[str, Any], place: Workplace, on_event: OnEvent) -> dict[str, Any]:
    """Learns from the database and meets the champion: `metad2a.retrain.retrain`."""
    from metad2a.retrain.retrain import retrain as run
    from metad2a.runtime.home import features_folder, home, shared_images

    place.folder.mkdir(parents=True, exist_ok=True)
    result = run(
        place.store,
        images=shared_images(),
        output=place.folder / "meta.safetensors",
        work=home() / "retrain",
        cache=features_folder(),
        tracker=place.tracker,
        start=load_model(options.get("start")),
        recipe=options["recipe"],
        seed=options["seed"],
        on_progress=lambda line: on_event("line", {"text": line}),
    )
    comparison = None if result.comparison is None else result.comparison.to_json()
    return {
        "weights": result.weights,
        "held_out_tau": result.held_out_tau,
        "version": result.version,
        "promoted": result.promoted,
        "comparison": comparison,
    }


class Telling:
    """Turns a search's progress into events; epochs at most five a second, so that short ones flood nobody."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._told = 0.0

    def __call__(self, each: SearchProgress) -> None:
        """Reports one thing that happened."""
        data: dict[str, Any] = {
            "number": each.number,
            "count": each.count,
            "seconds": round(each.seconds, 2),
            **_described(each.architecture),
        }
        if each.epoch is not None:
            last = each.epoch.epoch >= each.epoch.epochs
            if not last and each.epoch.valid_accuracy is None and time.monotonic() - self._told < 0.2:
                return
            self._told = time.monotonic()
            data |= asdict(each.epoch) | {"epoch_seconds": each.epoch.seconds, "seconds": data["seconds"]}
        if each.trained is not None:
            data |= _plain_training(each.trained)
        self._on_event(each.event, data)


def summed_up(result: SearchResult) -> dict[str, Any]:
    """What a search or training leaves, in plain values."""
    card = result.exported.card
    trained = [_plain_training(each) | _described(each.architecture) for each in result.trained]
    best = next((each for each in trained if each["architecture"] == str(result.best)), {})
    names = ("recipe", "seed", "complete", "fingerprint")
    return {
        "architecture": str(result.best),
        **_described(result.best),
        "valid_accuracy": result.valid_accuracy,
        "test_accuracy": result.test_accuracy,
        "parameters": best.get("parameters"),
        "flops": best.get("flops"),
        "trained": trained,
        "seconds": result.seconds,
        "resumed": result.resumed,
        "stopped_by": result.stopped_by,
        "notes": list(result.notes),
        "classes": list(card.class_names),
        "run": result.folder.name,
        **{name: getattr(card, name) for name in names},
    }


def _plain_training(trained: Any) -> dict[str, Any]:
    plain = asdict(trained)
    seconds = plain.pop("seconds")
    return {**plain, "architecture": str(trained.architecture), "trained_seconds": seconds}


def export_onnx(folder: Path) -> str | None:
    """Writes the network of a folder as ONNX too; why that cannot be done, None where it was."""
    from metad2a.export.onnx import export_onnx as write

    try:
        write(folder)
    except Exception as problem:  # the network is found and kept: another file format must not cost it
        return " ".join(str(problem).split())[:200]
    return None


def check_search(*, recipe: str, searcher: str | None = None, space: str | None = None) -> None:
    """Refuses what no job could do, before it waits in a queue; raises UserError."""
    from databases.architectures.spaces.pipeline import searched_space
    from databases.records.recipe import trainable
    from metad2a.search.controllers import check_searcher

    trainable(recipe)
    searched_space(space or DEFAULT_SPACE)
    if searcher is not None:
        check_searcher(searcher)


def checked_architecture(space_name: str, text: str) -> str:
    """The text of an architecture as its space writes it; raises UserError for a text that is none."""
    from databases.architectures.space import image_space

    return str(image_space(space_name).parse(text))
