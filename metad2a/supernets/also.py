"""Pretrained networks of the user's own, by what ``--also`` says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from databases.errors import UserError
from metad2a.supernets.make import read_base
from metad2a.train.bases import OTHER, Base, of_family
from metad2a.train.foreign import open_timm

TIMM = "timm:"
ALLOWED = "timm:NAME (downloads), timm:NAME@FILE (weights in a file), or a FILE that metad2a pretrain wrote"


def open_also(text: str | Path, *, channels: int) -> Base:
    """The network that ``text`` names, as weights to begin with for images of 1 or 3 channels.

    Raises:
        UserError: there is none, or its weights are not to be had.
    """
    text = str(text) if isinstance(text, Path) else text
    if not isinstance(text, str):
        raise UserError(f"given also={text!r}; allowed are texts and paths: {ALLOWED}")
    if text.startswith(TIMM):
        name, at, file = text.removeprefix(TIMM).partition("@")
        if at and not Path(file).is_file():
            raise UserError(f"given {text!r}; there is no file {file!r}; allowed are {ALLOWED}")
        return open_timm(name, Path(file) if at else None, channels=channels)
    if not Path(text).is_file():
        raise UserError(f"given {text!r}, which is no file; allowed are {ALLOWED}")
    base = of_family(text, read_base(text), channels=channels)
    return replace(base, digest=f"{OTHER}-{base.digest}")
