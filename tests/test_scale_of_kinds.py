"""Colours of 16 bits, bytes of 0 and 1 alone, and sets of several kinds: no scale is lost without a word."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exporting import a_task, exported, module
from PIL import Image

from databases.datasets.arrays import kind_of_images, more_images, scale_told
from databases.datasets.decoding import read_picture
from databases.datasets.loading import load_task
from databases.datasets.task import Task
from databases.errors import UserError
from metad2a import MetaD2AClassifier

RANDOM = np.random.default_rng(0)
Pixels = np.ndarray[Any, Any]


def wide(pixels: Pixels) -> bytes:
    """A PNG file of 16 bits a channel, (h, w, 2 to 4), which Pillow cannot write."""
    high, across, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", across, high, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    whole = (struct.pack(">I", len(of)) + name + of + struct.pack(">I", zlib.crc32(name + of)) for name, of in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def colours(top: int, channels: int = 3) -> bytes:
    pixels = RANDOM.integers(0, top + 1, (16, 16, channels))
    pixels[0, 0] = top
    if channels != 3:
        pixels[..., -1] = 65_535
    return wide(pixels)


def folder(place: Path, **classes: Any) -> Task:
    """A task of pictures of two classes, each made by a function that writes one."""
    for name, write in classes.items():
        (place / name).mkdir(parents=True, exist_ok=True)
        for number in range(8):
            write(place / name / f"{number}.png")
    return load_task(str(place), as_stored=True)


def plain(place: Path) -> None:
    Image.fromarray(RANDOM.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(place)


def floats(top: float) -> Any:
    def write(place: Path) -> None:
        values = RANDOM.random((16, 16)).astype(np.float32) * np.float32(top)
        Image.fromarray(values).save(place.with_suffix(".tif"))

    return write


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("top", [255, 4_095])
@pytest.mark.parametrize("beside", [False, True])
def test_dark_colours_of_16_bits_are_refused(tmp_path: Path, top: int, channels: int, beside: bool) -> None:
    def write(place: Path) -> None:
        place.write_bytes(colours(top, channels))

    with pytest.raises(UserError, match=rf"16 bits a colour and none of their values above {top:,}; allowed are 0 to"):
        folder(tmp_path, a=write, b=plain if beside else write)


def test_bright_colours_of_16_bits_are_read_and_told(tmp_path: Path) -> None:
    task = folder(tmp_path, a=lambda place: place.write_bytes(colours(40_000)), b=plain)
    assert any("took 8 pictures of 16 bits a colour as 0 to 65,535" in note for note in task.notes)
    assert 150 <= task.images[task.labels == 0].max() <= 157 and task.images[task.labels == 1].max() == 255
    assert read_picture(colours(40_000), px=16, channels=3, white=None).dark == 0
    dark = read_picture(colours(4_095), px=16, channels=3, white=None)
    assert 0 < dark.dark < 4_096 and dark.white == 65_535
    program = module(exported(tmp_path, a_task(channels=3)).program)
    (tmp_path / "dark.png").write_bytes(colours(4_095))
    with pytest.warns(UserWarning, match="took 16 bits a colour as 0..65535, nearly black"):
        program.open_picture(str(tmp_path / "dark.png"))


def test_fractions_beside_larger_ranges_are_refused_or_told(tmp_path: Path) -> None:
    def whole(place: Path) -> None:
        Image.fromarray((RANDOM.random((16, 16)) * 65_535).astype(np.uint16)).save(place)

    with pytest.raises(UserError, match="8 of 16 images stay within 0 to 1; allowed is one range"):
        folder(tmp_path / "bytes", a=floats(1), b=floats(255))
    task = folder(tmp_path / "counts", a=floats(1), b=whole)  # as of counts, of which some images hold none
    assert any("8 images with no value above 1 will be nearly black" in note for note in task.notes)


def test_few_dark_colours_of_16_bits_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "logo.png").write_bytes(wide(np.zeros((16, 16, 3), dtype=int)))
    task = folder(tmp_path, a=plain, b=plain)
    assert any("took 1 picture of 16 bits a colour as 0 to 65,535; 1 of them" in note for note in task.notes)


def test_the_range_of_some_pictures_is_told_as_theirs(tmp_path: Path) -> None:
    def deep(place: Path) -> None:
        Image.fromarray(RANDOM.integers(0, 4_096, (16, 16)).astype(np.uint16)).save(place)

    task = folder(tmp_path, a=deep, b=plain)
    assert any(
        "took values as 0 to 4,095" in note and "(8 pictures of more than 8 bits)" in note for note in task.notes
    )


@pytest.mark.parametrize(("kind", "white"), [(np.uint16, 4_095), (np.float32, 1), (bool, 1)])
def test_what_arrays_were_scaled_by_goes_with_the_task(kind: Any, white: int) -> None:
    values = RANDOM.random((20, 8, 8))
    x = values > 0.5 if kind is bool else (values * white).astype(kind)
    assert load_task((x, np.arange(20) % 2)).white == white
    assert load_task(((values * 255).astype(np.uint8), np.arange(20) % 2)).white is None


def test_bytes_of_0_and_1_are_predicted_as_they_were_learnt(tmp_path: Path) -> None:
    x = RANDOM.integers(0, 2, (12, 8, 8), dtype=np.uint8)
    stored = [Image.fromarray(each) for each in x]
    place = tmp_path / "one.png"
    stored[0].save(place)
    for number, white in enumerate((1, None)):
        (into := tmp_path / str(number)).mkdir()
        program = module(exported(into, replace(a_task(channels=1), white=white)).program)
        one = read_picture(place.read_bytes(), px=8, channels=1, white=white)
        assert (one.pixels.max(), one.dark) == ((255, 0) if white == 1 else (1, 1))
        if white == 1:
            assert program.checked(x[..., None]).max() == program.upright(stored[0]).max() == 255
        else:
            for images in (x[..., None], stored):
                with pytest.warns(UserWarning, match="nearly black: multiply by 255 if 1 is white"):
                    assert program.checked(images).max() == 1
    assert program.checked(x[..., None] * 255).max() == 255


def mask(place: Path) -> None:
    Image.fromarray(RANDOM.integers(0, 2, (16, 16), dtype=np.uint8)).save(place)


@pytest.mark.parametrize("brighter", [plain, lambda place: place.write_bytes(colours(40_000))])
def test_bytes_of_0_and_1_beside_brighter_ones_stay_and_are_told(tmp_path: Path, brighter: Any) -> None:
    task = folder(tmp_path, a=mask, b=brighter)
    assert task.images[task.labels == 0].max() == 1 and task.images[task.labels == 1].max() > 100
    assert any("8 pictures of 8 bits hold nothing above 1 of 255" in note for note in task.notes)
    assert task.white is None and not any("scaled" in note for note in task.notes)


def test_black_pictures_and_thin_lines_are_not_taken_for_masks(tmp_path: Path) -> None:
    def black(place: Path) -> None:
        Image.new("L", (16, 16)).save(place)

    def line(place: Path) -> None:
        pixels = np.zeros((256, 256), np.uint8)
        pixels[9, 9] = 255
        Image.fromarray(pixels).save(place)

    def bits(place: Path) -> None:
        Image.fromarray(RANDOM.random((16, 16)) > 0.5).save(place)

    (tmp_path / "c").mkdir()
    black(tmp_path / "c" / "black.png")
    assert not any("nothing above 1" in note for note in folder(tmp_path, a=line, b=plain, c=bits).notes)


def test_arrays_of_0_and_1_beside_brighter_ones_are_told() -> None:
    x = RANDOM.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    x[0], x[1:4] = 0, x[1:4] % 2
    assert any(
        "3 images of 8 bits hold nothing above 1 of 255" in note for note in load_task((x, np.arange(20) % 2)).notes
    )


def opened(tmp_path: Path, top: int, *, there: bool = True, read: bool = False, count: int = 20) -> Any:
    """Images of Pillow of 16 bits a colour, in files or in memory, and as yet unread or not."""
    found = []
    for number in range(count):
        place = tmp_path / f"{top}_{number}.png"
        place.write_bytes(colours(top))
        found.append(Image.open(place if there else io.BytesIO(place.read_bytes())))
        if read:
            found[-1].load()
    return found


@pytest.mark.parametrize(("there", "read"), [(True, False), (True, True), (False, False)])
def test_opened_images_of_16_bits_a_colour_are_looked_at_as_files_are(tmp_path: Path, there: bool, read: bool) -> None:
    y = np.arange(20) % 2
    boxed = np.empty(20, dtype=object)
    boxed[:] = opened(tmp_path, 4_095)  # which reads them
    for data in (opened(tmp_path, 4_095, there=there, read=read), boxed):
        with pytest.raises(UserError, match="16 bits a colour and none of their values above 4,095; allowed are 0 to"):
            load_task((data, y))
    images = opened(tmp_path, 4_095, there=there, read=read)
    for _ in range(2):  # to look at them reads them, after which images of a stream do not tell it
        with pytest.raises(UserError, match="16 bits a colour"):
            load_task((images, y))
    with pytest.raises(UserError, match="given X with 20 pictures of 16 bits a colour and none"):
        MetaD2AClassifier().fit(opened(tmp_path, 4_095, there=there, read=read), y)
    task = load_task((opened(tmp_path, 40_000, there=there, read=read), y), as_stored=True)
    assert "took 20 pictures of 16 bits a colour as 0 to 65,535" in task.notes
    assert 150 <= task.images.max() <= 157
    kind = kind_of_images(np.stack([*task.images]), task.images, given="X")
    with pytest.warns(UserWarning, match="20 of them with no value above 8,192 will be dark"):
        more_images(opened(tmp_path, 4_095, there=there, read=read), kind, given="X")
    more_images(opened(tmp_path, 40_000, there=there, read=read), kind, given="X")


def test_opened_images_of_8_bits_and_few_of_16_are_read(tmp_path: Path) -> None:
    plain_ones: Any = [Image.fromarray(RANDOM.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(20)]
    y = np.arange(20) % 2
    assert not any("16 bits" in note for note in load_task((plain_ones, y)).notes)
    plain_ones[:1] = opened(tmp_path, 300, count=1)
    assert any("took 1 picture of 16 bits a colour" in note for note in load_task((plain_ones, y)).notes)


@pytest.mark.parametrize(
    ("top", "kind", "words", "warned"),
    [
        (1, np.float32, "took values as 0 to 1: they are 0 to 1", ""),
        (255, np.int32, "took values as 0 to 255: they are 0 to 255", ""),
        (255, np.uint8, "", ""),
        (1, np.uint8, "scaled values of 0 to 1", ""),
        (1.0001, np.float32, "clipped 20 of them", ""),
        (1.2, np.float32, "clipped", "clipped"),
        (0.2, np.float32, "they are 0 to 0.2", "took values as 0 to 1: they are 0 to 0.2"),
        (258, np.int16, "clipped", "took values as 0 to 255: they are 0 to 258; clipped"),
        (4_095, np.uint16, "took values as 0 to 4,095", "took values as 0 to 4,095"),
        (16_383, np.uint16, "they are 0 to 16,383", "took values as 0 to 65,535: they are 0 to 16,383"),
        (20, np.uint8, "none is above 20", "none is above 20"),
    ],
)
def test_fit_keeps_the_range_that_it_took_and_warns_of_what_is_no_matter_of_course(
    top: float, kind: Any, words: str, warned: str
) -> None:
    values = RANDOM.random((20, 8, 8)) * min(top, 255 if kind == np.int16 else 1 if top < 2 else top)
    values[:, 0, 0], values[:, 1, 1] = top, 0
    told, odd = scale_told(values.astype(kind), given="X")
    assert (words in "".join(told)) if words else not told
    assert (warned in "".join(odd)) if warned else not odd


def test_fit_warns_of_images_that_are_dark_beside_others() -> None:
    values = RANDOM.random((40, 8, 8)) * 255
    values[:2] /= 255
    told, odd = scale_told(values, given="X")
    assert "took values as 0 to 255" in told[0] and odd == told[1:]
    assert "2 images with no value above 1 will be nearly black" in odd[0]
