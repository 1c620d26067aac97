"""What pretraining reads: other pictures are other images, none changes its scale, broken ones are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_world import run
from PIL import Image
from pretrain_world import ALONE, QUICK, blobs

from databases.errors import UserError
from metad2a.supernets import make
from metad2a.supernets.images import Images, open_images

pytestmark = pytest.mark.usefixtures("home")


def test_other_pictures_of_the_same_names_are_other_images(tmp_path: Path) -> None:
    def filled(shade: int) -> Images:
        for label in ("a", "b"):
            (tmp_path / "set" / label).mkdir(parents=True, exist_ok=True)
            for place in range(10):
                Image.new("RGB", (9, 9), (shade, place, 0)).save(tmp_path / "set" / label / f"{place}.png")
        return open_images(tmp_path / "set", 8, tmp_path / "cache", ALONE)

    first, second = filled(20), filled(90)
    assert {int(each[0, 0, 0]) for each in second.x} == {90} and first.mark != second.mark
    job = make.Job(make.KNOWN["residual"], QUICK)
    assert job.place(first, tmp_path) != job.place(second, tmp_path)
    blobs(tmp_path / "noise.npz")
    with np.load(tmp_path / "noise.npz") as file:
        arrays = {name: file[name] for name in file.files}
    was = open_images(tmp_path / "noise.npz", 12, tmp_path / "cache", ALONE)
    swapped = [*range(1, len(arrays["ends"])), 0]  # the same lengths where all are alike; else other ends too
    pieces = np.split(arrays["blobs"], arrays["ends"][:-1])
    arrays |= {"blobs": np.concatenate([pieces[i] for i in swapped])}
    arrays |= {"ends": np.cumsum([len(pieces[i]) for i in swapped])}
    np.savez(tmp_path / "noise.npz", **arrays)
    assert open_images(tmp_path / "noise.npz", 12, tmp_path / "cache", ALONE).mark != was.mark


@pytest.mark.parametrize("form", ["16 bits", "float"])
def test_deep_pictures_are_refused_by_name_and_no_scale_is_guessed(tmp_path: Path, form: str) -> None:
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for place in range(10):
            deep = np.full((9, 9), 300 * place, dtype=np.uint16 if form == "16 bits" else np.float32)
            ending = "png" if form == "16 bits" else "tiff"
            Image.fromarray(deep).save(tmp_path / "set" / label / f"{place}.{ending}")
    with pytest.raises(UserError, match=r"image a/0.* has more than 8 bits a pixel"):
        open_images(tmp_path / "set", 8, tmp_path / "cache", ALONE)


def test_transparent_and_turned_pictures_are_read_as_everywhere(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for place in range(10):
            turned = Image.Exif()
            turned[0x0112] = 6
            image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
            image.paste((255, 0, 0, 255), (0, 0, 8, 4))
            image.save(tmp_path / "set" / label / f"{place}.png", exif=turned)
    (tmp_path / "set" / "loose.txt").touch()
    found = open_images(tmp_path / "set", 8, tmp_path / "cache", ALONE)
    assert any("1 file" in note for note in found.notes), found.notes
    assert found.x[0, 0, 7].tolist() == [255, 0, 0] and found.x[0, 7, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    "changed", [{"ends": np.int64(5)}, {"labels": np.array("z")}, {"train": np.array(2.0)}, {"blobs": np.array("x")}]
)
def test_a_file_of_blobs_that_is_none_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    blobs(tmp_path / "noise.npz")
    with np.load(tmp_path / "noise.npz") as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(tmp_path / "noise.npz", **{**arrays, **changed})
    with pytest.raises(UserError, match="give a whole file"):
        open_images(tmp_path / "noise.npz", 12, tmp_path / "cache", ALONE)


def test_text_called_npz_is_refused_as_everywhere(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UserError):
        open_images(str(tmp_path / "text.npz"), 12, tmp_path / "cache", ALONE)


def test_a_loss_that_is_no_number_ends_in_one_line_and_keeps_no_checkpoint(home: Path, tmp_path: Path) -> None:
    data = str(blobs(tmp_path / "noise.npz"))
    told = run(
        *("pretrain", data, "--hours", "0.001", "--sides", "12", "--batch", "8", "--no-tracking"),
        *("--learning-rate", "1e12", "--output", str(tmp_path / "w.safetensors")),
    )
    assert told.exit_code == 2 and "give a lower --learning-rate" in told.stderr
    assert not (tmp_path / "w.safetensors").exists() and not list((home / "pretrain").glob("*.pt"))


@pytest.mark.parametrize(
    "option", [["--output", "x.safetensors"], ["--begin", "x"], ["--least"], ["--family", "lite0"]]
)
def test_what_would_be_lost_beside_evaluate_is_refused(option: list[str], home: Path, tmp_path: Path) -> None:
    told = run("pretrain", str(blobs(tmp_path / "noise.npz")), "--evaluate", "residual", *option)
    assert told.exit_code == 2 and option[0] in told.stderr
