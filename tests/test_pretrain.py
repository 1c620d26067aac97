"""Pretraining: resumable, honest about its images, its weights a family's; several processes; bad input."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cli_world import run
from PIL import Image
from pretrain_world import ALONE, QUICK, blobs
from torch import Tensor, nn

from databases.architectures.networks.residual import ResidualNetwork
from databases.errors import UserError
from metad2a.supernets import make
from metad2a.supernets.images import Images, batch_of, cropped, open_images
from metad2a.supernets.pretrain import PretrainPlan, _Job, pretrain, read_curve, settle
from metad2a.train.batches import normalised
from metad2a.train.loop import Loop

pytestmark = pytest.mark.usefixtures("home")

NORMALISATION = ((120.0,) * 3, (60.0,) * 3)


@pytest.fixture(name="images")
def images_fixture(tmp_path: Path) -> Images:
    return open_images(blobs(tmp_path / "noise.npz"), 12, tmp_path / "cache", ALONE)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ResidualNetwork(4, ((4, (4,)), (8, (8,))), 3, 2)


def trained(images: Images, place: Path, plan: PretrainPlan = QUICK, *, made: nn.Module | None = None) -> Loop:
    return pretrain(
        made or network(), images, plan, normalisation=NORMALISATION, checkpoint=place, processes=ALONE, every=0.0
    )


def test_decoded_images_are_those_of_the_file(tmp_path: Path) -> None:
    path = blobs(tmp_path / "noise.npz")
    found = open_images(path, 12, tmp_path / "cache", ALONE)
    with np.load(path) as file:
        first = np.asarray(Image.open(io.BytesIO(file["blobs"][: file["ends"][0]].tobytes())))
    assert np.array_equal(found.x[0], first)
    assert (len(found.train), len(found.held)) == (20, 6) and not set(found.train) & set(found.held)
    assert sorted(each.suffix for each in (tmp_path / "cache").iterdir()) == [".holder", ".lock", ".npy"]


def test_interrupted_decoding_leaves_no_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads = blobs(tmp_path / "noise.npz"), iter(range(9))
    whole = Image.open

    def broken(file: io.BytesIO) -> Image.Image:
        if next(reads, None) is None:
            raise KeyboardInterrupt
        return whole(file)

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(KeyboardInterrupt):
        open_images(path, 12, tmp_path / "cache", ALONE)
    assert not list((tmp_path / "cache").glob("noise*"))


def test_other_data_are_read_as_everywhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (40, 8, 8), dtype=np.uint8), np.arange(40) % 2
    np.savez(
        tmp_path / "grey.npz",
        x_train=x[:20],
        y_train=y[:20],
        x_val=x[20:30],
        y_val=y[20:30],
        x_test=x[30:],
        y_test=y[30:],
    )
    found = open_images(str(tmp_path / "grey.npz"), 8, tmp_path, ALONE)
    assert found.x.shape == (40, 8, 8, 3)
    assert (len(found.train), len(found.held)) == (20, 10)  # the test images are for nobody


def test_folder_is_decoded_once_its_test_images_left_alone(tmp_path: Path) -> None:
    for part, many in {"train": 12, "val": 3, "test": 4}.items():
        for label, shade in {"dark": 20, "light": 220}.items():
            (tmp_path / "set" / part / label).mkdir(parents=True)
            for place in range(many):
                Image.new("RGB", (9, 17), (shade, place, 0)).save(tmp_path / "set" / part / label / f"{place}.png")
    found = open_images(tmp_path / "set", 8, tmp_path / "cache", ALONE)
    assert (found.x.shape, len(found.train), len(found.held)) == ((38, 8, 8, 3), 24, 6)
    assert {(found.names[label], int(image[0, 0, 0])) for label, image in zip(found.y, found.x, strict=True)} == {
        ("dark", 20),
        ("light", 220),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "open", None)
        assert np.array_equal(open_images(tmp_path / "set", 8, tmp_path / "cache", ALONE).x, found.x)
    (tmp_path / "set" / "train" / "dark" / "0.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"image train/dark/0\.png cannot be read"):
        open_images(tmp_path / "set", 8, tmp_path / "cache", ALONE)


def test_too_small_a_disk_is_told_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=100))
    with pytest.raises(UserError, match=r"decoded images need 0.0 GB in "):
        open_images(blobs(tmp_path / "noise.npz"), 12, tmp_path / "cache", ALONE)


def test_batches_are_training_images_alone_each_for_one_process(images: Images, tmp_path: Path) -> None:
    loop = trained(images, tmp_path / "c.pt")
    seen: list[list[np.ndarray]] = []
    for number in range(2):
        job = _Job(loop, images, QUICK, NORMALISATION, replace(ALONE, number=number, size=2), print, print)
        seen.append([places for places, _ in job.batches(torch.Generator().manual_seed(0), 0)])
    together = [set(a) | set(b) for a, b in zip(*seen, strict=True)]
    assert [len(batch) for batch in together] == [8, 8]
    assert set.union(*together) <= set(images.train)
    later = _Job(loop, images, QUICK, NORMALISATION, replace(ALONE, size=2), print, print)
    [(places, _)] = later.batches(torch.Generator().manual_seed(0), 1)
    assert np.array_equal(places, seen[0][1])


def test_crop_is_a_part_of_the_image_mirrored_or_not() -> None:
    image = torch.arange(100, dtype=torch.uint8).view(1, 1, 10, 10).expand(8, 3, 10, 10)
    padded = nn.functional.pad(image.float(), (1, 1, 1, 1), mode="reflect").to(torch.uint8)
    shifts = [padded[0, 0, y : y + 10, x : x + 10] for y in range(3) for x in range(3)]
    allowed = [*shifts, *(each.flip(-1) for each in shifts)]
    found = set()
    for seed in range(20):
        for cut in cropped(image, 10, torch.Generator().manual_seed(seed)):  # never enlarged: the whole, a little off
            found |= {place for place, each in enumerate(allowed) if torch.equal(cut[0], each)} or {-1}
    assert found == set(range(18))


def test_crop_is_made_smaller_to_its_side() -> None:
    bright = torch.full((2, 3, 12, 12), 200, dtype=torch.uint8)
    cut = cropped(bright, 8, torch.Generator().manual_seed(0))
    assert cut.shape == (2, 3, 8, 8) and (cut == 200).all() and cut.dtype == torch.uint8


def test_last_statistics_are_those_of_whole_training_images(images: Images, tmp_path: Path) -> None:
    made, before = network(), network().state_dict()
    settle(made, images, replace(QUICK, sides=(12,)), NORMALISATION, torch.device("cpu"))
    stem = made.get_submodule("stem.0.1")
    assert isinstance(stem, nn.BatchNorm2d) and stem.running_mean is not None
    x = normalised(batch_of(images.x, images.train, torch.device("cpu")), *NORMALISATION)
    maps = made.get_submodule("stem.0.0")(x)
    torch.testing.assert_close(stem.running_mean, maps.mean(dim=(0, 2, 3)), atol=0.02, rtol=0.02)
    assert all(torch.equal(value, before[name]) for name, value in made.named_parameters())


def test_killed_training_goes_on_with_the_time_that_it_has_left(images: Images, tmp_path: Path) -> None:
    class Killed(ResidualNetwork):
        left = 3

        def forward(self, images: Tensor) -> Tensor:
            Killed.left -= 1
            if Killed.left < 0:
                raise KeyboardInterrupt
            return super().forward(images)

    plan = replace(QUICK, hours=2 / 3600)
    with pytest.raises(KeyboardInterrupt):
        trained(images, tmp_path / "c.pt", plan, made=Killed(4, ((4, (4,)), (8, (8,))), 3, 2))
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    assert state["step"] >= 1 and 0 < state["progress"] < 1
    loop = trained(images, tmp_path / "c.pt", plan)
    assert loop.progress == 1 and loop.step > state["step"]
    epochs = [point.epoch for point in read_curve(tmp_path / "c.pt")]
    assert epochs == list(range(1, loop.epoch + 1))


def test_weights_are_the_familys_and_as_accurate_as_told(images: Images, tmp_path: Path) -> None:
    job = make.Job(make.KNOWN["residual"], replace(QUICK, sides=(12,)))
    done = make.make(
        job, images, folder=tmp_path / "kept", output=tmp_path / "w.safetensors", processes=ALONE, say=print
    )
    base = make.read_base(str(tmp_path / "w.safetensors"))
    assert make.evaluate(base, images, (12,), ALONE)[12] == pytest.approx(done.accuracy, abs=20)
    assert (base.classes, base.card["epochs"], base.card["family"]) == (2, done.epochs, "residual")
    with pytest.raises(UserError, match="not trained for the classes of other"):
        make.evaluate(base, replace(images, name="other", names=("a", "b")), (12,), ALONE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--family", "vgg"), "give one of residual, mobilenetv3, lite0"),
        (("--sides", "32,x"), "give pixels from 8 to 1024"),
        (("--hours", "0"), "give numbers above zero"),
        (("--subnets",), "give --begin with its weights"),
        (("--slice", "4,3"), "give least; blocks a stage, kernel and expansion"),
        (("--slice", "-1,3,6"), "give least; blocks a stage, kernel and expansion"),
        (("--slice", "9x9e1, 3x3e1"), "3x3e"),
        (("--batch", "500"), "a batch cannot be larger"),
        (("--begin", "nowhere.safetensors"), "no pretrained-network at nowhere.safetensors"),
        (("--evaluate", "vgg"), "pretrained families are residual"),
    ],
)
def test_bad_input_is_told(options: tuple[str, ...], message: str, home: Path, tmp_path: Path) -> None:
    common = ("pretrain", str(blobs(tmp_path / "noise.npz")), "--hours", "0.0001", "--batch", "8", "--no-tracking")
    result = run(*common, *options)
    assert result.exit_code == 2 and message in " ".join(result.stderr.split())


def test_no_images_to_validate_on_and_broken_files_are_refused(tmp_path: Path) -> None:
    none = open_images(blobs(tmp_path / "none.npz", held=0), 12, tmp_path, ALONE)
    with pytest.raises(UserError, match="no images to validate on"):
        trained(none, tmp_path / "c.pt")
    np.savez(tmp_path / "half.npz", blobs=np.zeros(3, np.uint8))
    with pytest.raises(UserError, match="but no 'ends', 'labels', 'train', 'names'"):
        open_images(tmp_path / "half.npz", 12, tmp_path, ALONE)


@pytest.mark.slow
def test_two_processes_train_one_network(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "metad2a", "pretrain", str(blobs(tmp_path / "noise.npz"))]
    options = ["--hours", "0.0003", "--sides", "12", "--batch", "8", "--processes", "2", "--no-tracking", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] > 0
    assert (home / "pretrain" / "residual.safetensors").is_file()
