"""Names in a zip: in UTF-8, whether or not the zip says so, or in the code page of DOS."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

from databases.datasets.names import some
from databases.errors import count

UTF8_FLAG = 0x800  # of a member whose name is UTF-8 by the zip's own words; Finder leaves it out


def member_name(member: zipfile.ZipInfo) -> tuple[str, bool]:
    """The name of a member, with forward slashes, and whether it is in another encoding, which nobody can tell.

    In such an encoding a backslash may be half of a letter (Shift-JIS, GBK), and is none where there are forward ones.
    """
    given = member.filename
    name = given.replace("\\", "/")
    if member.flag_bits & UTF8_FLAG or name.isascii():
        return name, False
    try:
        return name.encode("cp437").decode(), False  # zipfile took the bytes for that code page
    except UnicodeDecodeError:
        return given if "/" in given else name, True
    except UnicodeEncodeError:  # zipfile found the name in UTF-8 by itself
        return name, False


def odd_names(members: Sequence[zipfile.ZipInfo], different: int) -> list[str]:
    """What is odd about the names of members, of which so many are different."""
    notes = []
    if len(members) > different:
        notes.append(f"the zip holds {count(len(members) - different, 'file')} twice: of each name the last one counts")
    strange = [name for name, unsure in map(member_name, members) if unsure]
    if strange:
        notes.append(f"{count(len(strange), 'name')} in the zip are not UTF-8 and may look strange: {some(strange)}")
    return notes
