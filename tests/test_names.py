"""Folders, files and zip members with names of any bytes stay apart, and are told."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from test_class_folders import (
    make,
    picture,
    told,
)

from databases.datasets.archives import Zip
from databases.datasets.loading import load_task
from databases.datasets.names import distinct, shown_apart
from databases.errors import UserError


@pytest.mark.parametrize("encoding", ["latin-1", "gbk", "utf-8"])
def test_folders_with_names_of_any_bytes_stay_classes_of_their_own(tmp_path: Path, encoding: str) -> None:
    words = ("好", "坏", "中") if encoding == "gbk" else ("é", "è", "ü")
    names = [os.fsdecode(word.encode(encoding)) for word in words]
    make(tmp_path, *names)
    task = load_task(tmp_path)
    assert len(set(task.class_names)) == 3 and np.bincount(task.labels).tolist() == [5, 5, 5]
    for name in task.class_names:
        name.encode()  # can be stored anywhere
    if encoding == "utf-8":
        assert set(task.class_names) == set(words) and "UTF-8" not in told(task)
    else:
        assert "not UTF-8" in told(task) and "look alike" in told(task)


def test_names_that_unicode_writes_in_two_ways(tmp_path: Path) -> None:
    beside = load_task(make(tmp_path / "beside", "e\u0301", "\u00e9", "z"))
    assert beside.class_names == ("z", "\u00e9", "\u00e9 (2)") and "look alike" in told(beside)
    parts = load_task(make(tmp_path / "parts", "train/e\u0301", "train/z", "test/\u00e9", "test/z"))
    assert parts.class_names == ("z", "\u00e9") and "encoding alone" in told(parts)


def test_shown_names_are_distinct_whatever_they_are() -> None:
    assert distinct(["a", "a", "a (2)", "a"])[0] == ["a", "a (3)", "a (2)", "a (4)"]
    names, notes = shown_apart(["a\udce9", "a\udce8", "a?"])
    assert names == ["a?", "a? (2)", "a? (3)"] and len(notes) == 2


def placeholder(number: int, name: bytes) -> str:
    return f"{'x' * (len(name) - 2)}{number:02}"


def pack(path: Path, names: list[str | bytes]) -> Path:
    """A zip of pictures; names in bytes stand in it as they are, without the mark of UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            text = name if isinstance(name, str) else placeholder(number, name)
            archive.writestr(text, picture(number))
    content = path.read_bytes()
    for number, name in enumerate(names):
        if isinstance(name, bytes):
            content = content.replace(placeholder(number, name).encode(), name)
    path.write_bytes(content)
    return path


def test_zip_names_in_utf8_without_its_mark_are_read_as_utf8(tmp_path: Path) -> None:
    names: list[str | bytes] = [f"{word}/{index}.png".encode() for word in ("Größe", "好") for index in range(3)]
    task = load_task(pack(tmp_path / "finder.zip", names))
    assert task.class_names == ("Größe", "好") and not told(task).count("UTF-8")


def test_zip_names_of_another_code_page_are_told_and_stay_apart(tmp_path: Path) -> None:
    names: list[str | bytes] = [f"{word}/{index}.png".encode("gbk") for word in ("好", "坏") for index in range(3)]
    task = load_task(pack(tmp_path / "old.zip", names))
    assert len(set(task.class_names)) == 2 and "in the zip are not UTF-8" in told(task)


def test_half_of_a_letter_in_a_zip_is_no_folder(tmp_path: Path) -> None:
    names: list[str | bytes] = [
        f"{word}/{index}.png".encode("shift_jis") for word in ("表示", "表現", "ソ") for index in range(3)
    ]
    assert all(isinstance(name, bytes) and b"\\" in name for name in names)
    task = load_task(pack(tmp_path / "japanese.zip", names))
    assert len(set(task.class_names)) == 3 and np.bincount(task.labels).tolist() == [3, 3, 3]


def test_half_of_a_letter_at_the_top_of_a_zip_is_no_folder_either(tmp_path: Path) -> None:
    names: list[str | bytes] = [f"{word}/{index}.png" for word in "ab" for index in range(3)]
    with closing(Zip(pack(tmp_path / "japanese.zip", [*names, "表示.png".encode("shift_jis")]))) as files:
        assert [name.count("/") for name in files.names] == [1] * 6 + [0]


def test_backslashes_between_folders_of_a_zip_are_slashes(tmp_path: Path) -> None:
    words = [word.encode("latin-1") for word in ("é", "z")]
    names: list[str | bytes] = [word + f"\\{index:03}.png".encode() for word in words for index in range(3)]
    assert len(load_task(pack(tmp_path / "dos.zip", names)).class_names) == 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_files_that_a_zip_holds_twice_are_told(tmp_path: Path) -> None:
    names: list[str | bytes] = [f"{word}/{index}.png" for word in "ab" for index in range(3)]
    assert "1 file twice" in told(load_task(pack(tmp_path / "twice.zip", [*names, "a/0.png"])))


def with_true_name(raw: str, name: bytes, *, damaged: str = "") -> zipfile.ZipInfo:
    """A member as WinZip and WinRAR write it: its true name in a field of its own, beside a checksum of the other."""
    field = struct.pack("<BL", 2 if damaged == "version" else 1, zlib.crc32(raw.encode()) ^ (damaged == "checksum"))
    member = zipfile.ZipInfo(raw)
    member.extra = struct.pack("<HH", 0x5455, 1) + b"x" + struct.pack("<HH", 0x7075, 5 + len(name)) + field + name
    return member


def pack_members(path: Path, members: list[zipfile.ZipInfo]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, member in enumerate(members):
            archive.writestr(member, picture(number))
    return path


def test_true_names_in_a_zip_keep_classes_apart_whose_letters_were_lost(tmp_path: Path) -> None:
    names = [f"{word}/{i}.png" for word in ("кот", "пёс") for i in range(3)]
    members = [with_true_name(f"???/{number}.png", name.encode()) for number, name in enumerate(names)]
    task = load_task(pack_members(tmp_path / "winrar.zip", members))
    assert task.class_names == ("кот", "пёс") and len(task.images) == 6 and "UTF-8" not in told(task)


@pytest.mark.parametrize("damaged", ["checksum", "version"])
def test_a_true_name_that_does_not_fit_is_not_believed(tmp_path: Path, damaged: str) -> None:
    members = [with_true_name(f"{c}/{i}.png", f"x/{c}{i}.png".encode(), damaged=damaged) for c in "ab" for i in "123"]
    assert load_task(pack_members(tmp_path / "a.zip", members)).class_names == ("a", "b")


def test_a_true_name_cannot_lead_outside(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leads outside"):
        load_task(pack_members(tmp_path / "a.zip", [with_true_name("a/1.png", "../é/1.png".encode())]))


def test_a_guess_makes_no_one_file_of_two_in_a_zip(tmp_path: Path) -> None:
    names: list[str | bytes] = [f"a\u00e4b/{i}.png".encode(code) for code in ("utf-8", "cp437") for i in range(3)]
    task = load_task(pack(tmp_path / "mixed.zip", [*names, *(f"c/{i}.png" for i in range(3))]))
    assert len(task.images) == 9 and np.bincount(task.labels).tolist() == [3, 3, 3] and "twice" not in told(task)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_leads_nowhere_in_a_name_of_a_zip_is_left_out(tmp_path: Path) -> None:
    names: list[str | bytes] = [f"{start}{i}.png" for start in ("./a/", "a/./x", "./b/", "b//x") for i in range(2)]
    with closing(Zip(pack(tmp_path / "tar.zip", ["./", *names]))) as files:
        assert sorted(files.names) == [f"{c}/{x}{i}.png" for c in "ab" for x in ("", "x") for i in range(2)]
        assert not files.empty
    task = load_task(pack(tmp_path / "again.zip", [*names, "a/0.png"]))
    assert task.class_names == ("a", "b") and len(task.images) == 8 and "1 file twice" in told(task)
