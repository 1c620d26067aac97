"""Images for pretraining: decoded once into one array on disk, then cropped and mirrored in batches."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from databases.errors import UserError
from metad2a.train.together import Together

LEAST_CROP = 0.7  # of the side of a training image
ENOUGH = 5000  # images that tell mean and deviation


@dataclass(frozen=True)
class Images:
    """Decoded images.

    Attributes:
        x: (n, h, w, 3) uint8, on disk. y: (n,) classes.
        train, held: places of the images to learn from and of those to validate on.
        names: of the classes.
    """

    name: str
    x: np.ndarray
    y: Tensor
    train: np.ndarray
    held: np.ndarray
    names: tuple[str, ...]

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each colour of the training images, 0..255, from some spread among them."""
        some = self.x[np.sort(self.train[:: max(1, len(self.train) // ENOUGH)])].reshape(-1, 3)
        mean, scale = some.mean(0, dtype=np.float64), some.std(0, dtype=np.float64)
        return tuple(mean.round(1).tolist()), tuple(np.maximum(scale, 1.0).round(1).tolist())


def open_images(data: str | Path, side: int, cache: Path, processes: Together) -> Images:
    """The images of an .npz file of encoded images ('blobs'), or of whatever else `metad2a` reads.

    Those of a blobs file keep their size and are decoded into ``cache`` once, by all processes; others are brought
    to ``side`` pixels.

    Raises:
        UserError: there are no such images, or none to validate on.
    """
    if str(data).endswith(".npz") and Path(data).is_file():
        with np.load(data, allow_pickle=False) as file:
            if "blobs" in file.files:
                return _of_blobs(Path(data), {name: file[name] for name in file.files}, cache, processes)
    from databases.datasets.loading import load_task
    from databases.datasets.task import TRAIN, VALIDATION

    task = load_task(data, resolution=side, max_images=10**8, max_files=10**8, max_bytes=2**50)
    x = np.repeat(task.images, 3, axis=3) if task.channels == 1 else task.images
    train, held = (np.flatnonzero(task.parts == part) for part in (TRAIN, VALIDATION))
    return Images(task.name, x, torch.from_numpy(task.labels.astype(np.int64)), train, held, tuple(task.class_names))


def _of_blobs(path: Path, file: dict[str, np.ndarray], cache: Path, processes: Together) -> Images:
    missing = [name for name in ("ends", "labels", "train", "names") if name not in file]
    if missing:
        raise UserError(f"given {str(path)!r} with 'blobs' but no {', '.join(map(repr, missing))}; give a whole file")
    ends, train = file["ends"], file["train"].astype(bool)
    decoded = cache / f"{path.stem}-{hashlib.sha256(ends.tobytes()).hexdigest()[:12]}.npy"
    if not decoded.is_file():
        _decode(file["blobs"].tobytes(), [0, *ends.tolist()], decoded, processes)
    labels = torch.from_numpy(file["labels"].astype(np.int64))
    places = (np.flatnonzero(train), np.flatnonzero(~train))
    return Images(path.stem, np.load(decoded, mmap_mode="r"), labels, *places, tuple(map(str, file["names"])))


def _decode(blobs: bytes, ends: list[int], path: Path, processes: Together) -> None:
    """Writes the decoded images as a whole or not at all; each process decodes its share."""
    from PIL import Image

    def picture(place: int) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(blobs[ends[place] : ends[place + 1]])).convert("RGB"))

    partial = path.with_name(f".decoding-{path.name}")
    shape = (len(ends) - 1, *picture(0).shape)
    if processes.first:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(partial, "w+", np.uint8, shape).flush()
    processes.wait()
    made = np.load(partial, mmap_mode="r+")
    for place in range(processes.number, shape[0], processes.size):
        made[place] = picture(place)
    made.flush()
    processes.wait()
    if processes.first:
        os.replace(partial, path)
    processes.wait()


def batch_of(images: np.ndarray, places: np.ndarray, device: torch.device) -> Tensor:
    """(n, h, w, c) uint8, (b,) places -> (b, c, h, w) uint8 on the device."""
    return torch.from_numpy(images[places]).to(device).permute(0, 3, 1, 2)


def normalised(x: Tensor, mean: tuple[float, ...], scale: tuple[float, ...]) -> Tensor:
    """(b, c, h, w) uint8 -> float32, normalised, channels last in memory."""
    shift, factor = (torch.tensor(values, device=x.device).view(1, -1, 1, 1) for values in (mean, scale))
    return ((x.float() - shift) / factor).contiguous(memory_format=torch.channels_last)


def cropped(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """(b, c, h, w) uint8 -> (b, c, side, side): one size of crop a batch, places and mirroring for each image."""
    whole, device = x.shape[-1], x.device
    size = int(torch.randint(round(LEAST_CROP * whole), whole + 1, (), generator=generator))
    top, left = torch.randint(0, whole - size + 1, (2, len(x)), generator=generator)
    mirrored = torch.rand(len(x), generator=generator) < 0.5
    columns = torch.arange(size).repeat(len(x), 1)
    columns[mirrored] = columns[mirrored].flip(1)
    rows = (top[:, None] + torch.arange(size)).to(device)
    columns = (left[:, None] + columns).to(device)
    every = torch.arange(len(x), device=device)[:, None, None]
    cut = x.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None, :]]
    return resized(cut.permute(0, 3, 1, 2), side)


def resized(x: Tensor, side: int) -> Tensor:
    """(b, c, h, w) uint8 -> (b, c, side, side) uint8."""
    if x.shape[-1] == side:
        return x
    values = x if x.device.type == "cpu" else x.float()
    small: Tensor = nn.functional.interpolate(values, size=(side, side), mode="bilinear", antialias=True)
    return small if small.dtype == torch.uint8 else small.round().clamp(0, 255).to(torch.uint8)
