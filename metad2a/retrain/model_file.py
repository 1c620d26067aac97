"""How a meta-model is written: its tensors, and a header that says what it is and what it learnt from."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import finite_space
from databases.hosting import lent
from databases.records.episodes import Episode
from metad2a.recommend.model import MetaD2A
from metad2a.retrain.from_scratch import Learnt
from metad2a.retrain.held_out import HeldOut, conformal_factors, tau
from predictors import checkpoint
from predictors.surrogates import Surrogate, pack_surrogates, published_recipes
from predictors.task_distance import KnownTasks


def header_of(
    learnt: Learnt,
    known: Sequence[Episode],
    held_out: Mapping[str, Sequence[HeldOut]],
    *,
    recipe: str,
    seed: int,
    foreign: Mapping[str, tuple[int, int, int]],
    start: MetaD2A | None,
) -> dict[str, Any]:
    """The header: configuration, what was learnt from, calibration by recipe, figures on the tasks of ``recipe``.

    ``foreign`` gives the network sizes of users' own recipes. What ``start`` said stays where nothing is newer.
    """
    model, earlier = learnt.predictor, {} if start is None else start.header
    of_recipe = held_out.get(recipe, ())
    cost = ("seconds_per_image_flop", "seconds_per_image")
    seconds = [earlier.get(name) for name in cost] if start else training_cost(finite_space(model.config.space).name)
    tasks, architectures = _counts(known, learnt.surrogates, earlier)
    return {
        "predictor": model.config.to_json(),
        "generator": learnt.generator.config.to_json(),
        "foreign_recipes": {**earlier.get("foreign_recipes", {}), **foreign},
        "start": "scratch" if start is None else start.weights,
        "recipe": recipe,
        "seed": seed,
        "tasks": tasks,
        "architectures": architectures,
        "conformal": {
            **earlier.get("conformal", {}),
            **{name: conformal_factors(each) for name, each in held_out.items() if each},
        },
        "held_out": {
            "tau": _mean(tau(each.mean, each.episode) for each in of_recipe),
            "tau_best_on_average": _mean(tau(each.average, each.episode) for each in of_recipe),
        },
        **dict(zip(cost, seconds, strict=True)),
    }


def save_model(output: Path, learnt: Learnt, places: KnownTasks | None, header: Mapping[str, Any]) -> str:
    """Writes a checkpoint that `metad2a.recommend.model.load` reads; returns its digest."""
    model = learnt.predictor
    known = places or KnownTasks((), (), np.zeros((0, 2 * model.config.features), np.float32), 1.0, 0.0)
    named = {"predictor": model, "generator": learnt.generator}
    tensors = {f"{n}.{k}": v for n, each in named.items() for k, v in each.state_dict().items()}
    packed, of_surrogates = pack_surrogates(learnt.surrogates)
    tensors |= packed
    tensors |= {f"memory.{name}": torch.from_numpy(value).float() for name, value in learnt.memory.items()}
    tensors["known.places"] = torch.from_numpy(known.places)
    tensors["cells"] = model.encode_many(finite_space(model.config.space).classes)
    return checkpoint.save(output, tensors, {**header, "surrogates": of_surrogates, "known": known.header()})


def training_cost(space_name: str) -> tuple[float, float]:
    """Seconds a training image costs on one thread here: per multiply-add of the network, and on top of that.

    From the fastest of a few timed steps of two networks of the `tiny` size.
    """
    chosen, skeleton = finite_space(space_name), Skeleton(8, 3, 3, 10)
    points = []
    largest = max(chosen.classes, key=lambda each: chosen.parameters(each, skeleton))
    for architecture in (chosen.classes[0], largest):
        with lent(threads=1):
            network = chosen.network(architecture, skeleton)
            x = torch.randn(32, 3, 16, 16).contiguous(memory_format=torch.channels_last)
            best = float("inf")
            for _ in range(6):
                begin = time.perf_counter()
                network(x).sum().backward()
                best = min(best, time.perf_counter() - begin)
        points.append((chosen.flops(architecture, skeleton, resolution=16), best / 32))
    (small, quick), (large, slow) = points
    per_flop = max(slow - quick, 1e-9) / (large - small)
    return per_flop, max(quick - per_flop * small, 0.0)


def _mean(taus: Iterable[float]) -> float | None:
    """The mean over tasks that have an order, None where there are none."""
    found = [each for each in taus if np.isfinite(each)]
    return float(np.mean(found)) if found else None


def _counts(
    known: Sequence[Episode], surrogates: Mapping[str, Surrogate], earlier: Mapping[str, Any]
) -> tuple[dict[str, int], dict[str, int]]:
    """Tasks and measured architectures by recipe; published tables count for the model that learnt them."""
    learnt = [each for each in known if not earlier or each.recipe not in published_recipes()]
    tasks = {**earlier.get("tasks", {}), **Counter(each.recipe for each in learnt)}
    architectures = dict(earlier.get("architectures", {}))
    for name in sorted({each.recipe for each in learnt}):
        architectures[name] = sum(len(each.cells) for each in learnt if each.recipe == name)
    for name, each in surrogates.items():
        tasks[name] = max(tasks.get(name, 0), len(each.names))
        architectures[name] = max(architectures.get(name, 0), sum(len(task.cells) for task in each.process.tasks))
    return tasks, architectures
