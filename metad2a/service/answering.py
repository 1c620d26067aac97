"""The process that holds the meta-model and answers recommendations: ``python -m metad2a.service.answering``."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databases.hosting import own_process
from databases.records.store import Store
from databases.usual import AUTOMATIC
from metad2a.service import bases, library, pipelines
from metad2a.service.helper import serve

if TYPE_CHECKING:
    from databases.datasets.task import Task
    from metad2a.recommend.model import MetaD2A
    from metad2a.recommend.pipelines import Seen
    from metad2a.train.bases import Base

_MOST_TASKS = 4
_tasks: OrderedDict[tuple[str, int, str], Task] = OrderedDict()
# of the tasks that are asked for pipelines, also with a network of the team's own: its version -> what probes saw
_looks: dict[tuple[str, int, str], dict[str, tuple[Seen, Base | None]]] = {}
_models: dict[str, MetaD2A] = {}


def recommend(
    path: str, name: str, model: str, options: dict[str, Any], database: str, bases: str, groups: str = AUTOMATIC
) -> dict[str, Any]:
    """The answer for a stored dataset, which knows what searches measured into the database."""
    from databases.architectures.space import space
    from databases.architectures.spaces.pipeline import PipelineSpace

    chosen = dict(options)
    seed, asked = int(chosen["seed"]), space(chosen.pop("space"))
    key = (path, seed, asked.name)
    if key not in _tasks:
        _tasks[key] = library.load_data(path, name, seed=seed, up_to=asked.up_to, groups=groups)
    _tasks.move_to_end(key)
    while len(_tasks) > _MOST_TASKS:
        _looks.pop(_tasks.popitem(last=False)[0], None)
    with Store(database) as store:
        if isinstance(asked, PipelineSpace):
            looked, also = _looked(key, Path(bases), chosen.pop("also", None))
            return pipelines.recommend(_tasks[key], looked, chosen, store, also=also)
        return library.recommend(_model(model), _tasks[key], chosen, store)


def _looked(key: tuple[str, int, str], folder: Path, name: str | None) -> tuple[Seen, Base | None]:
    """What probes see of a task, and the team's own network of that name."""
    known, version = _looks.setdefault(key, {}), bases.version(folder, name)
    if version not in known:
        task = _tasks[key]
        also = bases.open_one(folder, name, channels=task.channels)
        known[version] = pipelines.look_at(task, key[1], also=also), also
    return known[version]


def _model(name: str) -> MetaD2A:
    if name != "shipped":  # which one is champion changes
        return library.load_model(name)
    if name not in _models:
        _models[name] = library.load_model(name)
    return _models[name]


def warm() -> bool:
    """Loads the shipped model."""
    return _model("shipped") is not None


if __name__ == "__main__":
    own_process()
    serve({"recommend": recommend, "warm": warm})
