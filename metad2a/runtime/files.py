"""Results outside the home folder: written as a whole or not at all, and never in the place of what others wrote.

What is ours is known in one way: the list `LEDGER` of each folder names our files there, and their digests.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from databases.errors import UserError
from databases.files import replace_file, replace_folder, write_files
from databases.paths import real_path
from metad2a.runtime.home import home_path

LEDGER = ".metad2a-files"  # not `.metad2a`: so is the home folder called
_HEAD = "# What metad2a wrote into this folder, and replaces as long as nobody else changes it"


def write_folder(folder: Path, write: Callable[[Path], list[str]]) -> list[str]:
    """Calls ``write`` with an empty folder and moves the files that it names into ``folder``; returns the names.

    Raises:
        UserError: the folder is a file, cannot be written or holds files of others in these places; it is then left
            as it was.
    """
    with _into(folder):
        with TemporaryDirectory(prefix=".metad2a-", dir=folder) as beside:
            names = write(Path(beside))
            contents = {name: (Path(beside) / name).read_bytes() for name in names}
        _put(folder, contents)
    return names


def write_results(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files into a folder, all or none; raises UserError as `write_folder` does."""
    with _into(folder):
        _put(folder, contents)


def keep_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes what a command keeps for itself, such as the state of a run, all or none; raises UserError on failure."""
    try:
        write_files({folder / name: content for name, content in contents.items()})
    except OSError as problem:
        raise not_written(folder, problem) from problem


def not_written(folder: Path, problem: OSError) -> UserError:
    """What to say where a command cannot keep its files in a folder."""
    return UserError(f"cannot write to {str(folder)!r} ({problem.strerror}): make room there or name another folder")


@contextmanager
def written_file(path: Path) -> Iterator[Path]:
    """A draft to write, which takes the place of ``path`` when the block ends well; raises UserError as above."""
    with _into(path.absolute().parent) as folder:
        with TemporaryDirectory(prefix=".metad2a-", dir=folder) as beside:
            draft = Path(beside) / path.name
            yield draft
            refuse_foreign(folder, [path.name])
            _note(folder, {path.name: _digest(draft)})
            replace_file(draft, folder / path.name)


def replace_results(draft: Path, folder: Path) -> None:
    """Puts a finished folder in the place of an earlier one of ours; raises UserError where another stands there."""
    refuse_foreign(folder.parent, [folder.name])
    _note(folder.parent, {folder.name: _digest(draft)})
    replace_folder(draft, folder)


def refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    """Raises UserError where something of these names stands in the folder and is not ours; an empty file may go."""
    known, all_ours = _ledger(folder), _in_home(folder)
    for name in sorted(set(names)):
        if os.path.lexists(folder / name) and not (all_ours or _empty(folder / name) or _known(folder / name, known)):
            raise UserError(
                f"{str(folder / name)!r} was not written by this metad2a, or was changed since, and would be replaced: "
                "give another name, or move it"
            )


def ours(folder: Path) -> set[str]:
    """Names of what we wrote into a folder and nobody changed since; in the home folder all is ours."""
    if not folder.is_dir():
        return set()
    if _in_home(folder):
        return {each.name for each in folder.iterdir()}
    known = _ledger(folder)
    return {name for name in known if _known(folder / name, known)}


@contextmanager
def _into(folder: Path) -> Iterator[Path]:
    """The folder, made for the block, and gone again if that fails; raises UserError for what the disk refuses."""
    missing = [each for each in (folder, *folder.parents) if not os.path.exists(each)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except BaseException as error:
        for each in missing:
            with suppress(OSError):
                each.rmdir()
        if not isinstance(error, OSError):
            raise
        reason = "it is a file" if os.path.isfile(folder) else error.strerror or str(error)
        raise UserError(f"Cannot write the answer to {folder} ({reason}): name another folder.") from None


def _put(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name in contents:
        if (folder / name).is_dir():
            raise IsADirectoryError(0, f"{name} in it is a folder")
    refuse_foreign(folder, contents)
    _note(folder, {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()})
    write_files({folder / name: content for name, content in contents.items()})


def _note(folder: Path, digests: Mapping[str, str | None]) -> None:
    """Adds to the list of a folder, before what is listed is in place: killed between, we own nothing too much.

    Lines are only added, in one write: two commands at once lose none of each other's.
    """
    if _in_home(folder):
        return
    known = _ledger(folder)
    lines = [
        f"\n{digest} {json.dumps(name)}\n" for name, digest in digests.items() if digest not in known.get(name, ())
    ]
    path = folder / LEDGER
    if not path.exists():
        lines.insert(0, _HEAD)
    elif not _is_list(path):
        raise UserError(f"{str(path)!r} is the name of our list of files and is another file: move it")
    if lines:
        with path.open("a", encoding="ascii") as file:
            file.write("".join(lines))


def _in_home(folder: Path) -> bool:
    return real_path(folder).is_relative_to(real_path(home_path()))


def _is_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD.encode()


def _ledger(folder: Path) -> dict[str, set[str]]:
    """Name -> digests of what was written there; nothing is believed of a file of others that is called so."""
    found: dict[str, set[str]] = {}
    with suppress(OSError, UnicodeDecodeError):
        if _is_list(folder / LEDGER):
            for line in (folder / LEDGER).read_text(encoding="ascii").splitlines()[1:]:
                digest, _, name = line.partition(" ")
                with suppress(ValueError):  # a line that was cut
                    found.setdefault(str(json.loads(name)), set()).add(digest)
    return {name: digests for name, digests in found.items() if name and os.path.basename(name) == name}


def _known(path: Path, known: Mapping[str, set[str]]) -> bool:
    return path.name in known and _digest(path) in known[path.name]


def _digest(path: Path) -> str | None:
    """Of a plain file, or of a folder with all that is in it; None of a link, and where there is neither."""
    try:
        if path.is_symlink():
            return None
        if not path.is_dir():
            return hashlib.sha256(path.read_bytes()).hexdigest()
        inside = sorted(each for each in path.rglob("*") if not each.is_dir() and each.parent.name != "__pycache__")
        told = [f"{_digest(each)} {json.dumps(str(each.relative_to(path)))}" for each in inside]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()
    except OSError:
        return None


def _empty(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not path.stat().st_size
