"""More pictures than memory should hold: decoded once by processes into a file, all of them used, memory bounded."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from records_world import says

from databases.architectures.space import space
from databases.datasets import draft, loading, pace, room
from databases.datasets.decoders import DIED, _Fleet, decode_all
from databases.datasets.decoding import Found
from databases.datasets.loading import load_task as load_any
from databases.datasets.mapped import Mapped
from databases.datasets.room import Room
from databases.datasets.sides import picture_side
from databases.datasets.task import TRAIN, VALIDATION, Task, resize_images
from databases.errors import UserError
from databases.records.recipe import Recipe
from metad2a.search.estimator import _task
from metad2a.train import probe
from metad2a.train.bases import open_base
from metad2a.train.finetune import Tuning, finetune
from metad2a.train.train import train


def write(path: Path, *, count: int = 20, mode: str = "RGB", classes: int = 2) -> Path:
    """A folder of classes with so many pictures each."""
    rng = np.random.default_rng(0)
    for index in range(count * classes):
        place = path / f"class{index % classes}" / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        high, kind = (60_000, np.uint16) if mode == "I;16" else (255, np.uint8)
        shape = (9, 9, 3) if mode == "RGB" else (9, 9)
        Image.fromarray(rng.integers(0, high, shape).astype(kind)).save(place)
    return path


@pytest.fixture(name="place")
def place_fixture(tmp_path: Path) -> Room:
    """A room that takes everything, with one process."""
    return Room(tmp_path / "room", held=0, workers=1)


load_task = partial(load_any, resolution=8)


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """The runs that are decoded from now on."""
    found: list[range] = []

    def noted(runs: Sequence[range], *rest: Any, **more: Any) -> Iterator[list[Found]]:
        found.extend(runs)
        return decode_all(runs, *rest, **more)

    monkeypatch.setattr(draft, "decode_all", noted)
    return found


def same(one: Task, other: Task) -> bool:
    return one.fingerprint == other.fingerprint and one.class_names == other.class_names and one.white == other.white


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_stored_pictures_are_those_that_memory_would_hold(tmp_path: Path, place: Room, mode: str) -> None:
    folder = write(tmp_path / "data", mode=mode)
    (folder / "class0" / "4.png").write_bytes(b"no picture")
    if mode == "I;16":
        Image.fromarray(np.full((9, 9), 200, np.uint8)).save(folder / "class0" / "6.png")
    held, stored = load_task(folder), load_task(folder, room=place)
    assert isinstance(stored.images, Mapped) and not isinstance(held.images, Mapped)
    shown = [sorted(zip(map(bytes, each.images), each.labels.tolist(), strict=True)) for each in (held, stored)]
    assert shown[0] == shown[1] and len(stored.images) == 39 and held.class_names == stored.class_names
    assert set(held.notes) < set(stored.notes) and "all 39 pictures are used" in " ".join(stored.notes)


def test_pictures_are_decoded_once_and_anew_where_one_changed(
    tmp_path: Path, place: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, runs = write(tmp_path / "data"), decoded(monkeypatch)
    first = load_task(folder, room=place)
    assert sum(map(len, runs)) == 40
    assert same(first, load_task(folder, room=place)) and sum(map(len, runs)) == 40
    Image.new("RGB", (9, 9), "red").save(folder / "class0" / "0.png")
    assert not same(first, load_task(folder, room=place)) and sum(map(len, runs)) == 80


def test_what_was_decoded_before_a_stop_is_not_decoded_again(
    tmp_path: Path, place: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "RUN", 8)
    folder = write(tmp_path / "data")

    def stop(done: int, total: int) -> None:
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_task(folder, room=place, on_progress=stop)
    (journal,) = place.folder.glob("*.journal")
    with journal.open("ab") as file:
        file.write(b'{"start": 16, "st')  # a line that a kill cut
    runs = decoded(monkeypatch)
    task = load_task(folder, room=place, as_stored=True)
    assert 0 < sum(map(len, runs)) <= 24 and same(task, load_task(folder, as_stored=True))
    assert {path.suffix for path in place.folder.iterdir()} == {".pixels", ".json", ".lock"}


def test_a_set_without_its_facts_or_of_another_size_is_made_anew(tmp_path: Path, place: Room) -> None:
    folder = write(tmp_path / "data")
    first = load_task(folder, room=place)
    (facts,) = place.folder.glob("*.json")
    facts.write_bytes(facts.read_bytes()[:20])
    assert same(first, load_task(folder, room=place))
    (pixels,) = place.folder.glob("*.pixels")
    pixels.write_bytes(pixels.read_bytes()[:-1])
    assert same(first, load_task(folder, room=place))


def test_two_at_once_decode_once(tmp_path: Path, place: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, runs, found = write(tmp_path / "data"), decoded(monkeypatch), list[Task]()
    threads = [threading.Thread(target=lambda: found.append(load_task(folder, room=place))) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert same(*found) and sum(map(len, runs)) == 40


def test_a_picture_that_ends_its_process_is_unreadable_and_the_others_are_not() -> None:
    serving = (
        "import os, pickle, sys\n"
        "from databases.datasets.decoding import Found\n"
        "given = sys.stdin.buffer\n"
        "sys.stdout.buffer.write(b'.'); sys.stdout.buffer.flush()\n"
        "while True:\n"
        "    start, count = pickle.load(given)\n"
        "    if b'poison' in [pickle.load(given) for _ in range(count)]: os._exit(1)\n"
        "    pickle.dump(Found(start, start + count), sys.stdout.buffer); sys.stdout.buffer.flush()\n"
    )
    fleet = _Fleet([sys.executable, "-c", serving], lambda index: b"poison" if index == 2 else b"fine")
    try:
        found = fleet.decode(range(4))
    finally:
        fleet.end()
    assert [(each.start, each.broken) for each in found] == [(0, {}), (1, {}), (2, {2: DIED}), (3, {})]


def test_a_disk_without_room_is_refused_before_anything_is_decoded(
    tmp_path: Path, place: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, runs = write(tmp_path / "data"), decoded(monkeypatch)
    monkeypatch.setattr(Room, "_free", lambda self: 10**9)
    with pytest.raises(UserError) as error:
        load_task(folder, room=place)
    assert "40 pictures, which take" in says(error) and "make room there" in says(error) and not runs


def test_sets_that_were_not_used_for_a_day_give_their_room_to_others(
    tmp_path: Path, place: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (write(tmp_path / name, count=count) for name, count in (("one", 10), ("other", 11)))
    load_task(one, room=place)
    monkeypatch.setattr(room, "MOST_KEPT", 22 * 8 * 8 * 3)
    load_task(other, room=place)
    assert len([*place.folder.glob("*.pixels")]) == 2  # both are in use
    monkeypatch.setattr(room, "A_DAY", 0.0)
    Image.new("RGB", (9, 9), "red").save(other / "class0" / "0.png")
    load_task(other, room=place)
    assert len([*place.folder.glob("*.pixels")]) == 1  # the new one


def test_too_little_time_is_told_and_what_was_decoded_stays(
    tmp_path: Path, place: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, clock = write(tmp_path / "data", count=64), iter(range(10**6))
    monkeypatch.setattr(pace, "time", type("Clock", (), {"monotonic": staticmethod(lambda: float(next(clock)))}))
    with pytest.raises(UserError) as error:
        load_task(folder, room=place, deadline=90.0)
    assert "reading alone takes about" in says(error) and [*place.folder.glob("*.journal")]


def test_training_uses_all_and_looking_a_sample_that_is_told(
    tmp_path: Path, place: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "data")
    monkeypatch.setattr(loading, "MAX_IMAGES", 20)
    looked = load_task(folder)
    assert len(looked.images) == 20 and "looked at 20 of 40 pictures" in looked.notes[0]
    assert len(load_task(folder, room=place).images) == 40
    x, y = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 2
    np.savez(tmp_path / "data.npz", x=x, y=y)
    assert [len(load_task(tmp_path / "data.npz", room=each).images) for each in (None, place)] == [20, 60]
    assert len(_task(x, np.array([0, 1]), y, seed=0, up_to=None).images) == 60


def test_very_many_pictures_get_fewer_pixels_and_a_note(tmp_path: Path) -> None:
    from databases.datasets.archives import Folder

    for index in range(4):
        Image.new("RGB", (100, 100), (index, 0, 0)).save(tmp_path / f"{index}.png")
    assert picture_side(Folder(tmp_path), up_to=128) == (100, []), "as arrays of such images"
    px, (note,) = picture_side(Folder(tmp_path), up_to=128, most_bytes=4 * 3 * 50 * 50)
    assert px == 48 and "read at 48x48 pixels: at 100x100 all 4 pictures" in note
    Image.new("RGB", (100, 110), (9, 0, 0)).save(tmp_path / "4.png")
    assert picture_side(Folder(tmp_path), up_to=128) == (96, [])


def test_images_in_a_file_are_let_go_travel_as_a_path_and_are_resized_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).integers(0, 255, (50, 8, 8, 3), dtype=np.uint8)
    values.tofile(tmp_path / "a.pixels")
    images = Mapped(tmp_path / "a.pixels", values.shape)
    let_go = list[int]()
    monkeypatch.setattr("databases.datasets.mapped.let_go", lambda array: let_go.append(len(array)))
    monkeypatch.setattr("databases.datasets.mapped.HELD", 10**6)
    for _ in range(3):
        assert np.array_equal(images[np.array([3, 1, 30])], values[[3, 1, 30]]) and type(images[2:4]) is np.ndarray
    assert not let_go
    for _ in range(20):
        images[np.arange(30)]
    assert len(let_go) == 20
    assert len(pickle.dumps(images)) < 1_000 and np.array_equal(pickle.loads(pickle.dumps(images)), values)
    task = Task("a", images, np.arange(50) % 2, np.zeros(50, dtype=np.uint8), ("x", "y"))
    small = task.resized(16).images
    assert isinstance(small, Mapped) and np.array_equal(small, resize_images(values, 16))
    assert np.shares_memory(small, small) and isinstance(task.resized(16).images, Mapped)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.16px.pixels", "a.pixels"]


def test_training_on_stored_images_is_training_on_held_ones(tmp_path: Path, place: Room) -> None:
    folder = write(tmp_path / "data", count=24)
    tasks = load_task(folder, as_stored=True), load_task(folder, room=place, as_stored=True)
    cell = space("nasbench201").parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    recipe = Recipe("toy", channels=4, cells=1, epochs=1, resolution=16, batch=16, learning_rate=0.1)
    trained = [train(each, cell, recipe=recipe, on="cpu") for each in tasks]
    assert trained[0].valid_accuracy == trained[1].valid_accuracy
    begun = [probe.probe(open_base("own", channels=3, resolution=32), each, resolution=32) for each in tasks]
    tuned = [
        finetune(each.classifier, task, Tuning(steps=3, batch=16)).classifier.network
        for each, task in zip(begun, tasks, strict=True)
    ]
    for one, other in ([each.network for each in trained], tuned):
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_probes_look_at_a_share_of_many_images_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = load_task(write(tmp_path / "data"))
    assert not probe.told_of_sample(task)
    monkeypatch.setattr(probe, "MOST", {TRAIN: 10, VALIDATION: 4})
    base = open_base("hog", channels=3, resolution=32)
    kept = tmp_path / "cache"
    found = probe.probe(base, task, resolution=32, cache=kept)
    assert (len(found.features), len(found.valid_features)) == (10, 4)
    assert probe.told_of_sample(task) == [
        "probes look at 14 of 32 images, a share of each class; fine-tuning learns from all"
    ]
    monkeypatch.setattr(probe, "MOST", {TRAIN: 10**6, VALIDATION: 10**6})
    assert len(probe.probe(base, replace(task), resolution=32, cache=kept).features) == 24
