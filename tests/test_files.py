"""Files are written whole or not at all, and a broken cache is made anew."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from made_up import episode
from made_up import task as features_of

from databases.datasets.features import extract
from databases.datasets.loading import load_task
from databases.datasets.task import Task
from databases.files import recover_folder, replace_file, replace_folder, write_files
from databases.kept import keep, kept, read
from databases.records.recipe import recipe
from predictors import rivals


def noise() -> Task:
    pictures = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    return load_task((pictures, np.arange(30) % 3))


def test_a_draft_takes_its_place_when_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft, path, steps = tmp_path / "draft", tmp_path / "file", list[str]()
    draft.write_bytes(b"new")

    def noted(name: str, real: Callable[..., None], *given: object) -> None:
        steps.append(name)
        real(*given)

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, partial(noted, name, getattr(os, name)))
    replace_file(draft, path)
    assert path.read_bytes() == b"new" and not draft.exists() and steps == ["fsync", "replace"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_breaks_leaves_what_was_there(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "file"
    write_files({path: b"before"})

    def broken(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, broken)
    with pytest.raises(OSError):
        write_files({path: b"after"})
    assert [each.read_bytes() for each in path.parent.iterdir()] == [b"before"]


def test_a_file_that_is_written_piece_by_piece_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_files({path: lambda file: file.writelines([b"be", b"fore"])})

    def torn(file: IO[bytes]) -> None:
        file.write(b"aft")
        raise ValueError

    with pytest.raises(ValueError):
        write_files({path: torn})
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"before"]


@pytest.mark.parametrize(
    "write",
    [
        lambda file: torch.save(torch.zeros(9), file),  # whose archive ends in an error of its own
        lambda file: np.savez(file, a=np.zeros(9)),
        lambda file: file.write(b"x"),
    ],
)
def test_a_full_disk_is_told_with_the_file_whatever_writes_it(
    write: Callable[[IO[bytes]], object], tmp_path: Path
) -> None:
    class Full(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: .*model") as told:
        write_files({tmp_path / "model": lambda file: write(Full())})
    assert told.value.errno == 28 and not list(tmp_path.iterdir())


class Killed(BaseException):
    """In the place of a signal that no process survives."""


def contents(folder: Path) -> dict[str, str]:
    return {each.name: (each / "file").read_text() for each in folder.iterdir()}


def folder_of(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "file").write_text(content)
    return path


@pytest.mark.parametrize(("steps", "after"), [(1, "old"), (2, "old"), (3, "new")])
def test_a_folder_is_replaced_whole_wherever_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, after: str
) -> None:
    draft, folder, left = folder_of(tmp_path / "draft", "new"), folder_of(tmp_path / "model", "old"), steps
    move, clear = os.replace, shutil.rmtree

    def step(really: Callable[..., None], *given: object, **named: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed  # and whatever is tried after it
        really(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", partial(step, move))
        patch.setattr(shutil, "rmtree", partial(step, clear))
        with pytest.raises(Killed):
            replace_folder(draft, folder)
    assert sorted(contents(tmp_path).values()) in (["new", "old"], ["new"]), "nothing is lost"
    recover_folder(folder)
    assert contents(tmp_path)["model"] == after
    replace_folder(folder_of(tmp_path / "again", "newest"), folder)
    assert {name: each for name, each in contents(tmp_path).items() if name != "draft"} == {"model": "newest"}


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", "old")
    with pytest.raises(OSError):
        replace_folder(tmp_path / "missing", folder)
    assert contents(tmp_path) == {"model": "old"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"no archive at all"])
def test_broken_arrays_count_as_missing(content: bytes, tmp_path: Path) -> None:
    keep(tmp_path, ("a", 1), {"x": np.arange(3)})
    assert (read(tmp_path, ("a", 1), "x") or {})["x"].tolist() == [0, 1, 2]
    assert read(tmp_path, ("a", 1), "y") is None and read(tmp_path, ("a", 2), "x") is None
    (tmp_path / "a-1.npz").write_bytes(content)
    assert read(tmp_path, ("a", 1), "x") is None


def test_what_a_folder_keeps_is_made_once_for_each_key(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, np.ndarray]:
        made.append(len(made))
        return {"x": np.array(made)}

    asked = [kept(folder, key, make, "x")["x"][-1] for folder in (tmp_path, None) for key in (("a",), ("a",), ("b",))]
    assert asked == [0, 0, 1, 2, 3, 4]


def test_caches_that_a_killed_process_tore_are_made_anew(tmp_path: Path) -> None:
    task = noise()
    cell = replace(episode(features_of(), [3], [50.0]), features=replace(features_of(), fingerprint="f"))

    def both() -> list[np.ndarray]:
        seen = extract(task, cache=tmp_path, probed=(0.0,) * 7).features
        return [seen, rivals.naswot_of(task, cell, recipe("tiny"), cache=tmp_path)]

    before = both()
    files = list(tmp_path.iterdir())
    for each in files:
        each.write_bytes(each.read_bytes()[:100])
    assert len(files) == 2
    for old, new in zip(before, both(), strict=True):
        np.testing.assert_array_equal(old, new)
