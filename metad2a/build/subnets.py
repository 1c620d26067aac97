"""`database build --space residual-subnets`: what subnets of a pretrained base are worth before any training.

MetaD2A's second experiment (Lee, Hyung, Hwang, 2021): a task is some of the base's classes, a subnet inherits its
weights, takes its statistics anew, and its head is cut to those classes. A subnet classifies all images once and is
judged on every task. Classes are held out, not rows: those of a task are all of one fold, which is its source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from databases.architectures.catalogue import Catalogue
from databases.architectures.space import Architecture, space
from databases.architectures.spaces.subnets import Subnets
from databases.architectures.supernets.families import open_family
from databases.architectures.supernets.inherit import recalibrate
from databases.datasets.blobs import pictures
from databases.datasets.features import TaskFeatures, extract
from databases.datasets.probes import NO_PROBES
from databases.datasets.sampler import TaskSpec, build_task
from databases.datasets.task import Images, Labels, Task, resize_images
from databases.errors import UserError
from databases.records.record import Record, RecordKey, TaskEntry
from databases.records.store import Store
from metad2a.build.build import Built, entry
from metad2a.runtime.executors.processes import Death
from metad2a.runtime.place import TWO, Place
from metad2a.train.classifier import Classifier
from metad2a.train.precision import half
from metad2a.train.probe import head, percent_right

SOURCE, IMAGES = "tinyimagenet200", "tinyimagenet200_48px"  # of a task's features, and of what the bases learnt from
CLASSES, FOLDS, FEWEST, MOST = 200, 5, 10, 40  # of the source; of these; classes of a task
PER_CLASS = 20  # training images of a class that a task shows
STATISTICS = 512  # training images, of all classes, whose statistics a subnet takes


@dataclass(frozen=True)
class Job:
    """One subnet to measure on tasks: fingerprint and classes of each. ``file`` holds the base's images."""

    space: str
    architecture: str
    tasks: tuple[tuple[str, tuple[int, ...]], ...]
    file: Path

    def __str__(self) -> str:
        return f"{self.architecture} on {len(self.tasks)} tasks"


def build_subnets(
    store: Store,
    folder: Path,
    *,
    space: str,
    tasks: int,
    subnets: int,
    place: Place = TWO,
    seed: int = 0,
    on_progress: Callable[[Built], None] = lambda built: None,
    on_death: Callable[[Death], None] = lambda death: None,
) -> Built:
    """Measures the base and ``subnets`` - 1 random subnets on each of ``tasks`` tasks; all rows of one at once.

    Raises:
        UserError: the base of the space learnt no images of ``folder``.
        GivenUp: when all else is measured, where measurements ended their process each time.
    """
    chosen, file = subnet_space(space), folder / f"{IMAGES}.npz"
    checked(chosen, file)
    specs = {spec: fold for spec, fold in (task_spec(index, seed) for index in range(tasks))}
    entries = {spec: _entry(spec, fold, folder) for spec, fold in specs.items()}
    store.add_tasks(entries.values())
    known = store.keys(recipe=recipe_of(chosen), space=chosen.name)
    drawn = [chosen.base, *Catalogue(chosen.name).some(subnets, np.random.default_rng(seed))]
    jobs, total = [], 0
    for text in [*dict.fromkeys(map(str, drawn))][:subnets]:
        keys = {spec: RecordKey(entries[spec].key, chosen.name, text, recipe_of(chosen), 0) for spec in specs}
        lacking = tuple((key.task, spec.classes) for spec, key in keys.items() if key not in known)
        total += len(specs)
        if lacking:
            jobs.append(Job(chosen.name, text, lacking, file))
    left = sum(len(job.tasks) for job in jobs)
    built = Built(0, total - left, left)
    for records in place.crew(nice=19, on_death=on_death)(measure, jobs):
        store.add(records)
        built = Built(built.done + len(records), built.known, built.left - len(records), records[-1])
        on_progress(built)
    return built


def subnet_space(name: str) -> Subnets:
    """The space of that name; raises `UserError` where it holds no subnets of a base."""
    found = space(name)
    if not isinstance(found, Subnets):
        raise UserError(f"given the space {name!r}, which has no pretrained base; choose such as residual-subnets")
    return found


def checked(chosen: Subnets, file: Path) -> None:
    """Refuses a base that did not learn the classes of the images in ``file``."""
    if not file.is_file():
        raise UserError(f"no image source {file.stem!r} in the folder {file.parent.name!r}: it should hold {file.name}")
    with np.load(file, allow_pickle=False) as found:
        names = [str(each) for each in found["names"]]
    if list(open_family(chosen.family.name).card.get("classes", ())) != names:
        raise UserError(f"the base of {chosen.name} learnt other classes than those of {file.stem}: choose another")


def recipe_of(chosen: Subnets) -> str:
    """What records say of the training: there is none, but the weights that are inherited."""
    return f"inherited-{side_of(chosen)}px-{open_family(chosen.family.name).digest[:6]}"


def side_of(chosen: Subnets) -> int:
    """The resolution at which subnets are measured: the lowest at which the weights are worth using."""
    return chosen.family.resolutions[0]


def task_spec(index: int, seed: int = 0) -> tuple[TaskSpec, int]:
    """The task of that number, and the fold that all its classes belong to."""
    fold, rng = index % FOLDS, np.random.default_rng([seed, index])
    among = np.random.default_rng(FOLDS).permutation(CLASSES)[fold::FOLDS]
    picked = rng.choice(among, size=int(rng.integers(FEWEST, min(MOST, len(among)) + 1)), replace=False)
    return TaskSpec(SOURCE, tuple(sorted(picked.tolist())), PER_CLASS, seed=seed), fold


def fold_name(fold: int) -> str:
    """What the tasks of a fold have as their source."""
    return f"tinyimagenet fold {fold + 1}"


def task_features(known: TaskEntry, folder: Path, cache: Path | None = None) -> TaskFeatures | None:
    """What a predictor sees of such a task: the first of its training images; None of another task.

    What untrained cells tell of a task is left out: no subnet is one.
    """
    if not known.source.startswith("tinyimagenet fold"):
        return None
    return without_probes(build_task(TaskSpec.from_json(known.spec), folder), cache)


def without_probes(task: Task, cache: Path | None = None) -> TaskFeatures:
    """What a predictor sees of a task whose architectures are no cells: nothing of untrained ones."""
    return extract(task, probed=NO_PROBES, cache=None if cache is None else cache / "without-probes")


def measure(job: Job) -> list[Record]:
    """A subnet's rows; picklable, for the executor."""
    chosen = subnet_space(job.space)
    seen = base_images(job.file, side_of(chosen))
    logits = inherited_logits(chosen, chosen.parse(job.architecture), seen)
    return [
        Record(
            task=task,
            space=chosen.name,
            architecture=job.architecture,
            recipe=recipe_of(chosen),
            seed=0,
            source="own",
            test_accuracy=round(cut_accuracy(logits, seen.labels, classes), 2),
        )
        for task, classes in job.tasks
    ]


@dataclass(frozen=True, eq=False)
class BaseImages:
    """Images of the classes that a base learnt, at one resolution.

    Attributes:
        shown: training images, for the statistics. held: the images that the base never saw. labels: theirs.
    """

    shown: Images
    held: Images
    labels: Labels


@lru_cache(maxsize=1)
def base_images(file: Path, side: int) -> BaseImages:
    """The images of a file of encoded pictures, decoded and brought to a resolution."""
    with np.load(file, allow_pickle=False) as found:
        arrays = {name: found[name] for name in ("blobs", "ends", "labels", "train")}
    train = arrays["train"].astype(bool)
    shown = np.random.default_rng(STATISTICS).permutation(np.flatnonzero(train))[:STATISTICS]
    held = np.flatnonzero(~train)
    first, second = (resize_images(pictures(arrays, places), side) for places in (shown.tolist(), held.tolist()))
    return BaseImages(first, second, arrays["labels"][held].astype(np.int64))


def inherited_logits(chosen: Subnets, architecture: Architecture, images: BaseImages) -> npt.NDArray[np.float32]:
    """(held images, classes of the base): of the subnet as it inherits its weights, its statistics taken anew."""
    return inherited(chosen, architecture, images.shown)(images.held)


def inherited(
    chosen: Subnets, architecture: Architecture, shown: Images
) -> Callable[[Images], npt.NDArray[np.float32]]:
    """Images -> (images, classes of the base) logits of the subnet with inherited weights, statistics of ``shown``."""
    family, stages = open_family(chosen.family.name), chosen.stages(architecture)
    network = family.network(stages).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier = Classifier(network, family.blueprint(stages), family.mean, family.scale, side_of(chosen))
    with half(network):
        recalibrate(network, (classifier.normalised(part) for part in classifier.resized(shown).split(128)))
    return lambda images: head(classifier, classifier.features(images))


def cut_accuracy(logits: npt.NDArray[np.float32], labels: Labels, classes: tuple[int, ...]) -> float:
    """Percent right among the images of some classes, the head cut to them; (n, all classes), (n,)."""
    asked = np.isin(labels, classes)
    return percent_right(logits[asked][:, list(classes)], np.searchsorted(classes, labels[asked]))


def _entry(spec: TaskSpec, fold: int, folder: Path) -> TaskEntry:
    return replace(entry(build_task(spec, folder), spec), source=fold_name(fold))
