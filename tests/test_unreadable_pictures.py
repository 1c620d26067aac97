"""Pictures that cannot be read are named; a class loses none without a word."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_loading import (
    folder,
    refusal,
    write,
)

from databases.datasets.loading import load_task
from databases.errors import UserError


def claim_size(path: Path, side: int) -> None:
    """Let a PNG's header claim side x side pixels."""
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(bytes(content))


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("truncated", "truncated"),
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "fetch the files by git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page, as of a failed download"),
        (b"hello", "not a picture"),
        (POSTSCRIPT, "not a picture"),  # Pillow would start Ghostscript
        (10_000, "(100,000,000 pixels, allowed are 89,478,485: make it smaller)"),
        (60_000, "(3,600,000,000 pixels, allowed are 89,478,485: make it smaller)"),
    ],
)
def test_a_picture_that_cannot_be_read_is_skipped_by_name(tmp_path: Path, harm: Any, reason: str) -> None:
    plain = load_task(folder(tmp_path, count=10))
    bad = write(tmp_path / "cat" / "bad.png", size=(64, 64))
    if isinstance(harm, int):
        claim_size(bad, harm)  # a decompression bomb
    else:
        bad.write_bytes(bad.read_bytes()[:2_000] if harm == "truncated" else harm)
    task = load_task(tmp_path)
    assert task.fingerprint == plain.fingerprint
    assert task.notes[0].startswith("skipped 1 unreadable picture: 'cat/bad.png")
    assert reason in task.notes[0]


def test_more_than_a_tenth_unreadable_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    for index in range(2):
        (tmp_path / "cat" / f"bad{index}.png").write_bytes(b"")
    assert "14 pictures, of which 2 cannot be read: 'cat/bad0.png" in refusal(tmp_path)


def test_a_class_that_loses_its_pictures_is_refused(tmp_path: Path) -> None:
    write(folder(tmp_path, count=10) / "emu" / "0.png")
    (tmp_path / "emu" / "1.png").write_bytes(b"")
    assert "class 'emu' with 1 image" in refusal(tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1)])
def test_pictures_of_one_pixel_each_way_are_refused_as_such_arrays_are(tmp_path: Path, size: tuple[int, int]) -> None:
    for number in range(12):
        folder = tmp_path / f"class{number % 2}"
        folder.mkdir(exist_ok=True)
        Image.new("RGB", size, (number, 0, 0)).save(folder / f"{number}.png")
    with pytest.raises(UserError, match=rf"{size[0]}x{size[1]} pixels, allowed are 2 and more"):
        load_task(tmp_path)


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp", "a.png"])
def test_further_pictures_in_a_file_are_told(tmp_path: Path, name: str) -> None:
    folder(tmp_path)
    frames = [Image.new("RGB", (9, 9), (40 * index, 200, 90)) for index in range(5)]
    frames[0].save(tmp_path / "cat" / name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "cat" / f"one-{name}")
    assert "took the first of several pictures in 1 file (frames, or pages)" in " ".join(load_task(tmp_path).notes)


@pytest.mark.parametrize(
    ("name", "options"), [("a.mpo", {"save_all": True}), ("a.ico", {"sizes": [(16, 16), (32, 32)]})]
)
def test_the_same_for_another_eye_or_smaller_is_nothing_that_was_left_out(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    folder(tmp_path)
    picture = Image.new("RGB", (32, 32), (40, 200, 90))
    picture.save(tmp_path / "cat" / name, append_images=[picture] * (name == "a.mpo"), **options)
    task = load_task(tmp_path)
    assert "took the first" not in " ".join(task.notes) and "skipped" not in " ".join(task.notes)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[np.nan, 1], [0.5, 0]], np.float32), "NaN or infinity among its values"),
        (np.array([[np.inf, 1], [0.5, 0]], np.float32), "NaN or infinity among its values"),
        (np.array([[-1_000, 2_000], [0, 0]], np.int32), "outside 0 to 65,535: shift or scale them"),
    ],
)
def test_pictures_of_values_that_no_range_holds_say_which(tmp_path: Path, values: Any, reason: str) -> None:
    folder(tmp_path, count=10)
    Image.fromarray(np.kron(values, np.ones((8, 8), values.dtype))).save(tmp_path / "cat" / "bad.tiff")
    assert reason in load_task(tmp_path).notes[0]


def test_pictures_that_are_transparent_all_over_are_told(tmp_path: Path) -> None:
    folder(tmp_path, count=10)
    for index in range(3):
        Image.new("RGBA", (16, 16), (9, 9 * index, 9, 0)).save(tmp_path / "cat" / f"clear{index}.png")
        Image.new("RGBA", (16, 16), (255, 255, 255, 9)).save(tmp_path / "cat" / f"white{index}.png")
    notes = "; ".join(load_task(tmp_path).notes)
    assert "3 pictures are transparent all over, and so white: save them without that" in notes
