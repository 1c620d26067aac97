"""Images for pretraining: decoded once into one array on disk, then cropped and mirrored in batches."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from torch import Tensor, nn

from databases.errors import UserError, count
from databases.usual import AUTOMATIC
from metad2a.supernets.decoded import decoded
from metad2a.train.together import Together

if TYPE_CHECKING:
    from databases.datasets.archives import Files

LEAST_CROP, OVER = 0.7, 0.08  # of the side of a training image; how far a crop may reach over its edge
MOST_BYTES = 256 * 2**20  # of one file
HELD_OUT = 0.1  # share of the training images that validate where no others do
ENOUGH = 5000  # images that tell mean and deviation


@dataclass(frozen=True)
class Images:
    """Decoded images.

    Attributes:
        x: (n, h, w, 3) uint8, on disk. y: (n,) classes.
        train, held: places of the images to learn from and of those to validate on.
        names: of the classes. mark: 12 hex digits, others for other images. notes: how they were read.
    """

    name: str
    x: np.ndarray
    y: Tensor
    train: np.ndarray
    held: np.ndarray
    names: tuple[str, ...]
    mark: str
    notes: tuple[str, ...] = ()

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each colour of the training images, 0..255, from some spread among them."""
        some = self.x[np.sort(self.train[:: max(1, len(self.train) // ENOUGH)])].reshape(-1, 3)
        mean, scale = some.mean(0, dtype=np.float64), some.std(0, dtype=np.float64)
        return tuple(mean.round(1).tolist()), tuple(np.maximum(scale, 1.0).round(1).tolist())


def open_images(data: str | Path, side: int, cache: Path, processes: Together, *, groups: str = AUTOMATIC) -> Images:
    """The images of a folder, of an .npz file of encoded images ('blobs'), or of whatever else `metad2a` reads.

    Pictures and blobs are decoded into ``cache`` once, by all processes. Blobs keep their size; others are brought to
    ``side`` pixels. Pictures without a validation part give a tenth of their training images, and none of a group that
    is trained on: ``groups`` is as in `load_task`, but for near copies, which pictures are not searched for.

    Raises:
        UserError: there are no such images, one cannot be read, or the cache has no room for them.
    """
    from databases.datasets.groups import check_way
    from databases.datasets.loading import existing, load_task, open_files
    from databases.datasets.task import TRAIN, VALIDATION

    path = data if str(data).startswith("sklearn:") else existing(str(data))
    check_way(groups)
    if isinstance(path, Path) and (file := _blobs_in(path)):
        if groups not in (AUTOMATIC, "none"):
            raise UserError(f"given --groups {groups} for encoded images, of which each tells its part: leave it out")
        return _of_blobs(path, file, cache, processes)
    if isinstance(path, Path) and (path.is_dir() or (path.suffix.lower() != ".npz" and is_zipfile(path))):
        with closing(open_files(path, max_files=10**8, max_bytes=2**50)) as files:
            return _of_pictures(path, files, side, groups, cache, processes)
    task = load_task(data, resolution=side, max_images=10**8, max_bytes=2**50, groups=groups, as_stored=True)
    x = np.repeat(task.images, 3, axis=3) if task.channels == 1 else task.images
    train, held = (np.flatnonzero(task.parts == part) for part in (TRAIN, VALIDATION))
    labels, notes = torch.from_numpy(task.labels.astype(np.int64)), list(task.notes)
    if aside := len(x) - len(train) - len(held):
        notes.append(f"{count(aside, 'image')} of the test part {'is' if aside == 1 else 'are'} left alone")
    return Images(task.name, x, labels, train, held, tuple(task.class_names), task.fingerprint[:12], tuple(notes))


def _blobs_in(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file of encoded images; nothing of another file, which whoever reads it next refuses."""
    if path.suffix != ".npz" or not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files} if "blobs" in file.files else {}
    except (OSError, ValueError, BadZipFile, AttributeError):
        return {}


def _of_blobs(path: Path, file: dict[str, np.ndarray], cache: Path, processes: Together) -> Images:
    missing = [name for name in ("ends", "labels", "train", "names") if name not in file]
    if missing:
        raise UserError(f"given {str(path)!r} with 'blobs' but no {', '.join(map(repr, missing))}; give a whole file")
    number = file["ends"].size
    kinds = {"blobs": ("u", None), "ends": ("iu", number), "labels": ("iu", number), "train": ("biu", number)}
    for name, (kind, size) in kinds.items():
        if file[name].dtype.kind not in kind or file[name].ndim != 1 or size not in (None, file[name].size):
            raise UserError(
                f"given {str(path)!r} whose {name!r} is {file[name].dtype} {file[name].shape}; allowed are bytes, "
                "and of each image where they end, its class and whether it is for training; give a whole file"
            )
    blobs, ends, train = file["blobs"].tobytes(), [0, *file["ends"].tolist()], file["train"].astype(bool)
    mark = hashlib.sha256(file["ends"].tobytes() + blobs).hexdigest()[:12]
    told = [f"{place + 1}" for place in range(number)]
    place = cache / f"{path.stem}-{mark}.npy"
    x, _ = decoded(lambda n: blobs[ends[n] : ends[n + 1]], told, None, place, processes, given=repr(str(path)))
    labels, names = torch.from_numpy(file["labels"].astype(np.int64)), tuple(map(str, file["names"].ravel()))
    return Images(path.stem, x, labels, np.flatnonzero(train), np.flatnonzero(~train), names, mark)


def _of_pictures(path: Path, files: Files, side: int, groups: str, cache: Path, processes: Together) -> Images:
    """The pictures of a folder or a zip."""
    from databases.datasets.group_split import move_groups
    from databases.datasets.groups import group_numbers
    from databases.datasets.pictures import name_pictures
    from databases.datasets.task import TRAIN, VALIDATION, move_share

    given = repr(str(path))
    found = name_pictures(files, given, groups=groups)
    parts, names, numbers = found.parts, [each.file for each in found.pictures], None
    if found.groups is not None:
        numbers = group_numbers(found.groups, len(names), given=given)
    if not (parts == VALIDATION).any():
        if numbers is None:
            parts = move_share(found.labels, parts, VALIDATION, share=HELD_OUT, seed=0)
        else:
            parts = move_groups(found.labels, parts, VALIDATION, groups=numbers, share=HELD_OUT, seed=0)
    told = "\n".join((str(side), *(f"{name} {files.mark(name)}" for name in names))).encode("utf-8", "replace")
    place = cache / f"{path.stem}-{hashlib.sha256(told).hexdigest()[:12]}.npy"

    def content(number: int) -> bytes:
        return files.read(names[number], most=MOST_BYTES)

    x, notes = decoded(content, names, side, place, processes, given=given)
    train, held = (np.flatnonzero(parts == part) for part in (TRAIN, VALIDATION))
    told += found.labels.tobytes() + parts.tobytes()  # which a table may change, or the groups
    mark, labels = hashlib.sha256(told).hexdigest()[:12], torch.from_numpy(found.labels)
    return Images(path.name, x, labels, train, held, found.class_names, mark, (*found.notes, *notes))


def batch_of(images: np.ndarray, places: np.ndarray, place: torch.device) -> Tensor:
    """(n, h, w, c) uint8, (b,) places -> (b, c, h, w) uint8 at the place."""
    return torch.from_numpy(images[places]).to(place).permute(0, 3, 1, 2)


def cropped(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """(b, c, h, w) uint8 -> (b, c, side, side): one size of crop a batch, places and mirroring for each image.

    A crop is never enlarged: blurred pictures have other statistics than those that the network will see. It may reach
    over the edge a little, where the picture is reflected.
    """
    whole, place = x.shape[-1], x.device
    least = min(whole, max(side, round(LEAST_CROP * whole)))
    size = int(torch.randint(least, whole + 1, (), generator=generator))
    over = round(OVER * whole)
    top, left = torch.randint(-over, whole - size + over + 1, (2, len(x)), generator=generator)
    mirrored = torch.rand(len(x), generator=generator) < 0.5
    columns = torch.arange(size).repeat(len(x), 1)
    columns[mirrored] = columns[mirrored].flip(1)
    rows = _reflected(top[:, None] + torch.arange(size), whole).to(place)
    columns = _reflected(left[:, None] + columns, whole).to(place)
    every = torch.arange(len(x), device=place)[:, None, None]
    cut = x.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None, :]]
    return resized(cut.permute(0, 3, 1, 2), side)


def _reflected(places: Tensor, whole: int) -> Tensor:
    return (whole - 1) - ((whole - 1) - places.abs()).abs()


def resized(x: Tensor, side: int) -> Tensor:
    """(b, c, h, w) uint8 -> (b, c, side, side) uint8."""
    if x.shape[-1] == side:
        return x
    values = x if x.device.type == "cpu" else x.float()
    small: Tensor = nn.functional.interpolate(values, size=(side, side), mode="bilinear", antialias=True)
    return small if small.dtype == torch.uint8 else small.round().clamp(0, 255).to(torch.uint8)
