"""A table of measured architectures of one task: a Measure by look-up, and the oracle that judges searchers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, space
from databases.errors import UserError
from databases.records.store import Store
from databases.usual import DEFAULT_SPACE

OWN = "table"  # the prefix of users' tasks, which need not be given
IMPORT_FIRST = (
    "run `metad2a database import nasbench201 FILE` first, with NAS-Bench-201-v1_1-096897.pth, to which "
    "github.com/D-X-Y/NAS-Bench-201 leads"
)
BENCHMARKS = {"nasbench201": "nasbench201"}  # the prefix of a benchmark's tasks -> its space
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BenchmarkTable:
    """Every architecture of a space with its validation and test value on one task.

    Searchers are given ``valid``; reports give ``test``. Both are (n,), in the order of ``architectures``.
    ``predictor`` names what ``valid`` was predicted by, where it was not measured.
    """

    task: str
    recipe: str
    architectures: tuple[Architecture, ...]
    valid: Values
    test: Values
    predictor: str | None = None
    _row: dict[Architecture, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", {each: i for i, each in enumerate(self.architectures)})

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """The values in ``valid``: a `metad2a.search.loop.Measure`."""
        return list(map(float, self.valid[self.rows(architectures)]))

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self.architectures)

    def rows(self, architectures: Sequence[Architecture]) -> npt.NDArray[np.int64]:
        """(n,) places of n architectures in the table; raises UserError naming the first that it does not hold."""
        try:
            return np.array([self._row[each] for each in architectures], dtype=np.int64)
        except KeyError as missing:
            raise UserError(
                f"the table of {self.task} has no value for {missing.args[0]}: import a complete one"
            ) from None


def read_table(store: Store, task: str, *, recipe: str = "nasbench201", name: str = DEFAULT_SPACE) -> BenchmarkTable:
    """The table of a task that the store holds (``metad2a database import``) for a recipe, over the space ``name``.

    A task without validation values is searched on its test values, one without test values judged on its
    validation values. A user's own task (``table/leaves``) may be given by its name alone.

    Raises:
        UserError: unknown task, recipe or space (lists the known ones), or a table with holes.
    """
    chosen, task = space(name), _key(store, task)
    test = store.values(task, recipe, metric="test_accuracy", space=name)
    valid = store.values(task, recipe, metric="valid_accuracy", space=name)
    valid, test = valid or test, test or valid
    if not test:
        raise UserError(_unknown(store, task, recipe, name))
    every: list[Architecture] = []
    for each in chosen.enumerate():  # of a space too large for a table, the first hole ends it
        text = str(each)
        if text not in test or text not in valid:
            held = len(test.keys() & valid.keys())
            raise UserError(
                f"the table of {task!r} has holes: it holds {held:,} of {chosen.size:,} architectures of the space "
                f"{name!r} and not {text}; a benchmark needs them all: import the missing ones, or name another table"
            )
        every.append(each)
    texts = [str(each) for each in every]
    told, judged = (np.array([of[text] for text in texts]) for of in (valid, test))
    return BenchmarkTable(task, recipe, tuple(every), told, judged)


def _key(store: Store, task: str) -> str:
    """The task's key, also where a user's task is given by its name alone."""
    own = f"{OWN}/{task}"
    return own if store.task(task) is None and store.task(own) is not None else task


def _unknown(store: Store, task: str, recipe: str, name: str) -> str:
    """What the store holds instead."""
    recipes = sorted({key.recipe for key in store.keys(task=task, space=name)})
    if recipe in recipes:
        return f"the table of {task!r} with the recipe {recipe!r} holds no accuracies: choose another"
    if recipes:
        return f"no table of {task!r} with the recipe {recipe!r} in the database: it holds {', '.join(recipes)}"
    if store.task(task) is not None:
        return f"the table of {task!r} holds nothing of the space {name!r}: give another --space, or import it"
    prefix = task.partition("/")[0] if "/" in task else OWN
    known = ", ".join(entry.key for entry in store.tasks(prefix=f"{prefix}/"))
    first = "import one by `metad2a database import table FILE`" if prefix == OWN else IMPORT_FIRST
    return f"no table of {task!r} in the database: " + (f"it holds {known}" if known else first)
