"""`metad2a evaluate --fast`: the figures that need nothing but the package, its weights and its measurements.

The weights remember the statistics and the place of every task they learnt from: no image is read.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from databases.datasets.features import TaskFeatures
from databases.errors import Say
from databases.records.episodes import Episode, episodes_with, own_episodes
from databases.records.record import TaskEntry
from databases.records.store import Store
from metad2a.build.shipped import add_measurements
from metad2a.evaluate.ablations import ablations
from metad2a.evaluate.latency_evaluation import latency_figures
from metad2a.evaluate.own_tasks import own_tasks
from metad2a.recommend.model import MetaD2A
from metad2a.retrain.held_out import leave_one_source_out
from metad2a.retrain.may_teach import may_teach
from metad2a.runtime.home import shared_folder
from predictors.surrogates import learn_process

MODE = "fast mode: from the package alone, ablations on every third source, few draws"
LEFT_OUT = {"skipped": "needs the development data: leave --fast out"}
EVERY = 3


def fast_figures(model: MetaD2A, recipe: str, say: Say) -> dict[str, Any]:
    """Every table of `metad2a evaluate`, as far as it can be had in a minute; a reason in place of the others.

    Naswot and the forest that looks at it need images too.
    """
    say(MODE)
    own = own_episodes(remembered(model, recipe), recipe)
    say("leave one source out")
    held_out = leave_one_source_out(learn_process(model.predictor, own), own)
    data = shared_folder()
    figures: dict[str, Any] = {"own tasks": own_tasks(held_out, own).to_json()}
    say("ablations")
    figures["ablations"] = ablations(model.predictor, own, every=EVERY)
    say("devices")
    latency = latency_figures(None if data is None else data / "nasbench201", fast=True)
    return {**figures, "backbones": LEFT_OUT, "MetaD2A rows": LEFT_OUT, "latency": latency}


def remembered(model: MetaD2A, recipe: str) -> list[Episode]:
    """The shipped measurements with what the model remembers of their tasks."""
    surrogate = model.surrogates[recipe]
    statistics = {name: task.statistics for name, task in zip(surrogate.names, surrogate.process.tasks, strict=True)}
    places = dict(zip(model.known.names, model.known.places, strict=True))

    def features_of(entry: TaskEntry) -> TaskFeatures | None:
        """Two classes of one image each that lie where the task lies: mean plus and mean less its spread."""
        if entry.name not in statistics or entry.name not in places:
            return None
        middle, spread = np.split(places[entry.name], 2)
        features, labels = np.stack([middle - spread, middle + spread]), np.array([0, 1])
        known = statistics[entry.name].astype(np.float32)
        return TaskFeatures(features, labels, known, entry.name, entry.source, entry.key)

    with TemporaryDirectory() as folder, Store(Path(folder) / "records.db") as store:
        add_measurements(store)
        return episodes_with(store, features_of, usable=may_teach)
