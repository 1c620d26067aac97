"""Pretrained networks of the team's own: files of weights that the server's owner puts into a folder.

A file of ``metad2a pretrain`` under any name, or the weights of a network of timm under that network's name, such as
``resnet18.a1_in1k.safetensors``. Clients choose among the names and give no path; nothing but safetensors is read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from databases.errors import UserError, unknown

if TYPE_CHECKING:
    from metad2a.train.bases import Base

_END = ".safetensors"
_NAME = re.compile(r"\w[\w.-]{0,79}")


def names(folder: Path) -> list[str]:
    """The networks that are there, by name."""
    files = folder.glob(f"*{_END}") if folder.is_dir() else ()
    return sorted(name for each in files if _NAME.fullmatch(name := each.name.removesuffix(_END)) and each.is_file())


def version(folder: Path, name: str | None) -> str:
    """Another text once the file is another; raises UserError where there is no network of that name."""
    if name is None:
        return ""
    known = names(folder)
    if name not in known:
        if known:
            raise unknown("network", name, known)
        raise UserError(
            f"given also {name!r}, and this service has no networks of its own: leave it out, or ask the server's "
            "owner to put the file into the folder bases of the service's"
        )
    found = _path(folder, name).stat()
    return f"{name} {found.st_mtime_ns} {found.st_size}"


def open_one(folder: Path, name: str | None, *, channels: int) -> Base | None:
    """The network of that name for images of 1 or 3 channels, None for none; raises UserError where it cannot be."""
    if name is None:
        return None
    from metad2a.supernets.also import open_also

    version(folder, name)
    path = _path(folder, name)
    try:
        base = open_also(str(path) if _is_ours(path) else f"timm:{name}@{path}", channels=channels)
    except UserError as problem:  # where it lies is nobody's business
        raise UserError(str(problem).replace(str(path), path.name)) from problem
    return replace(base, name=name)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}{_END}"


def _is_ours(path: Path) -> bool:
    """Whether ``metad2a pretrain`` wrote it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return "metad2a" in (file.metadata() or {})
    except (SafetensorError, OSError) as problem:
        raise UserError(f"{path.name} cannot be read as weights ({problem}): tell the server's owner") from problem
