"""One Gaussian process for every recipe that tasks were measured with: learnt, put together, kept in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from databases.records.episodes import FEW
from databases.records.recipe import RECIPES
from predictors import checkpoint
from predictors.meta import MetaPredictor
from predictors.process import KERNEL, kernel_of, learn, pack, unpack
from predictors.task_process import TaskProcess

if TYPE_CHECKING:
    from databases.records.episodes import Episode

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
    for recipe in sorted({each.recipe for each in known} - published()):
        measured = _drawn([each for each in known if each.recipe == recipe and not each.few])
        if measured:
            found[recipe] = _joined(learn(model, measured, kernel_of(recipe)), measured, earlier.get(recipe))
    return found


def published() -> set[str]:
    """The recipes of published benchmarks, whose tables the meta-predictor itself learns."""
    return {name for name, each in RECIPES.items() if each.published}


def pack_surrogates(surrogates: Mapping[str, Surrogate]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Tensors and header entries from which `unpack_surrogates` makes them again."""
    tensors: dict[str, Tensor] = {}
    header = []
    for number, (recipe, each) in enumerate(sorted(surrogates.items())):
        tensors |= {f"process{number}.{name}": value for name, value in pack(each.process).items()}
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
        process = unpack(checkpoint.part(tensors, f"process{number}"), model, kernel)
        if process is not None:
            found[each["recipe"]] = Surrogate(process, tuple(each["names"]), tuple(each["families"]))
    return found


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
    keep = np.sort(np.random.default_rng(0).permutation(len(episode.cells))[:count])
    by_seed, accuracy = episode.by_seed[keep], episode.accuracy[keep]
    return replace(episode, cells=episode.cells[keep], accuracy=accuracy, by_seed=by_seed)
