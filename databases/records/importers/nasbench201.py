"""NAS-Bench-201 (Dong and Yang, 2020): its tasks, and its official ``.pth`` file, read without running it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from databases.errors import UserError
from databases.records.record import PUBLISHED_MEAN, Record, RecordKey, TaskEntry, utc_now
from databases.records.store import Store

SOURCE = "nasbench201"
SPACE = "nasbench201"
RECIPE = "nasbench201"  # 200 epochs
SHORT_RECIPE = "nasbench201-12ep"  # a training of its own, not the first 12 of 200
CIFAR10, IMAGENET16 = "nasbench201/cifar10", "nasbench201/imagenet16-120"

TASKS = {
    "cifar10": TaskEntry(
        CIFAR10,
        "CIFAR-10",
        "cifar10",
        {"images": 60_000, "train_images": 25_000, "classes": 10, "channels": 3, "resolution": 32},
    ),
    "cifar100": TaskEntry(
        "nasbench201/cifar100",
        "CIFAR-100",
        "cifar100",
        {"images": 60_000, "train_images": 50_000, "classes": 100, "channels": 3, "resolution": 32},
    ),
    "imagenet16-120": TaskEntry(
        IMAGENET16,
        "ImageNet16-120",
        "imagenet",
        {"images": 157_700, "train_images": 151_700, "classes": 120, "channels": 3, "resolution": 16},
    ),
    "ninapro": TaskEntry("nasbench201/ninapro", "NinaPro DB5", "ninapro", {"classes": 18, "channels": 1}),
    "darcyflow": TaskEntry("nasbench201/darcyflow", "Darcy Flow", "darcyflow", {"channels": 1}),
}

_EVALUATIONS = {  # task -> (data set trained on, images looked at) of the validation and of the test accuracy
    "cifar10": (("cifar10-valid", "x-valid"), ("cifar10", "ori-test")),
    "cifar100": (("cifar100", "x-valid"), ("cifar100", "x-test")),
    "imagenet16-120": (("ImageNet16-120", "x-valid"), ("ImageNet16-120", "x-test")),
}
_RECIPE_OF_PART = {"full": RECIPE, "less": SHORT_RECIPE}
_OPERATION = "(?:none|skip_connect|nor_conv_1x1|nor_conv_3x3|avg_pool_3x3)"
_CELL = re.compile(
    r"\+".join(r"\|" + "".join(rf"{_OPERATION}~{source}\|" for source in range(node)) for node in (1, 2, 3))
)
_ADVICE = "give the original NAS-Bench-201-v1_1-096897.pth or the compact table accuracy.csv.gz"


def cell(text: object) -> str:
    """The text itself when it is a cell of NAS-Bench-201; raises UserError otherwise."""
    if not isinstance(text, str) or not _CELL.fullmatch(text):
        raise UserError(f"a cell of NAS-Bench-201 looks like |none~0|+|none~0|none~1|+..., got {str(text)[:40]!r}")
    return text


def import_nasbench201_file(store: Store, path: str | Path) -> int:
    """Add the official file (``NAS-Bench-201-v1_1-096897.pth``): a record a seed and one of their means.

    CIFAR-10 is validated by the runs on half of its training images and tested by those on all. The file is
    read as data: what is not numbers, texts, tensors and containers of these is refused. It is read whole,
    which takes minutes and several times its size of memory. Returns how many records were new; raises
    UserError when the file cannot be read or is no such file.
    """
    architectures = _load(path)
    store.add_tasks(TASKS[name] for name in _EVALUATIONS)
    return store.add(_records(architectures, path))


def _load(path: str | Path) -> dict[int, Any]:
    import torch

    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {_ADVICE}") from error
    except MemoryError as error:
        raise UserError(f"{path} does not fit into memory; {_ADVICE}") from error
    except Exception as error:  # a broken or foreign pickle can fail in every way there is
        raise UserError(f"{path} is damaged or holds more than data, nothing in it was run; {_ADVICE}") from error
    architectures = content.get("arch2infos") if isinstance(content, dict) else None
    if not isinstance(architectures, dict) or not architectures:
        raise UserError(f"{path} is not a file of NAS-Bench-201; {_ADVICE}")
    return architectures


def _records(architectures: dict[int, Any], path: str | Path) -> Iterator[Record]:
    created = utc_now()
    for index in list(architectures):
        parts = architectures.pop(index)  # its memory is free as soon as it is read
        try:
            records = [
                record
                for part, recipe in _RECIPE_OF_PART.items()
                for record in _part_records(parts[part], recipe, created)
            ]
            if not records:
                raise LookupError("no run")
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged at architecture {str(index)[:20]!r}; {_ADVICE}") from error
        yield from records


def _part_records(state: object, recipe: str, created: str) -> Iterator[Record]:
    from nas_201_api import ArchResults

    if not isinstance(state, dict):  # the library would take a text for the name of a file and load that
        raise TypeError("no state of ArchResults")
    results = ArchResults.create_from_state_dict(state)
    for task, (validation, testing) in _EVALUATIONS.items():
        valid, test = _accuracies(results, *validation), _accuracies(results, *testing)
        seconds = _train_seconds(results, validation[0])
        seeds = sorted(valid.keys() | test.keys())
        rows = [(seed, valid.get(seed), test.get(seed), seconds.get(seed)) for seed in seeds]
        if seeds:
            rows.append((PUBLISHED_MEAN, _mean(valid), _mean(test), _mean(seconds)))
        for seed, valid_accuracy, test_accuracy, train_seconds in rows:
            key = RecordKey(TASKS[task].key, SPACE, cell(results.arch_str), recipe, seed)
            yield Record(*key, SOURCE, valid_accuracy, test_accuracy, train_seconds, {}, created)


def _accuracies(results: Any, data: str, images: str) -> dict[int, float]:
    """Seed -> accuracy in percent after the last epoch, of the runs that were evaluated on these images."""
    runs = results.query(data) if data in results.get_dataset_names() else {}
    return {int(seed): run.get_eval(images)["accuracy"] for seed, run in runs.items() if images in run.get_eval_set()}


def _train_seconds(results: Any, data: str) -> dict[int, float]:
    runs = results.query(data) if data in results.get_dataset_names() else {}
    times = {int(seed): run.get_times()["T-train@total"] for seed, run in runs.items()}
    return {seed: seconds for seed, seconds in times.items() if seconds is not None}


def _mean(values: Mapping[int, float]) -> float | None:
    return fmean(values.values()) if values else None


class _NumberType:
    """Stands for ``numpy.dtype`` in a file; the true one takes flags that make it follow pointers."""

    def __init__(self, name: str, *_: object) -> None:
        self.format = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "b1": "?"}[name]

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _number(kind: _NumberType, data: bytes) -> float:
    """Stands for the function that makes numpy's scalars: gives Python's numbers instead."""
    number: float = struct.unpack(kind.order + kind.format, data)[0]
    return number


_SAFE_GLOBALS: list[Any] = [
    (_number, "numpy.core.multiarray.scalar"),  # numpy 1
    (_number, "numpy._core.multiarray.scalar"),
    (_NumberType, "numpy.dtype"),
]
