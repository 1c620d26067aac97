"""Understands one uploaded dataset in a process of its own, with limits of memory and time.

    python -m metad2a.service.reading DRAFT FILE LIMITS

DRAFT is the folder with the uploaded FILE; thumbnails are written beside it. Prints one JSON object: the summary, or
``{"error": ...}``. The parent kills it when it takes too long; a decoder that breaks breaks this process alone.
"""

from __future__ import annotations

import errno
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databases.errors import UserError
from databases.hosting import own_process
from databases.usual import AUTOMATIC
from metad2a.service.children import limit_memory
from metad2a.service.words import as_fields

if TYPE_CHECKING:
    from databases.datasets.task import Task

THUMBNAILS, THUMBNAIL_PX = 240, 96
_PER_CLASS = 8
_CHUNK = 2**20


def read(
    draft: Path, file: str, *, name: str, max_files: int, max_bytes: int, groups: str = AUTOMATIC
) -> dict[str, Any]:
    """The summary of a dataset; raises UserError where it cannot be used."""
    from databases.architectures.spaces.pipeline import PIPELINE
    from databases.datasets.loading import load_task

    path = draft / file
    check_sizes(path)
    task = load_task(path, up_to=PIPELINE.up_to, max_files=max_files, max_bytes=max_bytes, groups=groups)
    small = task
    if file.endswith(".zip"):  # pictures at a size to look at, of a sample only
        small = load_task(
            path,
            resolution=THUMBNAIL_PX,
            max_images=THUMBNAILS * 2,
            max_files=max_files,
            max_bytes=max_bytes,
            groups=groups,
        )
    told = summary_of(task)
    told["thumbnails"] = write_thumbnails(small, draft)
    return {"id": content_id(path, groups), "file": file, "given": name, "groups": groups, **told}


def summary_of(task: Task) -> dict[str, Any]:
    """Classes, parts, balance and what loading changed."""
    import numpy as np

    parts = [np.bincount(task.labels[task.parts == part], minlength=task.classes).tolist() for part in range(3)]
    classes = [
        {"name": name, "train": train, "validation": validation, "test": test}
        for name, train, validation, test in zip(task.class_names, *parts, strict=True)
    ]
    return {
        "images": len(task.images),
        "channels": task.channels,
        "resolution": task.resolution,
        "fingerprint": task.fingerprint,
        "text": task.summary,
        "balance": task.statistics()["balance"],
        "classes": classes,
        "warnings": [*map(as_fields, task.notes), *_warnings(task)],
    }


def _warnings(task: Task) -> list[str]:
    statistics = task.statistics()
    smallest, largest = int(statistics["smallest_class"]), int(statistics["largest_class"])
    found = []
    if smallest < 10:
        images = "image" if smallest == 1 else "images"
        found.append(f"the smallest class has {smallest} training {images}: its accuracy will be rough")
    if largest > 10 * smallest:
        found.append(f"the largest class has {largest / smallest:.0f} times the images of the smallest")
    return found


def write_thumbnails(task: Task, draft: Path) -> list[dict[str, Any]]:
    """Pixels alone, as PNG: no EXIF, no colour profile and no comment of the original survives."""
    import numpy as np
    from PIL import Image

    folder = draft / "thumbnails"
    folder.mkdir(exist_ok=True)
    each = max(1, min(_PER_CLASS, THUMBNAILS // task.classes))
    told: list[dict[str, Any]] = []
    for label in range(min(task.classes, THUMBNAILS)):
        for index in np.flatnonzero(task.labels == label)[:each]:
            pixels = task.images[index]
            picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            picture.save(folder / f"{len(told)}.png")
            told.append({"number": len(told), "class": label})
    return told


def content_id(path: Path, groups: str) -> str:
    """32 hex digits that name what is in an archive, however and when it was packed, and how it is grouped."""
    digest = hashlib.sha256(path.suffix.encode() + (b"" if groups == AUTOMATIC else groups.encode()))
    with zipfile.ZipFile(path) as archive:
        for member in sorted(archive.infolist(), key=lambda each: each.filename):
            if member.is_dir():
                continue
            content = hashlib.sha256()
            with archive.open(member) as file:
                while chunk := file.read(_CHUNK):
                    content.update(chunk)
            digest.update(f"{member.filename}\0{content.hexdigest()}\n".encode(errors="replace"))
    return digest.hexdigest()[:32]


def check_sizes(path: Path) -> None:
    """Refuses an index that tells of more packed bytes than the file has: such members come out empty."""
    try:
        with zipfile.ZipFile(path) as archive:
            packed = sum(member.compress_size for member in archive.infolist())
    except Exception as problem:  # zipfile raises whatever a damaged index makes it raise
        raise UserError(f"given no zip or npz file, or a damaged one ({problem}): pack it again") from problem
    if packed > path.stat().st_size:
        raise UserError("given a zip whose index tells of more bytes than it has: pack the folder again")


def main(arguments: list[str]) -> int:
    """Reads what the command line names; see the head of this module."""
    draft, file, limits = Path(arguments[0]), arguments[1], json.loads(arguments[2])
    limit_memory(limits["bytes"], seconds=limits["seconds"])
    try:
        most = {"max_files": limits["files"], "max_bytes": limits["unpacked"]}
        told = read(draft, file, name=limits["name"], groups=limits["groups"], **most)
    except UserError as problem:
        sentence = " ".join(str(problem).split()).replace(str(draft / file), limits["name"])
        told = {"error": as_fields(sentence)}
    except MemoryError:
        told = {"error": "this needs more memory than one dataset may take: send fewer or smaller pictures"}
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        told = {"full": True}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    own_process()
    sys.exit(main(sys.argv[1:]))
