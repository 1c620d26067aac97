"""Images for pretraining: decoded once into arrays on disk, cropped and mirrored in batches."""

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


@dataclass(frozen=True)
class Images:
    """Decoded images: x (n, h, w, c) uint8, on disk; y (n,) labels; train (n,) which are for training."""

    x: np.ndarray
    y: Tensor
    train: np.ndarray
    names: tuple[str, ...]


def open_images(path: Path, cache: Path) -> Images:
    """The images of an .npz file of WebP blobs; decoded into the folder ``cache`` where they are not there yet.

    Raises:
        UserError: the file is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            blobs, ends, labels, train, names = (file[k] for k in ("blobs", "ends", "labels", "train", "names"))
    except (OSError, KeyError, ValueError) as problem:
        raise UserError(f"{path} holds no images for pretraining ({problem}): give a file with 'blobs'") from None
    decoded = cache / f"{path.stem}-{hashlib.sha256(ends.tobytes()).hexdigest()[:12]}.npy"
    if not decoded.is_file():
        _decode(blobs.tobytes(), ends, decoded)
    x = np.load(decoded, mmap_mode="r")
    return Images(x, torch.from_numpy(labels.astype(np.int64)), train.astype(bool), tuple(map(str, names)))


def _decode(blobs: bytes, ends: np.ndarray, path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    starts = [0, *ends[:-1].tolist()]
    side = Image.open(io.BytesIO(blobs[: ends[0]])).size
    try:
        made = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(ends), side[1], side[0], 3))
        for place, (start, end) in enumerate(zip(starts, ends.tolist(), strict=True)):
            made[place] = Image.open(io.BytesIO(blobs[start:end])).convert("RGB")
        made.flush()
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def normalised(x: Tensor, mean: tuple[float, ...], scale: tuple[float, ...]) -> Tensor:
    """(b, c, h, w) uint8 -> float32, normalised, channels last in memory."""
    shape = (1, -1, 1, 1)
    out = (x.float() - torch.tensor(mean).view(shape)) / torch.tensor(scale).view(shape)
    return out.contiguous(memory_format=torch.channels_last)


def picked(images: np.ndarray, chosen: np.ndarray) -> Tensor:
    """(n, h, w, c) uint8, (b,) places -> (b, c, h, w) uint8."""
    return torch.from_numpy(images[chosen]).permute(0, 3, 1, 2)


def cropped(x: Tensor, side: int, generator: torch.Generator, *, least: float = 0.7) -> Tensor:
    """(b, c, h, w) uint8 -> (b, c, side, side): one size of crop a batch, from ``least`` of the side to all of it.

    The place of the crop and whether it is mirrored are drawn for each image.
    """
    whole, now = x.shape[-1], x.device
    size = int(torch.randint(round(least * whole), whole + 1, (), generator=generator))
    top, left = torch.randint(0, whole - size + 1, (2, len(x)), generator=generator)
    flip = torch.rand(len(x), generator=generator) < 0.5
    columns = torch.arange(size).repeat(len(x), 1)
    columns[flip] = columns[flip].flip(1)
    rows = (top[:, None] + torch.arange(size)).to(now)
    columns = (left[:, None] + columns).to(now)
    cut = x.permute(0, 2, 3, 1)[torch.arange(len(x), device=now)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return resized(cut.permute(0, 3, 1, 2), side)


def resized(x: Tensor, side: int) -> Tensor:
    """(b, c, h, w) uint8 -> (b, c, side, side) uint8."""
    if x.shape[-1] == side:
        return x
    small: Tensor = nn.functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return small
