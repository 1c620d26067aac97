"""Zip files from strangers: read in memory, within limits, never outside themselves."""

from __future__ import annotations

import io
import stat
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from databases.datasets.archives import Zip
from databases.datasets.loading import load_task
from databases.datasets.task import Task
from databases.errors import UserError


def png(value: int) -> bytes:
    """A small picture of one grey."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((9, 9), value, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


CONTENT = {f"{name}/{i}.png": png(20 * i + j) for j, name in enumerate(("cat", "dog")) for i in range(10)}


def pack(path: Path, content: dict[str, bytes], extra: zipfile.ZipInfo | str | None = None, data: bytes = b"x") -> Path:
    """A zip file of the content, and one more member."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in content.items():
            archive.writestr(name, each)
        if extra is not None:
            archive.writestr(extra, data)
    return path


def load(path: Path, **options: Any) -> Task | str:
    """The task, or the one line with which it is refused."""
    try:
        return load_task(path, **options)
    except UserError as problem:
        assert "\n" not in str(problem) and "allowed" in str(problem)
        return str(problem)


def test_a_zip_equals_its_folder_wrapped_or_not_and_leaves_nothing_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in CONTENT.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    plain = pack(tmp_path / "plain.zip", dict(reversed(CONTENT.items())))
    wrapped = {f"pets/{name}": content for name, content in CONTENT.items()}
    mac = pack(tmp_path / "mac.zip", {**wrapped, "__MACOSX/pets/cat/._0.png": b"x"})
    windows = pack(tmp_path / "windows", {name.replace("/", "\\"): content for name, content in wrapped.items()})
    before = set(tmp_path.rglob("*"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    tasks = [load_task(path) for path in (tmp_path / "folder", plain, mac, windows)]
    assert len({task.fingerprint for task in tasks}) == 1
    assert tasks[1].name == "plain" and tasks[2].class_names == ("cat", "dog")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../out.png", "cat/../../out.png", "/etc/out.png", "C:/out.png", "..\\out.png"])
def test_members_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    assert "leads outside" in str(load(pack(tmp_path / "bad.zip", CONTENT, name)))


def test_links_and_unusual_or_encrypted_members_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "'cat/link.png' is a link" in str(load(pack(tmp_path / "link.zip", CONTENT, link)))
    unusual = zipfile.ZipInfo("cat/unusual.png")
    unusual.compress_type = zipfile.ZIP_BZIP2
    assert "packed in an unusual way" in str(load(pack(tmp_path / "bz2.zip", CONTENT, unusual)))
    secret = pack(tmp_path / "secret.zip", CONTENT)
    content = bytearray(secret.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    secret.write_bytes(bytes(content))
    assert "encrypted" in str(load(secret))


def test_limits_on_bytes_and_files_hold(tmp_path: Path) -> None:
    large = zipfile.ZipInfo("cat/zeros.txt")
    large.compress_type = zipfile.ZIP_DEFLATED
    path = pack(tmp_path / "bomb.zip", CONTENT, large, bytes(5_000_000))
    assert path.stat().st_size < 20_000
    assert "too much; allowed are 1,000,000 bytes" in str(load(path, max_bytes=1_000_000))
    assert "too many files; allowed are 20;" in str(load(path, max_files=20))
    assert isinstance(load(path), Task)


def test_a_member_longer_than_its_header_says_is_not_unpacked(tmp_path: Path) -> None:
    large = zipfile.ZipInfo("cat/zeros.png")
    large.compress_type = zipfile.ZIP_DEFLATED
    path = pack(tmp_path / "liar.zip", CONTENT, large, bytes(5_000_000))
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", 5_000_000), struct.pack("<L", 10)))
    task = load(path, max_bytes=100_000)
    assert isinstance(task, Task) and "damaged in the zip file" in task.notes[0]


def test_the_limit_counts_the_bytes_that_come_out(tmp_path: Path) -> None:
    archive = Zip(pack(tmp_path / "a.zip", {"a": bytes(600)}), max_bytes=1_000)
    assert archive.read("a") == bytes(600)
    with pytest.raises(OSError, match="longer than 100"):
        Zip(tmp_path / "a.zip").read("a", most=100)
    with pytest.raises(UserError, match="allowed are 1,000 bytes"):
        archive.read("a")
    archive.close()


def test_a_damaged_member_is_skipped_and_a_damaged_zip_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "pets.zip", CONTENT)
    content = bytearray(path.read_bytes())
    content[content.index(CONTENT["cat/3.png"]) + 45] ^= 255
    (tmp_path / "flipped.zip").write_bytes(bytes(content))
    task = load(tmp_path / "flipped.zip")
    assert isinstance(task, Task) and "cat/3.png" in task.notes[0] and len(task.images) == 19
    (tmp_path / "half.zip").write_bytes(content[: len(content) // 2])
    assert "not a zip file or is damaged" in str(load(tmp_path / "half.zip"))
    nameless = path.read_bytes()
    directory = nameless.index(b"PK\x01\x02")
    nameless = nameless[: directory + 46] + b"\0" + nameless[directory + 47 :]  # zipfile cuts names at a zero
    (tmp_path / "nameless.zip").write_bytes(nameless)
    assert "not a zip file or is damaged" in str(load(tmp_path / "nameless.zip"))
