"""Exported networks: the same answers from `model.py`, and clear words for files that are none of ours."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from exporting import CELLS, RECIPE, a_task, export, exported, module, pictures
from PIL import Image

from databases.architectures.skeleton import Blueprint
from databases.architectures.space import SPACES, ImageSpace, image_space
from databases.datasets.decoding import read_picture
from databases.datasets.loading import load_task
from databases.datasets.task import resize_images
from databases.errors import UserError
from metad2a.export.export import Exported, load_exported, save
from metad2a.train.inference import predictions
from metad2a.train.train import train


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_program_gives_the_logits_of_the_trained_network(tmp_path: Path, cell: str, channels: int) -> None:
    made = exported(tmp_path, a_task(channels=channels), cell)
    program, images = module(made.program), pictures(7, 12, 12, channels)
    logits = program.load(tmp_path)(program.prepare(torch.from_numpy(images)))
    expected = predictions(made.training, resize_images(images, 8))
    np.testing.assert_allclose(logits.detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 12), (40, 40), (31, 90), (12, 5), (8, 8), (3, 2000)])
def test_the_program_resizes_as_loading_and_training_did(insects: Exported, shape: tuple[int, int]) -> None:
    images, program = pictures(5, *shape, 3), module(insects.program)
    loaded = [Image.fromarray(image).resize((12, 12), Image.Resampling.BILINEAR) for image in images]
    wanted = resize_images(np.stack([np.asarray(image) for image in loaded]), 8).astype(int)
    x = program.prepare(torch.from_numpy(images))
    card = insects.card
    scale, mean = (torch.tensor(each).view(1, 3, 1, 1) for each in (card.scale, card.mean))
    got = (x * scale + mean).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-3)  # the same grey level


def test_the_program_takes_arrays_and_grey_and_names_classes(insects: Exported, tmp_path: Path) -> None:
    network = module(insects.program).load()
    images = pictures(3, 20, 20, 3)
    images.setflags(write=False)
    classes = network.probabilities(images).argmax(1)
    assert network.predict(images) == [insects.card.class_names[index] for index in classes]
    grey = pictures(2, 20, 20, 1)
    assert network.predict(grey) == network.predict(grey.repeat(3, axis=3))
    of_grey = module(exported(tmp_path, a_task(channels=1)).program)
    as_pillow = np.stack([np.asarray(Image.fromarray(image).convert("L"))[:, :, None] for image in images])
    difference = of_grey.load().probabilities(images) - of_grey.load().probabilities(as_pillow)
    assert difference.abs().max() < 0.01
    flipped = images[:, ::-1]  # whose strides are negative
    np.testing.assert_array_equal(network.predict(flipped), network.predict(flipped.copy()))
    several = [Image.fromarray(each) for each in images]
    assert len(network.predict(several)) == len(images)
    tensor = torch.from_numpy(images.copy())
    odd = (tensor.to_sparse(), tensor.to("meta"))
    for wrong in (images / 255, images[0], images[:0], "a.png", [*several, "b.png"], None, [], *odd):
        with pytest.raises(ValueError, match="allowed is uint8"):
            network.predict(wrong)


def test_the_program_gives_the_same_in_a_host_that_computes_otherwise(insects: Exported) -> None:
    program, images = module(insects.program), pictures(3, 20, 20, 3)
    network = program.load()
    there = network.probabilities(images)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            found = [network.probabilities(images), program.load().probabilities(images)]
    finally:
        torch.set_default_dtype(torch.float32)
    found += [program.load().to(each).probabilities(images) for each in (torch.float64, torch.bfloat16)]
    for each in found:
        assert each.dtype == torch.float32 and (each - there).abs().max() < 0.02


def test_the_program_imports_torch_alone(insects: Exported) -> None:
    tree = ast.parse(insects.program.read_text())
    names = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert foreign == {"torch", "PIL"}
    assert not any(isinstance(node, ast.ImportFrom) and node.module == "PIL" for node in tree.body)


def test_the_program_names_picture_files_on_the_command_line(insects: Exported, tmp_path: Path) -> None:
    picture = pictures(1, 30, 20, 3)[0]
    Image.fromarray(picture).save(tmp_path / "a.png")
    clear = Image.fromarray(np.dstack([picture, np.full((30, 20), 255, np.uint8)]))
    clear.convert("P").save(tmp_path / "b.gif")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    command = [sys.executable, "-I", str(insects.program), "a.png", "b.gif", "c.png"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith("c.png: cannot be read") and answer.stderr.count("\n") == 1
    likeliest = module(insects.program).load().predict(picture[None])[0]
    first, second = answer.stdout.splitlines()
    assert first.startswith(f"a.png: {likeliest} ") and second.startswith("b.gif: ")


@pytest.mark.parametrize(
    ("top", "dtype", "ending"), [(4_000, "<u2", "png"), (65_535, "<u2", "tif"), (200, "<i4", "tif")]
)
def test_the_program_reads_deep_pictures_as_loading_did(tmp_path: Path, top: int, dtype: str, ending: str) -> None:
    rng, places = (
        np.random.default_rng(0),
        [f"{name}/{index}.{ending}" for name in ("ant", "bee") for index in range(5)],
    )
    for place in places:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, top + 1, (31, 23)).astype(dtype)).save(tmp_path / place)
    task = load_task(tmp_path, resolution=12)
    program = module(exported(tmp_path / "made", task).program)
    read = torch.cat([program.open_picture(str(tmp_path / place)) for place in places])
    assert sorted(map(bytes, read.numpy())) == sorted(map(bytes, task.images))  # whose order follows content
    Image.new("F", (9, 9), 70_000.0).save(tmp_path / "bright.tif")
    with pytest.raises(ValueError, match=r"values outside 0\.\.\d+, the range of the training pictures"):
        program.open_picture(str(tmp_path / "bright.tif"))


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("RGB", 1), ("L", 3), ("RGBA", 1), ("P", 3)])
def test_the_program_reads_large_pictures_as_predict_does_and_small_at_once(
    tmp_path: Path, mode: str, channels: int
) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (90, 130, 4), dtype=np.uint8)).convert(mode).resize((1300, 900))
    program = module(exported(tmp_path, a_task(channels=channels)).program)
    for ending in ("png", *(["jpg"] if mode in ("RGB", "L") else [])):
        picture.save(tmp_path / f"large.{ending}")
        read = program.open_picture(str(tmp_path / f"large.{ending}"))
        content = (tmp_path / f"large.{ending}").read_bytes()
        expected = read_picture(content, px=program.SIZES[0], channels=channels, white=None).pixels
        np.testing.assert_array_equal(read[0].numpy(), expected)


def test_the_program_refuses_deep_pictures_that_training_had_not(insects: Exported, tmp_path: Path) -> None:
    Image.new("F", (9, 9), 1.0).save(tmp_path / "deep.tif")
    with pytest.raises(ValueError, match="training had no such pictures; save it with 8"):
        module(insects.program).open_picture(str(tmp_path / "deep.tif"))


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (8, 1)])
def test_the_program_refuses_pictures_of_one_pixel_as_training_does(
    insects: Exported, tmp_path: Path, size: tuple[int, int]
) -> None:
    program = module(insects.program)
    Image.new("RGB", size).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="allowed are 2 and more each way"):
        program.open_picture(tmp_path / "small.png")
    with pytest.raises(ValueError, match="allowed are 2 and more each way"):
        program.load(insects.folder).predict(np.zeros((1, size[1], size[0], 3), dtype=np.uint8))


def test_any_class_name_survives_and_none_becomes_code(tmp_path: Path) -> None:
    names = ('"""', "'; raise SystemExit", "$cell ${x}", "\n\\", "猫", "\udc80")
    made = exported(tmp_path, a_task(names=names))
    assert module(made.program).CLASS_NAMES == names
    assert load_exported(tmp_path).card.class_names == names


def test_the_program_shows_names_in_one_line_each_and_gives_the_terminal_no_orders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("a\x1b[2J", "b\nc.png: bee 100.0%", "d\u202ee", "f\x9b", "\u067e\u200c\u062a", "g\u2066")
    made = exported(tmp_path / "made", a_task(names=names))
    places = [tmp_path / f"{name.partition(':')[0]}.png" for name in names]
    for place in places:
        Image.fromarray(pictures(1, 9, 9, 3)[0]).save(place)
    (tmp_path / "broken\x1b.png").write_bytes(b"")
    program = module(made.program)
    assert program.main([*map(str, places), str(tmp_path / "broken\x1b.png")]) == 1
    answer = capsys.readouterr()
    told = answer.out + answer.err
    assert answer.out.count("\n") == len(names) and answer.err.count("\n") == 1
    assert not set("\x1b\u202e\x9b\u2066") & set(told) and "\u067e\u200c\u062a" in told  # which Persian needs
    assert "a\ufffd[2J" in told and "broken\ufffd.png: cannot be read" in told
    assert program.CLASS_NAMES == names


def test_an_export_is_read_back_whole(insects: Exported) -> None:
    read, images = load_exported(insects.folder), pictures(5, 8, 8, 3)
    assert read.card == insects.card
    assert (read.card.sizes, read.card.resolution, read.card.recipe) == ((12, 8), 8, "test")
    np.testing.assert_array_equal(predictions(read.training, images), predictions(insects.training, images))
    assert load_exported(insects.folder).training.valid_accuracy == insects.training.valid_accuracy


@pytest.mark.parametrize("name", [name for name, each in SPACES.items() if isinstance(each, ImageSpace)])
def test_every_image_space_is_exported_read_back_and_run_by_its_program(tmp_path: Path, name: str) -> None:
    chosen, task, recipe = image_space(name), a_task(channels=1, px=16), replace(RECIPE, channels=12, resolution=16)
    architecture = chosen.parse(chosen.example)
    training = train(task, architecture, recipe=recipe, on="cpu")
    made = export(training, task=task, architecture=architecture, recipe=recipe, folder=tmp_path)
    images = pictures(4, 16, 16, 1)
    expected = predictions(training, images)
    np.testing.assert_array_equal(predictions(load_exported(tmp_path).training, images), expected)
    program = module(made.program)
    np.testing.assert_allclose(program.load()(program.prepare(torch.from_numpy(images))).detach(), expected, atol=1e-5)
    blueprint = made.card.blueprint
    assert Blueprint.read(json.loads(json.dumps(blueprint.plain()))) == blueprint


def test_a_file_that_no_export_wrote_is_not_replaced(insects: Exported, tmp_path: Path) -> None:
    for name, content in (("model.py", b"print('mine')\n"), ("model.safetensors", b"\x00mine")):
        mine = tmp_path / name
        mine.write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}' was not written by this metad2a"):
            save(insects.training, insects.card, tmp_path)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [content]
        mine.unlink()
    save(insects.training, insects.card, tmp_path)
    save(insects.training, insects.card, tmp_path)


def test_the_program_helps_reads_folders_and_bears_a_closed_pipe(
    insects: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("within", ".hidden", "empty"):
        (tmp_path / name).mkdir()
    for number in range(30):
        place = tmp_path / ("within" if number > 20 else ".")
        Image.fromarray(pictures(1, 9, 9, 3, seed=number)[0]).save(place / f"{number:02}.png")
    (tmp_path / ".hidden" / "x.png").write_bytes(b"")
    program = module(insects.program)
    assert program.main(["--help"]) == 0 and capsys.readouterr().out.startswith("usage: python model.py PICTURE")
    assert program.main([str(tmp_path / "empty")]) == 1
    assert "empty: no file is in that folder" in capsys.readouterr().err
    assert program.main([str(tmp_path)]) == 0
    answer = capsys.readouterr().out
    assert [Path(line.partition(":")[0]).name for line in answer.splitlines()[:2]] == ["00.png", "01.png"]
    assert answer.count("\n") == 30  # those in folders within too, without hidden ones
    piped = subprocess.run(
        f"'{sys.executable}' -I '{insects.program}' '{tmp_path}' | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert piped.stdout == answer[: answer.index("\n") + 1] and piped.stderr == ""
    pillow = Image.fromarray(pictures(1, 9, 9, 3)[0])
    assert program.load().predict(pillow) == [answer.split(": ")[1].split(" ")[0]]


def test_the_program_refuses_the_weights_of_another_network(insects: Exported, tmp_path: Path) -> None:
    exported(tmp_path, a_task(), CELLS[1])
    with pytest.raises(ValueError, match="weights of another network"):
        module(insects.program).load(tmp_path)
