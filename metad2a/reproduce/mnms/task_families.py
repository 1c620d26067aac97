"""Families of table tasks for one controller: real ones of NAS-Bench-201, and made-up ones.

Real: the datasets after 12 and 200 epochs, by accuracy and by accuracy under a latency bound (times bound / latency
where it is exceeded; Tan et al., 2019) on four devices; a whole dataset is held out, also on a device that no known
task has. Controls: NinaPro, which orders cells otherwise, and the held-out dataset with its operations renamed, which
is opposed to what was learnt. Made up: mixtures of a few shared objectives over the same 15,625 walks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from databases.architectures.space import space
from databases.errors import UserError
from databases.records.benchmark_table import BenchmarkTable, Values
from databases.records.latency_table import read_latencies
from metad2a.reproduce.demonstration import Context

SPACE, LONG = "nasbench201", "200 epochs"
RECIPES = {LONG: "nasbench201", "12 epochs": "nasbench201-12ep"}
KNOWN, HELD_OUT, UNRELATED = ("cifar100", "imagenet16-120"), "cifar10", "ninapro"
RENAMED = "operations renamed"
DEVICES, NEW_DEVICE = ("1080ti_1", "pixel3", "raspi4", "eyeriss"), "fpga"  # of many kinds, and another
BOUND = 25  # percent of the cells that keep a latency bound
BOUNDS = (
    "known latency bounds are on four devices, chosen after Eyeriss alone had left the FPGA's at 1.3 times fewer "
    "(their bounds order cells too differently, rank correlation 0.59)"
)
SHARED, CHOICES = 3, 5  # objectives of a made-up family; choices of each decision of the space
SHIFT = 2  # each operation is given the name of the second after it
REAL, MADE_UP, APART = "NAS-Bench-201", "made up, related", "made up, unrelated"


def name_of(dataset: str, epochs: str) -> str:
    """A dataset trained for so long, as a task."""
    return f"{dataset}, {epochs}"


NEW, STRANGER = name_of(HELD_OUT, LONG), name_of(UNRELATED, LONG)
CONTROLS = (STRANGER, f"{NEW}, {RENAMED}")  # held-out tasks that are like no known one


@dataclass(frozen=True)
class HeldTask:
    """A held-out task of a family."""

    family: str
    task: str

    def __str__(self) -> str:
        return f"{self.family}: {self.task}"

    @property
    def control(self) -> bool:
        """Whether nothing that is known is like it."""
        return self.family == APART or self.task in CONTROLS


@dataclass(frozen=True, eq=False)
class Family:
    """Tasks that one controller learns, and others that are held out."""

    name: str
    known: tuple[BenchmarkTable, ...]
    held_out: tuple[BenchmarkTable, ...]


def real(context: Context) -> Family:
    """The tables of NAS-Bench-201; raises `UserError` where they or the latencies are missing."""
    if context.images is None or not (context.images.parent / SPACE / "latency.csv.gz").is_file():
        raise UserError("the latencies of NAS-Bench-201 are needed: set METAD2A_SHARED to the development data")
    latencies = read_latencies(context.images.parent / SPACE)

    def bounded(table: BenchmarkTable, device: str) -> BenchmarkTable:
        of = dict(zip(latencies.cells, latencies.of(device), strict=True))
        taken = np.array([of[str(each)] for each in table])
        factor = np.minimum(1.0, np.percentile(taken, BOUND) / taken)
        name = f"{table.task}, fast on {device}"
        return BenchmarkTable(name, table.recipe, table.architectures, table.valid * factor, table.test * factor)

    def named(dataset: str, epochs: str) -> BenchmarkTable:
        found = context.table(f"nasbench201/{dataset}", recipe=RECIPES[epochs])
        return BenchmarkTable(name_of(dataset, epochs), found.recipe, found.architectures, found.valid, found.test)

    known = [named(dataset, epochs) for dataset in KNOWN for epochs in RECIPES]
    known += [bounded(named(dataset, LONG), device) for dataset in KNOWN for device in DEVICES]
    new = named(HELD_OUT, LONG)
    return Family(REAL, tuple(known), (new, bounded(new, NEW_DEVICE), named(UNRELATED, LONG), renamed(new)))


def renamed(table: BenchmarkTable) -> BenchmarkTable:
    """The same task with other names for its operations: as easy from scratch, and opposed to the known ones.

    Spearman's correlation with CIFAR-100 is -0.34.
    """
    chosen = space(SPACE)
    walks = [tuple((choice + SHIFT) % CHOICES for choice in each.walk) for each in table]
    rows = table.rows([chosen.architecture(walk) for walk in walks])
    name = f"{table.task}, {RENAMED}"
    return BenchmarkTable(name, table.recipe, table.architectures, table.valid[rows], table.test[rows])


def made_up(seed: int, *, tasks: int, related: bool) -> Family:
    """Mixtures of `SHARED` objectives, which the held-out task shares where it is ``related``.

    An objective adds a normal value for each choice and for each pair of neighbouring choices.
    """
    rng = np.random.default_rng([seed, 5])
    cells = tuple(space(SPACE).enumerate())
    walks = np.array([each.walk for each in cells])

    def objective() -> Values:
        single = rng.normal(size=(walks.shape[1], CHOICES))
        pair = 0.5 * rng.normal(size=(walks.shape[1] - 1, CHOICES, CHOICES))
        found = sum(single[i, walks[:, i]] for i in range(walks.shape[1]))
        found = found + sum(pair[i, walks[:, i], walks[:, i + 1]] for i in range(walks.shape[1] - 1))
        return np.asarray((found - found.mean()) / found.std())

    def task(name: str, of: Sequence[Values]) -> BenchmarkTable:
        mixed = np.tensordot(rng.dirichlet(np.ones(len(of))), np.stack(of), axes=1)
        return BenchmarkTable(name, "made up", cells, mixed, mixed)

    shared = [objective() for _ in range(SHARED)]
    known = tuple(task(f"task {i}", shared) for i in range(tasks))
    held = task("held out", shared if related else [objective() for _ in range(SHARED)])
    return Family(MADE_UP if related else APART, known, (held,))
