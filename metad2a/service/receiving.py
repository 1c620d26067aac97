"""Receives uploads: streamed to the data disk, looked at before anything is unpacked, understood in another process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from databases.errors import UserError
from databases.usual import AUTOMATIC
from metad2a.service.problems import DISK_FULL, FULL, Problem
from metad2a.service.settings import Allowances, Settings

if TYPE_CHECKING:
    from starlette.datastructures import UploadFile

ALLOWED = "allowed are a zip of class folders and an .npz file with x and y"
_ENTRY, _END, _END64, _LOCATOR64 = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_ENTRY_BYTES, _END_BYTES, _END64_BYTES = 46, 22, 56 + 20  # without names and comments; the last two go together
_LONGEST_COMMENT = 65_535
_WRAP = 65_536  # programs that do not know zip64 count modulo this
GRACE = 10.0  # seconds a reader has beyond its own limit
FORM_BYTES = 64 * 1024  # that a form adds to its file


async def chunks_of(file: UploadFile) -> AsyncIterator[bytes]:
    """What was sent as a file of a form."""
    while chunk := await file.read(2**20):
        yield chunk


async def store(chunks: AsyncIterator[bytes], path: Path, *, most: int) -> int:
    """Writes what comes to a file; 413 past ``most`` bytes, 507 where the disk is full. Returns the bytes."""
    received = 0
    try:
        with path.open("wb") as file:
            async for chunk in chunks:
                received += len(chunk)
                if received > most:
                    raise Problem(413, f"the dataset is larger than {most:,} bytes: send fewer or smaller pictures")
                await asyncio.to_thread(file.write, chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
    except OSError as problem:
        if problem.errno not in DISK_FULL:
            raise
        raise Problem(507, FULL) from problem
    return received


def new_draft(settings: Settings) -> Path:
    """An empty folder for an upload."""
    draft = settings.uploads / secrets.token_hex(16)
    draft.mkdir(parents=True)
    return draft


def drop(draft: Path) -> None:
    """Removes a draft that came to nothing."""
    shutil.rmtree(draft, ignore_errors=True)


def shown_name(given: str | None) -> str:
    """A name for people out of a file's name: never a path, never empty."""
    last = re.split(r"[\\/]", given or "")[-1]
    stem = re.sub(r"\.(zip|npz)$", "", last, flags=re.IGNORECASE)
    plain = "".join(character for character in stem if character.isprintable() and character not in "<>\"'&")
    return " ".join(plain.split())[:60] or "dataset"


def kind_of(path: Path) -> str:
    """``data.npz`` or ``data.zip``, by what the archive holds; 422 for anything else."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception as problem:  # zipfile raises whatever a damaged index makes it raise
        raise UserError(f"given no zip or npz file, or a damaged one; {ALLOWED}; pack it again") from problem
    if not names:
        raise UserError(f"given an empty archive; {ALLOWED}; pack the pictures")
    return "data.npz" if all(name.endswith(".npy") and "/" not in name for name in names) else "data.zip"


def check_index(path: Path, *, max_files: int) -> None:
    """Refuses an archive of too many files before `zipfile` reads an index of any length into memory.

    The end record tells how many there are; the index itself is counted entry by entry, since records can lie.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        files, size, end = _end_record(file, length)
        if files <= max_files:
            told, files = files, _entries(file, start=end - size, end=end, most=max_files)
            if files <= max_files and told % _WRAP != files % _WRAP:
                raise UserError(f"given a damaged archive, whose index and end disagree; {ALLOWED}; pack it again")
    if files > max_files:
        raise UserError(
            f"given an archive of {files:,} files or more; allowed are {max_files:,}; send only the pictures"
        )


def _end_record(file: BinaryIO, length: int) -> tuple[int, int, int]:
    """How many files and bytes of index an archive tells of, and where that index ends."""
    start = max(0, length - _LONGEST_COMMENT - _END_BYTES - _END64_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_BYTES:
        raise UserError(f"given no zip or npz file; {ALLOWED}; pack the pictures")
    files, size = struct.unpack("<HI", tail[at + 10 : at + 16])
    if at >= _END64_BYTES and tail[at - 20 : at - 16] == _LOCATOR64:
        at -= _END64_BYTES
        if tail[at : at + 4] == _END64:
            files, size = struct.unpack("<QQ", tail[at + 32 : at + 48])
    if size > start + at:
        raise UserError(f"given a damaged archive, whose index is longer than itself; {ALLOWED}; pack it again")
    return files, size, start + at


def _entries(file: BinaryIO, *, start: int, end: int, most: int) -> int:
    """How many entries an index really has, counted until there are too many."""
    count = 0
    file.seek(start)
    while count <= most and file.tell() < end:
        header = file.read(_ENTRY_BYTES)
        if len(header) < _ENTRY_BYTES or header[:4] != _ENTRY:
            break  # `zipfile` will find the same, and say so
        file.seek(sum(struct.unpack("<HHH", header[28:34])), os.SEEK_CUR)
        count += 1
    return count


async def understand(
    draft: Path, file: str, *, name: str, limits: Allowances, groups: str = AUTOMATIC
) -> dict[str, Any]:
    """The summary of an uploaded file, from a process that may be killed; raises UserError in a sentence."""
    told = {
        "name": name,
        "files": limits.upload_files,
        "unpacked": limits.unpacked_bytes,
        "bytes": limits.reading_bytes,
        "seconds": limits.reading_seconds,
        "groups": groups,
    }
    command = [sys.executable, "-m", "metad2a.service.reading", str(draft), file, json.dumps(told)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), limits.reading_seconds + GRACE)
    except TimeoutError:
        raise UserError("reading these pictures takes too long: send fewer or smaller ones") from None
    finally:
        with suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()
                await process.wait()
    try:
        found: dict[str, Any] = json.loads(output)
    except ValueError:
        raise UserError("reading these pictures broke or took too much: send fewer, smaller, or sound ones") from None
    if found.get("full"):
        raise Problem(507, FULL)
    if "error" in found:
        raise UserError(str(found["error"]))
    return found
