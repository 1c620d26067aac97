"""What the package carries: our own measured records, and how a database is filled with them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from databases.datasets.sampler import TaskSpec
from databases.records.episodes import Episode, by_recipe, episodes, own_episodes
from databases.records.importers.tables import import_metad2a, import_nasbench201_csv
from databases.records.store import Store

MEASUREMENTS = Path(str(files("metad2a") / "weights" / "measurements.csv.gz"))
HELD_BACK = MEASUREMENTS.with_name("held_back.csv.gz")  # on CIFAR-10 and MNIST: for the final check alone
SUBNETS = MEASUREMENTS.with_name("subnets.csv.gz")  # inherited accuracies of a pretrained base's subnets


def add_measurements(store: Store) -> int:
    """Adds the shipped records of our own trainings; returns how many were new."""
    return store.import_csv(MEASUREMENTS)


def fill(store: Store, data: Path) -> None:
    """Adds the shipped records and, where missing, the development tables under ``data``/nasbench201."""
    add_measurements(store)
    known = {each.key for each in store.tasks(prefix="nasbench201/")}
    if not known:
        import_nasbench201_csv(store, data / "nasbench201" / "accuracy.csv.gz")
    if not store.tasks(prefix="metad2a/"):
        import_metad2a(store, data / "nasbench201")


def own_measured(recipe: str, *, images: Path, cache: Path) -> list[tuple[Episode, TaskSpec]]:
    """The shipped measurements by a recipe, task by task, with what rebuilds each task from ``images``."""
    with TemporaryDirectory() as folder, Store(Path(folder) / "own.db") as store:
        add_measurements(store)
        specs = {each.key: TaskSpec.from_json(each.spec) for each in store.tasks() if each.spec}
        measured = episodes(store, images=images, usable=by_recipe(recipe), cache=cache)
        own = own_episodes(measured, recipe)
    return [(each, specs[each.features.fingerprint]) for each in own]
