"""Where files come from: a folder or a zip, read one file at a time into memory, within limits.

Nothing is ever unpacked to disk. A zip from a stranger cannot reach outside itself (no parent folders,
absolute paths or links) nor grow past its limits, which hold for the bytes that really come out of it.
"""

from __future__ import annotations

import errno
import io
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from databases.datasets.names import is_hidden
from databases.datasets.pace import Clock
from databases.datasets.zip_names import member_names, odd_names, plain
from databases.errors import UserError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

MAX_FILES = 2_000_000
MAX_BYTES = 4 * 2**30
CHECKED = 1_000  # files between two looks at the clock


class Files(Protocol):
    """Named files; names are relative, with forward slashes."""

    @property
    def root(self) -> str:
        """Where they lie on the disk; an empty text where they do not."""

    @property
    def clock(self) -> Clock:
        """By when they must be read."""

    @property
    def names(self) -> list[str]:
        """All names, in no particular order; a hidden folder is named once, with a slash, without what is in it."""

    @property
    def empty(self) -> list[str]:
        """Names of the folders with nothing in them."""

    @property
    def lost(self) -> list[tuple[str, str]]:
        """Entries that lead to no file (broken links, links in circles, sockets), each with the reason."""

    @property
    def notes(self) -> list[str]:
        """What is odd about the names."""

    def read(self, name: str, *, most: int) -> bytes:
        """Content of one file; OSError when it cannot be read or is longer than `most` bytes."""

    def mark(self, name: str) -> str:
        """What changes when the content of a file does, told without reading it."""


class Folder:
    """A folder on disk with everything below it; links are followed, but not round in circles."""

    def __init__(self, path: Path, *, max_files: int = MAX_FILES, deadline: float = math.inf) -> None:
        self._path, self.root, self.clock = path, str(path), Clock(deadline)
        self.names: list[str] = []
        self.empty: list[str] = []
        self.lost: list[tuple[str, str]] = []
        self.notes: list[str] = []
        try:
            for name in self._walk(path, "", (os.path.realpath(path),)):
                self.names.append(name)
                if not len(self.names) % CHECKED:
                    self.clock.check(len(self.names), repr(str(path)))
                if len(self.names) > max_files:
                    raise _too_many(str(path), max_files)
        except OSError as problem:
            raise UserError(
                f"given {str(path)!r}, where {problem.filename!r} cannot be read ({problem.strerror}); "
                "allowed are folders that you may read; make it readable or remove it"
            ) from problem

    def _walk(self, folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[str]:
        """Names below a folder; `above` holds the real paths that lead to it."""
        with os.scandir(folder) as entries:
            listed = list(entries)
        if prefix and not listed:
            self.empty.append(prefix.rstrip("/"))
        for entry in listed:
            is_folder, is_file = _leads_to(entry)
            if is_folder and not is_hidden(entry.name):
                real = os.path.realpath(entry.path)
                if real in above:
                    self.lost.append((prefix + entry.name, "link to a folder above"))
                else:
                    yield from self._walk(Path(entry.path), f"{prefix}{entry.name}/", (*above, real))
            elif is_file or is_folder:
                yield prefix + entry.name + "/" * is_folder
            elif not is_hidden(entry.name):
                self.lost.append((prefix + entry.name, _why_no_file(entry)))

    def close(self) -> None:
        """Nothing stays open between reads."""

    def read(self, name: str, *, most: int) -> bytes:
        """Content of one file; OSError when it cannot be read or is longer than `most` bytes."""
        with open(self._place(name), "rb") as file:
            return _whole(file.read(most + 1), most)

    def _place(self, name: str) -> str:
        return f"{self._path}{os.sep}{name}"  # a `Path` takes longer to make than a small file to read

    def mark(self, name: str) -> str:
        """Size and times of change of a file."""
        try:
            found = os.stat(self._place(name))
        except OSError as problem:
            return problem.strerror or "lost"
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


class Zip:
    """A zip file. Raises UserError when it is none, is unsafe, or unpacks past a limit."""

    root = ""

    def __init__(
        self, path: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES, deadline: float = math.inf
    ) -> None:
        self._path, self._max_bytes, self._bytes_left, self.clock = str(path), max_bytes, max_bytes, Clock(deadline)
        try:
            self._zip = zipfile.ZipFile(path)
            listed = self._zip.infolist()
            names = list(zip(listed, member_names(listed), strict=True))
            members = [(member, name) for member, name in names if not member.is_dir()]
        except OSError as problem:
            raise UserError(
                f"given {self._path!r}, which cannot be read ({problem.strerror}); allowed is a file that you may read"
            ) from problem
        except Exception as problem:  # zipfile raises whatever a damaged index makes it raise
            raise UserError(
                f"given {self._path!r}, which is not a zip file or is damaged ({problem}); "
                "allowed are zip and npz files; pack it again"
            ) from problem
        try:
            if len(members) > max_files:
                raise _too_many(self._path, max_files)
            if sum(member.file_size for member, _ in members) > max_bytes:
                raise self._too_large()
            for member, (name, _) in members:
                self._refuse_unsafe(member, name)
        except UserError:
            self.close()
            raise
        self._members = {plain(name): member for member, (name, _) in members}
        self.empty = _empty([plain(name) for _, (name, _) in names], set(self._members))
        self.lost: list[tuple[str, str]] = []
        self.notes = odd_names([(plain(name), unsure) for _, (name, unsure) in members])

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """Names of all members that are files."""
        return list(self._members)

    def read(self, name: str, *, most: int | None = None) -> bytes:
        """Content of one member; OSError when it is damaged or longer than `most` bytes."""
        allowed = self._bytes_left if most is None else min(most, self._bytes_left)
        try:
            with self._zip.open(self._members[name]) as file:
                content = file.read(allowed + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as problem:
            raise OSError(f"damaged in the zip file: {problem}") from problem
        self.count(len(content))
        return _whole(content, allowed)

    def mark(self, name: str) -> str:
        """Size and checksum of a member."""
        return f"{self._members[name].file_size} {self._members[name].CRC}"

    def size(self, name: str) -> int:
        """Bytes of a member, as the zip's index has it."""
        return self._members[name].file_size

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """One member to read piece by piece; the same limits and errors as in `read` hold for the pieces."""
        with self._zip.open(self._members[name]) as file:
            yield cast(BinaryIO, io.BufferedReader(_Counted(self, file), 2**16))

    def count(self, length: int) -> None:
        """Notes bytes that came out; raises UserError past the limit."""
        self._bytes_left -= length
        if self._bytes_left < 0:
            raise self._too_large()

    def _refuse_unsafe(self, member: zipfile.ZipInfo, name: str) -> None:
        """Raise UserError for a member, and what it is called, that leads outside or cannot be unpacked in limits."""
        reason = ""
        if any(map(_leads_outside, (member.filename.replace("\\", "/"), name))):
            reason = "leads outside it"
        elif stat.S_ISLNK(member.external_attr >> 16):
            reason = "is a link"
        elif member.flag_bits & 1:
            reason = "is encrypted"
        elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            reason = "is packed in an unusual way"  # whose decompressor hands out unlimited bytes at once
        if reason:
            raise UserError(
                f"given {self._path!r}, in which {member.filename!r} {reason}; "
                "allowed are plain files, stored or deflated, inside the zip; pack the folder again"
            )

    def _too_large(self) -> UserError:
        """The error for a zip that unpacks past the limit."""
        return UserError(
            f"given {self._path!r}, which unpacks to too much; allowed are {self._max_bytes:,} bytes; "
            "pack fewer or smaller pictures, or unpack it and give the folder"
        )


def _leads_outside(path: str) -> bool:
    return path.startswith("/") or path[1:2] == ":" or ".." in path.split("/")


def _leads_to(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Whether an entry is a folder, and whether a file; links are followed as far as they lead anywhere."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            return False, False
        raise


def _why_no_file(entry: os.DirEntry[str]) -> str:
    """What an entry is that is neither file nor folder."""
    try:
        os.stat(entry.path)
    except OSError as problem:
        return "link in a circle" if problem.errno == errno.ELOOP else "broken link"
    return "socket, pipe or device"


class _Counted(io.RawIOBase):
    """A member of a zip that counts the bytes taken out of it."""

    def __init__(self, archive: Zip, file: IO[bytes]) -> None:
        self._archive, self._file = archive, file

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fills the buffer as far as the member goes."""
        view = memoryview(buffer).cast("B")
        content = self._file.read(len(view))
        self._archive.count(len(content))
        view[: len(content)] = content
        return len(content)


def _empty(names: list[str], files: set[str]) -> list[str]:
    """Folders of the user's, each once, that lead to nothing else; a zip may name the folders of its files or not."""
    filled = {above for name in names for above in _above(name)}
    folders = dict.fromkeys(name for name in names if name not in files and name not in filled)
    return [name for name in folders if not any(map(is_hidden, name.split("/")))]


def _above(name: str) -> list[str]:
    """All folders that lead to a name: a and a/b to a/b/c."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _whole(content: bytes, most: int) -> bytes:
    """The content, unless reading one byte past the limit showed that there is more."""
    if len(content) > most:
        raise OSError(f"longer than {most:,} bytes")
    return content


def _too_many(path: str, max_files: int) -> UserError:
    """The error for too many files."""
    return UserError(
        f"given {path!r} with too many files; allowed are {max_files:,}; "
        "give a folder that holds only the pictures, or fewer of them"
    )
