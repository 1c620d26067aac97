"""Images for pretraining: decoded once into one array on disk, then cropped and mirrored in batches."""

from __future__ import annotations

import hashlib
import io
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from databases.errors import UserError
from databases.files import replace_file
from metad2a.runtime.lock import hold
from metad2a.train.together import Together

LEAST_CROP, OVER = 0.7, 0.08  # of the side of a training image; how far a crop may reach over its edge
MOST_BYTES = 256 * 2**20  # of one file
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


def open_images(data: str | Path, side: int, cache: Path, processes: Together) -> Images:
    """The images of a folder, of an .npz file of encoded images ('blobs'), or of whatever else `metad2a` reads.

    Folders and blobs are decoded into ``cache`` once, by all processes. Blobs keep their size; others are brought to
    ``side`` pixels. A folder without validation images gives a tenth of its training images.

    Raises:
        UserError: there are no such images, one cannot be read, or the cache has no room for them.
    """
    path = Path(data)
    if path.is_dir():
        return _of_folder(path, side, cache, processes)
    if file := _blobs_in(path):
        return _of_blobs(path, file, cache, processes)
    from databases.datasets.loading import load_task
    from databases.datasets.task import TRAIN, VALIDATION

    task = load_task(data, resolution=side, max_images=10**8, max_files=10**8, max_bytes=2**50, as_stored=True)
    x = np.repeat(task.images, 3, axis=3) if task.channels == 1 else task.images
    train, held = (np.flatnonzero(task.parts == part) for part in (TRAIN, VALIDATION))
    labels = torch.from_numpy(task.labels.astype(np.int64))
    return Images(task.name, x, labels, train, held, tuple(task.class_names), task.fingerprint[:12], task.notes)


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
    count = file["ends"].size
    kinds = {"blobs": ("u", None), "ends": ("iu", count), "labels": ("iu", count), "train": ("biu", count)}
    for name, (kind, size) in kinds.items():
        if file[name].dtype.kind not in kind or file[name].ndim != 1 or size not in (None, file[name].size):
            raise UserError(
                f"given {str(path)!r} whose {name!r} is {file[name].dtype} {file[name].shape}; allowed are bytes, "
                "and of each image where they end, its class and whether it is for training; give a whole file"
            )
    blobs, ends, train = file["blobs"].tobytes(), [0, *file["ends"].tolist()], file["train"].astype(bool)
    mark = hashlib.sha256(file["ends"].tobytes() + blobs).hexdigest()[:12]
    told = [f"{place + 1}" for place in range(count)]
    x = _decoded(lambda n: blobs[ends[n] : ends[n + 1]], told, None, cache / f"{path.stem}-{mark}.npy", processes)
    labels, names = torch.from_numpy(file["labels"].astype(np.int64)), tuple(map(str, file["names"].ravel()))
    return Images(path.stem, x, labels, np.flatnonzero(train), np.flatnonzero(~train), names, mark)


def _of_folder(path: Path, side: int, cache: Path, processes: Together) -> Images:
    from databases.datasets.archives import Folder
    from databases.datasets.class_folders import arrange
    from databases.datasets.file_kinds import ending_of, hidden, readable_formats
    from databases.datasets.task import TRAIN, VALIDATION, check_classes, move_share

    files, endings = Folder(path, max_files=10**8), readable_formats()[1]
    pictures, others = list[str](), list[str]()
    for name in files.names:
        (others if hidden(name) or ending_of(name) not in endings else pictures).append(name)
    found = arrange(files, pictures, others, given=repr(str(path)))
    names = tuple(found.class_names.values())
    number = {label: place for place, label in enumerate(found.class_names)}
    labels = np.array([number[each.label] for each in found.pictures])
    parts = np.array([each.part for each in found.pictures], dtype=np.uint8)
    check_classes(labels, parts, names, least=2)
    if not (parts == VALIDATION).any():
        parts = move_share(labels, parts, VALIDATION, share=0.1, seed=0)
    looks = [os.stat(path / each.file) for each in found.pictures]
    told = [f"{each.file} {look.st_size} {look.st_mtime_ns}" for each, look in zip(found.pictures, looks, strict=True)]
    mark = hashlib.sha256("\n".join((str(side), *told)).encode("utf-8", "replace")).hexdigest()[:12]

    def content(number: int) -> bytes:
        return files.read(found.pictures[number].file, most=MOST_BYTES)

    x = _decoded(content, [each.file for each in found.pictures], side, cache / f"{path.name}-{mark}.npy", processes)
    train, held = (np.flatnonzero(parts == part) for part in (TRAIN, VALIDATION))
    return Images(path.name, x, torch.from_numpy(labels), train, held, names, mark, found.notes)


def _decoded(
    content: Callable[[int], bytes], names: Sequence[str], side: int | None, path: Path, processes: Together
) -> np.ndarray:
    """All images as one array on disk, written as a whole or not at all; each process decodes its share.

    Another command that decodes meanwhile is waited for, and its array used.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = hold(path.parent / "decoding.lock", patience=math.inf) if processes.first else None
    try:
        processes.wait()
        if not path.is_file():
            _decode_all(content, names, side, path, processes)
        processes.wait()
    finally:
        if lock is not None:
            lock.release()
    found: np.ndarray = np.load(path, mmap_mode="r")
    return found


def _decode_all(
    content: Callable[[int], bytes], names: Sequence[str], side: int | None, path: Path, processes: Together
) -> None:
    partial = path.with_name(f".decoding-{path.name}")
    first = _picture(content(0), side, names[0]).shape
    if processes.first:
        _check_room(path.parent, len(names) * int(np.prod(first)))
        np.lib.format.open_memmap(partial, "w+", np.uint8, (len(names), *first)).flush()
    processes.wait()
    made = np.load(partial, mmap_mode="r+")
    for number in range(processes.number, len(names), processes.size):
        picture = _picture(content(number), side, names[number])
        if picture.shape != first:
            raise UserError(
                f"image {names[number]} has the shape {picture.shape}, the first one {first}; allowed is one shape"
            )
        made[number] = picture
    made.flush()
    processes.wait()
    if processes.first:
        replace_file(partial, path)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"the decoded images need {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} are free; "
            "set METAD2A_HOME to a folder with room or give fewer pixels"
        )


def _picture(content: bytes, side: int | None, name: str) -> np.ndarray:
    """(h, w, 3) uint8, squeezed to a square of that side; None: as it is stored."""
    from databases.datasets.decoding import decode, opened_picture, why_unreadable

    try:
        if side is None:
            from PIL import Image

            with Image.open(io.BytesIO(content)) as image:
                values = opened_picture(image)
        else:
            values, *_ = decode(content, side)
    except Exception as problem:  # a decoder raises whatever broken bytes make it raise
        raise UserError(f"image {name} cannot be read ({why_unreadable(problem)}): mend it or leave it out") from None
    if values.dtype != np.uint8:
        raise UserError(f"image {name} has more than 8 bits a pixel; allowed are pictures of 8: save it with 8")
    return np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values


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
