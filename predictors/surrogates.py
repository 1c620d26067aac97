"""The processes over measured tasks, one for each recipe: learnt from episodes, put together, kept in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from databases.architectures.space import finite_space
from databases.datasets.features import PLAIN, STATISTICS
from databases.records.episodes import FEW
from databases.records.recipe import RECIPES
from predictors import checkpoint
from predictors.embedding import Embedding, vectors
from predictors.meta import MetaPredictor
from predictors.scale import to_logit
from predictors.task_process import Kernel, MeasuredTask, TaskProcess

if TYPE_CHECKING:
    from databases.records.episodes import Episode


# Chosen by leave-one-source-out on the own tasks among the kernels that `metad2a evaluate` lists: which untrained
# cells tell the classes apart, and how far plain pixels do, says most about which cells suit them. Levels heed none.
PROBED = tuple(range(len(PLAIN), len(STATISTICS)))
KERNEL = Kernel((STATISTICS.index("pixel_accuracy"), *PROBED), levels_look_at=tuple(range(len(PLAIN))))
# Of a user's own benchmark, which may have a task or two: measured cells say most about the others of their task.
OF_TASKS = replace(KERNEL, task=1.0)
MOST_OF_TASK, MOST_CELLS = 1000, 4000  # an exact process is cubic in the cells: of more, some are drawn


@dataclass(frozen=True, eq=False)
class Surrogate:
    """The process over the tasks of one recipe, with the name and the family of each."""

    process: TaskProcess
    names: tuple[str, ...]
    families: tuple[str, ...]

    def without(self, family: str) -> TaskProcess | None:
        """The process that never saw a family; None where it saw nothing else."""
        left_out = [i for i, each in enumerate(self.families) if each == family]
        if len(left_out) == len(self.families):
            return None
        return self.process.without(left_out) if left_out else self.process


def learn_surrogates(
    model: MetaPredictor, known: Sequence[Episode], earlier: Mapping[str, Surrogate]
) -> dict[str, Surrogate]:
    """A surrogate for every recipe but the published ones, over its tasks of at least `FEW` cells.

    ``earlier`` surrogates must be on the same ``model``; their tasks stay where ``known`` has none of that name.
    """
    found = dict(earlier)
    for recipe in sorted({each.recipe for each in known} - published_recipes()):
        measured = _drawn([each for each in known if each.recipe == recipe and not each.few])
        if measured:
            found[recipe] = _joined(learn_process(model, measured, kernel_of(recipe)), measured, earlier.get(recipe))
    return found


def published_recipes() -> set[str]:
    """The recipes of published benchmarks, whose tables the meta-predictor itself learns."""
    return {name for name, each in RECIPES.items() if each.published}


def kernel_of(recipe: str) -> Kernel:
    """The kernel of a recipe's process: that of metad2a's own recipes, or of a user's."""
    return KERNEL if recipe in RECIPES else OF_TASKS


def measured(episode: Episode) -> MeasuredTask:
    """What the surrogate is told of a task."""
    seeds = np.isfinite(episode.by_seed).sum(1).astype(np.float64)
    statistics = episode.features.statistics.astype(np.float64)
    return MeasuredTask(statistics, episode.cells, to_logit(episode.accuracy), np.maximum(seeds, 1))


def learn_process(model: MetaPredictor, own: Sequence[Episode], kernel: Kernel = KERNEL) -> TaskProcess:
    """The process over fully measured tasks."""
    return TaskProcess([measured(each) for each in own], Embedding.of_space(model), kernel)


def pack_surrogates(surrogates: Mapping[str, Surrogate]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Tensors and header entries from which `unpack_surrogates` makes them again."""
    tensors: dict[str, Tensor] = {}
    header = []
    for number, (recipe, each) in enumerate(sorted(surrogates.items())):
        tensors |= {f"process{number}.{name}": value for name, value in pack_process(each.process).items()}
        named = {"names": list(each.names), "families": list(each.families), "task": each.process.kernel.task}
        header.append({"recipe": recipe, **named})
    return tensors, header


def unpack_surrogates(
    tensors: Mapping[str, Tensor], header: Mapping[str, Any], model: MetaPredictor
) -> dict[str, Surrogate]:
    """Reads `pack_surrogates` back; raises `KeyError` for a checkpoint of another version."""
    found = {}
    for number, each in enumerate(header["surrogates"]):
        kernel = replace(KERNEL, task=each.get("task", 0.0))  # calibrated with this one
        process = unpack_process(checkpoint.part(tensors, f"process{number}"), model, kernel)
        if process is not None:
            found[each["recipe"]] = Surrogate(process, tuple(each["names"]), tuple(each["families"]))
    return found


def pack_process(process: TaskProcess) -> dict[str, Tensor]:
    """What `unpack_process` needs beside the meta-predictor."""
    embed = process.embed
    assert isinstance(embed, Embedding)
    tasks = process.tasks
    arrays = {
        "center": embed.center,
        "spread": embed.spread,
        "statistics": np.stack([each.statistics for each in tasks]),
        "lengths": np.array([len(each.cells) for each in tasks]),
        "cells": np.concatenate([each.cells for each in tasks]),
        "logits": np.concatenate([each.logits for each in tasks]),
        "seeds": np.concatenate([each.seeds for each in tasks]),
    }
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def unpack_process(tensors: Mapping[str, Tensor], model: MetaPredictor, kernel: Kernel = KERNEL) -> TaskProcess | None:
    """Reads `pack_process` back; None where nothing was packed. Raises `KeyError` for what another version packed."""
    if "cells" not in tensors:
        return None
    if tensors["statistics"].shape[1] != len(STATISTICS):
        raise KeyError("statistics")
    if len(tensors["center"]) != vectors(model, finite_space(model.config.space).classes[:1]).shape[1]:
        raise KeyError("center")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    ends = np.cumsum(arrays["lengths"])[:-1]
    parts = (np.split(arrays[name], ends) for name in ("cells", "logits", "seeds"))
    tasks = [MeasuredTask(*each) for each in zip(arrays["statistics"], *parts, strict=True)]
    return TaskProcess(tasks, Embedding(model, arrays["center"], arrays["spread"]), kernel)


def _joined(process: TaskProcess, measured: Sequence[Episode], earlier: Surrogate | None) -> Surrogate:
    """The new process with the earlier one's tasks that are not measured here."""
    names, families = [each.features.name for each in measured], [each.family for each in measured]
    if earlier is not None:
        kept = [i for i, name in enumerate(earlier.names) if name not in set(names)]
        names += [earlier.names[i] for i in kept]
        families += [earlier.families[i] for i in kept]
        if kept:
            tasks = [*process.tasks, *(earlier.process.tasks[i] for i in kept)]
            process = TaskProcess(tasks, process.embed, process.kernel)
    return Surrogate(process, tuple(names), tuple(families))


def _drawn(measured: Sequence[Episode]) -> list[Episode]:
    """The episodes with at most `MOST_OF_TASK` cells each and about `MOST_CELLS` in all, drawn where there are more."""
    most = MOST_OF_TASK
    while most > FEW and sum(min(len(each.cells), most) for each in measured) > MOST_CELLS:
        most = max(FEW, most * 9 // 10)
    return [each if len(each.cells) <= most else _some(each, most) for each in measured]


def _some(episode: Episode, count: int) -> Episode:
    return episode.rows(np.sort(np.random.default_rng(0).permutation(len(episode.cells))[:count]))
