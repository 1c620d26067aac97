"""What pretraining reads: other pictures are other images, none changes its scale, broken ones are named."""

from __future__ import annotations

import shutil
import unicodedata
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
    "option", [["--output", "x.safetensors"], ["--begin", "x"], ["--slice", "least"], ["--family", "lite0"]]
)
def test_what_would_be_lost_beside_evaluate_is_refused(option: list[str], home: Path, tmp_path: Path) -> None:
    told = run("pretrain", str(blobs(tmp_path / "noise.npz")), "--evaluate", "residual", *option)
    assert told.exit_code == 2 and option[0] in told.stderr


def pictures(root: Path, *folders: str, count: int = 10, **odd: Any) -> Path:
    """Folders of small pictures, all different; ``odd`` tells how some are saved."""
    for label, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for place in range(count):
            Image.new("RGB", (9, 9), (60 + place, 40 * label, 200)).save(root / folder / f"{place}.png", **odd)
    return root


def read(data: Path, groups: str = "auto") -> Images:
    return open_images(data, 8, data.parent / "cache", ALONE, groups=groups)


def test_what_is_refused_is_read_as_the_message_says(tmp_path: Path) -> None:
    data = pictures(tmp_path / "set", "a/x", "a/y", "b/x", "b/y")
    with pytest.raises(UserError, match="give --groups folder if 'a', 'b' are the classes"):
        read(data)
    found = read(data, "folder")
    assert found.names == ("a", "b") and len(found.train) + len(found.held) == 40
    rows = [f"{each.relative_to(data)},{each.parent.name}" for each in sorted(data.rglob("*.png"))]
    (data / "labels.csv").write_text("\n".join(["file,class", *rows]))
    assert read(data).names == ("x", "y") and read(data).mark != found.mark
    assert "took the classes of 40 pictures from 'labels.csv'" in "; ".join(read(data).notes)


def test_validation_takes_no_picture_of_a_group_that_is_trained_on(tmp_path: Path) -> None:
    data = pictures(tmp_path / "set", *(f"{label}/day{day}" for label in "ab" for day in range(8)))
    names = sorted(str(each.relative_to(data)) for each in data.rglob("*.png"))
    (tmp_path / "groups.csv").write_text("\n".join(["file,group", *(f"{name},{name.split('/')[1]}" for name in names)]))
    for groups in ("folder", str(tmp_path / "groups.csv")):
        found = read(data, groups)
        days = [{names[place].split("/")[1] for place in part} for part in (found.train, found.held)]
        assert len(found.held) and not days[0] & days[1], days
    assert found.mark != read(data).mark, "other images validate"
    with pytest.raises(UserError, match="given the groups 'nowhere'"):
        read(data, "nowhere")


def test_a_zip_is_read_as_its_folder_is(tmp_path: Path) -> None:
    data = pictures(tmp_path / "set", "a", "b", "old/.hidden")
    (data / "empty").mkdir()
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", data)
    folder, archive = read(data), read(Path(packed))
    assert np.array_equal(folder.x, archive.x) and np.array_equal(folder.held, archive.held)
    for found in (folder, archive):
        assert "left out 1 empty folder: 'empty'" in "; ".join(found.notes) and len(found.held) == 2


def test_classes_that_unicode_writes_in_two_ways_are_one(tmp_path: Path) -> None:
    written = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    data = pictures(tmp_path / "set", f"train/{written[0]}", "train/x", f"val/{written[1]}", "val/x")
    found = read(data)
    assert found.names == ("x", "é") and sorted(set(found.y.tolist())) == [0, 1]


def test_what_is_odd_about_pictures_is_told_at_each_reading(tmp_path: Path) -> None:
    data = pictures(tmp_path / "set", "a", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    pictures(data, "b")
    for name, image in {"1": Image.new("L", (9, 9), 1), "2": Image.new("RGBA", (9, 9), (0, 0, 0, 0))}.items():
        image.save(data / "b" / f"odd{name}.png")
    for _ in range(2):
        notes = "; ".join(read(data).notes)
        assert "took the first of several pictures in 10 files" in notes
        assert "1 picture of 8 bits holds nothing above 1 of 255" in notes
        assert "1 picture is transparent all over" in notes


def test_images_of_a_test_part_are_told(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(40) % 2)
    assert "8 images of the test part are left alone" in "; ".join(read(tmp_path / "x.npz").notes)


def test_encoded_images_have_no_groups(home: Path, tmp_path: Path) -> None:
    told = run("pretrain", str(blobs(tmp_path / "noise.npz")), "--groups", "prefix", "--no-tracking")
    assert told.exit_code == 2 and "given --groups prefix for encoded images" in told.stderr
