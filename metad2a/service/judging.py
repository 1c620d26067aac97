"""What a found network does on the test images: confusion matrix, accuracy of each class, wrong pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from databases.datasets.task import Images, Task
    from metad2a.export.export import Exported

MOST_CLASSES, MOST_WRONG = 60, 24
WRONG = "wrong"


def judge(exported: Exported, task: Task, folder: Path) -> dict[str, Any]:
    """Confusion counts (rows: the truth) and the surest mistakes, whose pictures go to ``folder``."""
    import numpy as np

    from databases.datasets.task import TEST, VALIDATION
    from metad2a.train.inference import MANY

    part = TEST if (task.parts == TEST).any() else VALIDATION
    asked = task.places(part)
    labels = task.labels[asked]
    if not len(labels):
        return {"judged_on": 0}
    starts = range(0, len(asked), MANY)
    logits = np.concatenate([_logits(exported, task.images[asked[start : start + MANY]]) for start in starts])
    logits = logits - logits.max(axis=1, keepdims=True)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    said = shares.argmax(axis=1)
    counts = np.zeros((task.classes, task.classes), dtype=np.int64)
    np.add.at(counts, (labels, said), 1)
    mistakes = np.flatnonzero(said != labels)
    surest = mistakes[np.argsort(-shares[mistakes, said[mistakes]], kind="stable")][:MOST_WRONG]
    wrong = [
        {"number": number, "truth": int(labels[i]), "said": int(said[i]), "sure": float(shares[i, said[i]])}
        for number, i in enumerate(surest)
    ]
    _draw(folder / WRONG, [task.images[asked[i]] for i in surest])
    right = counts.diagonal()
    return {
        "judged_on": len(labels),
        "judged_part": "test" if part == TEST else "validation",
        "confusion": counts.tolist() if task.classes <= MOST_CLASSES else None,
        "per_class": [{"images": int(n), "right": int(r)} for n, r in zip(counts.sum(axis=1), right, strict=True)],
        "wrong": wrong,
    }


def _logits(exported: Exported, images: Images) -> npt.NDArray[np.float64]:
    """Calibrated, of images (n, h, w, c) of any size -> (n, classes)."""
    from databases.datasets.task import resize_images
    from metad2a.train.inference import predictions

    for size in exported.card.sizes:
        images = resize_images(images, size)
    found: npt.NDArray[np.float64] = predictions(exported.training, images) / exported.card.temperature
    return found


def _draw(folder: Path, pictures: list[Any]) -> None:
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(folder / f"{number}.png")
