"""`metad2a predict`: folders, zips, odd files; what holds no picture is refused, and no picture vanishes."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pipeline_world import random_base, stripes

from databases.datasets.task import Images
from databases.errors import UserError
from metad2a.export.card import Card
from metad2a.export.export import save
from metad2a.search.predict import Network, open_network, predictions
from metad2a.train.classifier import Classifier
from metad2a.train.probe import probe
from metad2a.train.training import Training


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A probe, exported and opened."""
    task = stripes(60)
    found = probe(random_base(), task, resolution=32).classifier
    card = Card(
        *("pipeline", "own 32px probe whole", "pipeline", 0, task.name, task.fingerprint, task.class_names, (16, 32)),
        *(found.mean, found.scale, found.blueprint, None, None),
        complete=True,
        train_seconds=1.0,
    )
    training = Training(found.network, found.mean, found.scale, None, 1.0, True)
    return open_network(str(save(training, card, tmp_path_factory.mktemp("run")).folder))


def test_folders_within_folders_and_zips_are_read_and_no_picture_vanishes(network: Network, tmp_path: Path) -> None:
    task, failed, inside = stripes(60), list[str](), tmp_path / "in"
    (inside / "deeper").mkdir(parents=True)
    for name, image in zip(("a.png", "deeper/b.png", ".c.png"), task.images, strict=False):
        Image.fromarray(image).save(inside / name)
    for name in ("d.svg", "notes.txt"):
        (inside / name).write_text("no picture")
    (inside / "e.png").symlink_to(tmp_path / "nowhere")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in ("a.png", "deeper/b.png", "notes.txt"):
            archive.write(inside / name, name)
    found = list(predictions(network, [inside, tmp_path / "in.zip"], on_failure=failed.append))
    expected = [f"{tmp_path}/{top}/{name}" for top in ("in", "in.zip") for name in ("a.png", "deeper/b.png")]
    assert [each.file for each in found] == expected
    assert [each.name for each in found[:2]] == [each.name for each in found[2:]] == ["level", "upright"]
    assert len(failed) == 2 and "d.svg: cannot be read (convert" in failed[0] and "e.png: leads to no" in failed[1]


def test_what_a_folder_or_a_file_holds_beside_is_noted(network: Network, tmp_path: Path) -> None:
    notes, failed, images = list[str](), list[str](), [Image.fromarray(each) for each in stripes(60).images[:3]]
    (tmp_path / "in").mkdir()
    images[0].save(tmp_path / "in" / "pages.tiff", save_all=True, append_images=images[1:])
    images[0].save(tmp_path / "in" / "nameless", format="PNG")
    Image.new("RGBA", (16, 16), (0, 0, 0, 0)).save(tmp_path / "in" / "clear.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    found = list(predictions(network, [tmp_path / "in"], on_failure=failed.append, on_note=notes.append))
    assert [Path(each.file).name for each in found] == ["clear.png", "pages.tiff"] and not failed
    assert "ignored 2 files" in notes[0] and "nameless" in notes[0] and "notes.txt" in notes[0]
    assert "first of several pictures in 1 file" in notes[1] and "pages.tiff" in notes[1]
    assert "took 1 picture as white, transparent all over" in notes[2] and "clear.png" in notes[2]


def test_pictures_that_may_be_of_another_range_are_noted(network: Network, tmp_path: Path) -> None:
    deep, notes, failed = replace(network, card=replace(network.card, white=65_535)), list[str](), list[str]()
    for name, top in (("a.png", 255), ("b.png", 65_535), ("c.png", 3_000), ("d.png", 20_000)):
        Image.fromarray(np.linspace(0, top, 256).round().reshape(16, 16).astype(np.uint16)).save(tmp_path / name)
    assert len(list(predictions(deep, [tmp_path], on_failure=failed.append, on_note=notes.append))) == 4
    assert len(notes) == 1 and "took 2 pictures as 0 to 65,535, as in the first images, though they" in notes[0]
    assert "look like 0 to 4,095: scale them if" in notes[0] and "a.png" in notes[0] and not failed


def test_pictures_are_classified_some_at_a_time_each_as_by_itself(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, image in enumerate(stripes(60, side=20).images[:7]):
        Image.fromarray(image[: 9 + index]).save(tmp_path / f"{index}.png")
    (tmp_path / "3.png").write_bytes(b"broken")
    paths, asked, logits = sorted(tmp_path.iterdir()), list[int](), Classifier.logits

    def counted(self: Classifier, images: Images) -> object:
        asked.append(len(images))
        return logits(self, images)

    monkeypatch.setattr(Classifier, "logits", counted)
    missed, also_missed = list[str](), list[str]()
    monkeypatch.setattr("metad2a.search.predict.BATCH", 1)
    alone = list(predictions(network, paths, on_failure=missed.append))
    monkeypatch.setattr("metad2a.search.predict.BATCH", 4)
    ahead = iter(paths)
    rows = predictions(network, ahead, on_failure=also_missed.append)
    together = [next(rows)]
    assert next(ahead) == paths[5]  # a row comes before the last picture is read; this one is left out by that
    together += rows
    assert asked == [*[1] * 6, 4, 1] and missed == also_missed and "3.png: cannot be read" in missed[0]
    assert [each.file for each in alone] == [*map(str, paths[:3] + paths[4:])]
    del alone[4]
    assert [(each.file, each.name) for each in together] == [(each.file, each.name) for each in alone]
    assert [each.probability for each in together] == pytest.approx([each.probability for each in alone], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("empty", "there is no picture"),
        ("texts.zip", "there is no picture"),
        ("damaged.zip", "is not a zip file or is damaged"),
        ("images.npz", "an array, whose images have no names"),
        ("images.npy", "an array, whose images have no names"),
        ("missing.png", "not there"),
        ("missing", "not there"),
        ("/dev/null", "a socket, pipe or device and no file"),
    ],
)
def test_what_holds_no_picture_is_refused_in_one_line(name: str, told: str, network: Network, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.zip").write_text("no zip")
    for file in ("images.npz", "images.npy"):
        (tmp_path / file).write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        archive.writestr("notes.txt", "no picture")
    with pytest.raises(UserError, match=told) as problem:
        list(predictions(network, [tmp_path / name], on_failure=lambda line: None))
    assert "\n" not in str(problem.value)


def test_a_folder_that_is_no_run_is_told_from_an_unknown_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "home"))
    (tmp_path / "file").write_text("x")
    for given, told in ((tmp_path, "a folder without"), (tmp_path / "file", "a file, not"), ("none", "unknown run")):
        with pytest.raises(UserError, match=told):
            open_network(str(given))
