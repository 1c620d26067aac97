"""Small data and plans of pretraining."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from metad2a.supernets.pretrain import PretrainPlan
from metad2a.train.together import Together

ALONE = Together(torch.device("cpu"))
QUICK = PretrainPlan(hours=0.5 / 3600, sides=(8,), shares=(1.0,), batch=8, learning_rate=0.05)


def blobs(path: Path, *, classes: int = 2, train: int = 10, held: int = 3, side: int = 12) -> Path:
    """Bright and dark noise as a file of encoded images."""
    rng = np.random.default_rng(0)
    files, labels, parts = [], [], []
    for label in range(classes):
        for place in range(train + held):
            file = io.BytesIO()
            low = 200 * label // max(1, classes - 1)
            Image.fromarray(rng.integers(low, low + 50, (side, side, 3), dtype=np.uint8)).save(file, "PNG")
            files.append(file.getvalue())
            labels.append(label)
            parts.append(place < train)
    ends = np.cumsum([len(each) for each in files])
    joined = np.frombuffer(b"".join(files), dtype=np.uint8)
    names = np.array([f"class {label}" for label in range(classes)])
    np.savez(path, blobs=joined, ends=ends, labels=np.array(labels, np.uint8), train=np.array(parts), names=names)
    return path
