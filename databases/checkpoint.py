"""Files of weights: safetensors with a JSON header (what it is, how it was made, its figures)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databases.errors import UserError
from databases.files import write_files

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

VERSION = 1


def save(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, form: str) -> str:
    """Writes tensors and header at once (or not at all); returns the first 16 hex digits of the file's sha256."""
    from safetensors.torch import save as to_bytes

    meta = {"metad2a": json.dumps({"format": form, "version": VERSION, **header}, sort_keys=True)}
    write_files({path: to_bytes({name: value.contiguous() for name, value in tensors.items()}, meta)})
    return digest(path)


def load(path: Path, *, form: str, origin: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a file of this form, which comes from ``origin``.

    Raises:
        UserError: the file is missing, corrupt, foreign or newer.
    """
    return _load(path, "pt", form=form, origin=origin)


def load_arrays(path: Path, *, form: str, origin: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """As `load`, without torch, whose import takes a second."""
    return _load(path, "np", form=form, origin=origin)


def _load(path: Path, framework: str, *, form: str, origin: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    what = form.removeprefix("metad2a-")
    if not path.is_file():
        raise UserError(f"no {what} at {path}: {origin}")
    try:
        with safe_open(path, framework) as file:
            text = (file.metadata() or {}).get("metad2a", "{}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        header = json.loads(text)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a {what} ({error}): is it whole, and of safetensors?") from None
    if not isinstance(header, dict) or header.get("format") != form:
        raise UserError(f"{path} is no {what} of metad2a: {origin}")
    if header.get("version") != VERSION:
        raise UserError(f"{path} has format {header.get('version')}, this metad2a reads {VERSION}: update metad2a")
    return tensors, header


def digest(path: Path) -> str:
    """sha256 of a file, first 16 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
