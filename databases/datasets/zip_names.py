"""Names in a zip: in UTF-8, whether or not the zip says so, or in the code page of DOS."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

from databases.datasets.names import some
from databases.errors import count

UTF8_FLAG = 0x800  # of a member whose name is UTF-8 by the zip's own words; Finder leaves it out


def member_names(members: Sequence[zipfile.ZipInfo]) -> list[tuple[str, bool]]:
    """The name of each of all members, with forward slashes, and whether it is in another encoding, nobody knows which.

    In such an encoding a backslash may be half of a letter (Shift-JIS, GBK), and is no slash where any member of the
    zip has a forward one.
    """
    forward = any("/" in member.filename for member in members)
    return [_name(member, forward) for member in members]


def _name(member: zipfile.ZipInfo, forward: bool) -> tuple[str, bool]:
    given = member.filename
    name = given.replace("\\", "/")
    if member.flag_bits & UTF8_FLAG or name.isascii():
        return name, False
    try:
        return name.encode("cp437").decode(), False  # zipfile took the bytes for that code page
    except UnicodeDecodeError:
        return given if forward else name, True
    except UnicodeEncodeError:  # zipfile found the name in UTF-8 by itself
        return name, False


def odd_names(names: Sequence[tuple[str, bool]]) -> list[str]:
    """What is odd about the names of files, each with whether it is in another encoding."""
    notes = []
    if again := len(names) - len({name for name, _ in names}):
        notes.append(f"the zip holds {count(again, 'file')} twice: of each name the last one counts")
    strange = [name for name, unsure in names if unsure]
    if strange:
        notes.append(f"{count(len(strange), 'name')} in the zip are not UTF-8 and may look strange: {some(strange)}")
    return notes
