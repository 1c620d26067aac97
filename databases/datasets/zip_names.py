"""Names in a zip: as its Unicode fields tell, in UTF-8, whether or not the zip says so, or in the code page of DOS."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence

from databases.datasets.names import some
from databases.errors import count

UTF8_FLAG = 0x800  # of a member whose name is UTF-8 by the zip's own words; Finder leaves it out
UNICODE_PATH = 0x7075  # Info-ZIP's field with the name in UTF-8, beside one in which letters may all have become a ?


def member_names(members: Sequence[zipfile.ZipInfo]) -> list[tuple[str, bool]]:
    """The name of each of all members, with forward slashes, and whether it is in another encoding, nobody knows which.

    In such an encoding a backslash may be half of a letter (Shift-JIS, GBK), and is no slash where any member of the
    zip has a forward one. Where a guess would make one name of two, what is not UTF-8 keeps its bytes, as in a folder.
    """
    forward = any("/" in member.filename for member in members)
    names = [_name(member, forward) for member in members]
    ways = defaultdict[str, set[bytes]](set)
    for member, (name, _) in zip(members, names, strict=True):
        ways[name].add(_raw(member))
    if all(len(ways[name]) == 1 for name, unsure in names if unsure):
        return names
    return [(_bytes_kept(name) if unsure else name, unsure) for name, unsure in names]


def _bytes_kept(name: str) -> str:
    return name.encode("cp437").decode(errors="surrogateescape")


def plain(name: str) -> str:
    """A name without what leads nowhere in it: a/0.png for ./a//0.png."""
    return "/".join(piece for piece in name.split("/") if piece not in ("", ".")) or name


def _name(member: zipfile.ZipInfo, forward: bool) -> tuple[str, bool]:
    given, told = member.filename, _told(member)
    name = (told or given).replace("\\", "/")
    if told or member.flag_bits & UTF8_FLAG or name.isascii():
        return name, False
    try:
        return name.encode("cp437").decode(), False  # zipfile took the bytes for that code page
    except UnicodeDecodeError:
        return given if forward else name, True
    except UnicodeEncodeError:  # zipfile found the name in UTF-8 by itself
        return name, False


def _told(member: zipfile.ZipInfo) -> str | None:
    """The name that a field of Unicode paths tells; None where there is none, or none that fits."""
    extra = member.extra
    while len(extra) > 4 and not member.flag_bits & UTF8_FLAG:
        kind, length = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(_raw(member))):
            try:
                name = field[5:].decode()
            except UnicodeDecodeError:
                return None
            return name if name.strip("/") and "\0" not in name else None
    return None


def _raw(member: zipfile.ZipInfo) -> bytes:
    """The bytes of a name as they stand in the zip."""
    return member.orig_filename.encode("utf-8" if member.flag_bits & UTF8_FLAG else "cp437")


def odd_names(names: Sequence[tuple[str, bool]]) -> list[str]:
    """What is odd about the names of files, each with whether it is in another encoding."""
    notes = []
    if again := len(names) - len({name for name, _ in names}):
        notes.append(f"the zip holds {count(again, 'file')} twice: of each name the last one counts")
    strange = [name for name, unsure in names if unsure]
    if strange:
        notes.append(f"{count(len(strange), 'name')} in the zip are not UTF-8 and may look strange: {some(strange)}")
    return notes
