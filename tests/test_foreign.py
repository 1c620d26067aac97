"""Pretrained networks of the user's own: opened, probed, fine-tuned and exported like ours, or refused in one line."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_network import OnnxNetwork
from pipeline_world import random_base, stripes
from safetensors.torch import load_file, save_file

from databases.architectures.networks.foreign import timm_package
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.architectures.supernets.families import RESIDUAL
from databases.datasets.task import TEST
from databases.errors import UserError
from metad2a.export.card import Card
from metad2a.export.export import load_exported, save
from metad2a.recommend.looking import about, looks
from metad2a.supernets.also import open_also
from metad2a.supernets.weights import write_weights
from metad2a.train.classifier import Classifier
from metad2a.train.finetune import Tuning, finetune
from metad2a.train.pipeline import base_of, blueprint_of
from metad2a.train.probe import probe
from metad2a.train.training import Training

needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="the extra timm is not installed")
PLAIN, OF_ONE_SIZE = "test_resnet", "test_coatnet"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random weights of two tiny networks of timm, with their classifiers."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(timm_package().create_model(PLAIN).state_dict(), folder / f"{PLAIN}.safetensors")
        torch.save({"state_dict": timm_package().create_model(OF_ONE_SIZE).state_dict()}, folder / f"{OF_ONE_SIZE}.pth")
    return folder


def exported(classifier: Classifier, folder: Path) -> Path:
    mean, scale, side = classifier.mean, classifier.scale, classifier.resolution
    card = Card(
        *(PIPELINE.name, "other 64px probe", "pipeline", 0, "stripes", "0" * 16, ("level", "upright", "checks")),
        *((16, side), mean, scale, classifier.blueprint, None, None),
        complete=True,
        train_seconds=1.0,
    )
    return save(Training(classifier.network, mean, scale, None, 1.0, True), card, folder).folder


@needs_timm
@pytest.mark.parametrize(
    ("name", "channels"), [(f"{PLAIN}@{PLAIN}.safetensors", 1), (f"{OF_ONE_SIZE}@{OF_ONE_SIZE}.pth", 3)]
)
def test_a_network_of_timm_is_probed_tuned_and_exported_like_ours(
    name: str, channels: int, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights)
    before = torch.get_rng_state()
    also, task = open_also(f"timm:{name}", channels=channels), stripes(40, channels=channels)
    assert (also.side == 160) == name.startswith(OF_ONE_SIZE) and len(also.mean) == channels
    probed = probe(also, task, resolution=64)
    tuned = finetune(probed.classifier, task, Tuning(steps=2, learning_rate=0.01, batch=8)).classifier
    assert torch.equal(torch.get_rng_state(), before)
    first = next(iter(also.network.get_submodule("body").parameters()))
    assert not torch.equal(first, next(iter(tuned.network.get_submodule("body").parameters())))
    folder, images = exported(tuned, tmp_path / "out"), task.part(TEST)[0]
    again = load_exported(folder)
    assert again.card.blueprint == tuned.blueprint
    read = Classifier(again.training.network, again.card.blueprint, tuned.mean, tuned.scale, 64)
    np.testing.assert_allclose(read.logits(images), tuned.logits(images), atol=1e-4)
    assert "it needs torch and timm" in (folder / "model.py").read_text()
    if also.side is not None:
        return
    np.save(tmp_path / "images.npy", images)
    program = "import sys, numpy, model\nprint(*model.load().predict(numpy.load(sys.argv[1])))\n"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "images.npy")], cwd=folder, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [again.card.class_names[index] for index in tuned.logits(images).argmax(1)]


@needs_timm
@pytest.mark.slow
def test_an_onnx_file_of_it_answers_alike(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from metad2a.export.onnx import export_onnx

    task = stripes(40)
    found = probe(open_also(f"timm:{PLAIN}@{weights / PLAIN}.safetensors", channels=3), task, resolution=64).classifier
    answers = OnnxNetwork(export_onnx(exported(found, tmp_path))).probabilities(task.images[:5])
    expected = torch.from_numpy(found.logits(task.images[:5])).softmax(dim=1)
    np.testing.assert_allclose(answers, expected, atol=1e-3)


@needs_timm
def test_a_file_for_which_memory_is_short_is_not_said_to_hold_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*given: object, **options: object) -> None:
        raise MemoryError

    (tmp_path / "large.pth").write_bytes(b"large")
    monkeypatch.setattr(torch, "load", short)
    with pytest.raises(MemoryError):
        open_also(f"timm:{PLAIN}@{tmp_path / 'large.pth'}", channels=3)


@needs_timm
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timm:test_resnt", "knows no such network; did you mean test_resnet"),
        ("timm:hf-hub:some/one", "knows no such network"),
        (f"timm:{PLAIN}@nothing.pth", "no file 'nothing.pth'"),
        (f"timm:{PLAIN}@{OF_ONE_SIZE}.pth", r"another network than timm's test_resnet \('conv1.0.weight' is missing\)"),
        (f"timm:{PLAIN}@code.pth", "holds no weights"),
        (f"timm:{PLAIN}@text.safetensors", "holds no weights"),
        (f"timm:{PLAIN}@users", "holds no weights"),
        (f"timm:{PLAIN}@short.pth", "holds no weights"),
        (f"timm:{PLAIN}@list.pth", "holds no weights"),
        ("nothing.safetensors", "which is no file; allowed are timm:NAME"),
        (f"{PLAIN}.safetensors", "is no pretrained-network of metad2a"),
    ],
)
def test_what_is_no_network_or_has_no_weights_is_refused(
    text: str, told: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights)
    torch.save({"state_dict": stripes}, "code.pth")  # names a function, which is not read
    Path("text.safetensors").write_text("no tensors")
    Path("users").write_text("root:x:0:0")  # such texts end the reader of pickles in errors of its own
    Path("short.pth").write_bytes(b"\x80\x02\x8a\x0al\xfc\x9c")
    torch.save([1, 2], "list.pth")
    with pytest.raises(UserError, match=told) as problem:
        open_also(text, channels=3)
    assert "\n" not in str(problem.value)


@needs_timm
def test_without_a_network_the_download_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*given: object) -> object:
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    monkeypatch.setattr("metad2a.train.foreign.getproxies", dict)
    with pytest.raises(UserError, match=r"\(no network\): give a file that you have: timm:resnet18@FILE"):
        open_also("timm:resnet18", channels=3)


def test_a_missing_package_is_told_with_what_it_would_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metad2a.train.foreign.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"a thousand pretrained networks .*pip install 'metad2a\[timm\]'"):
        open_also("timm:resnet18", channels=3)


def test_weights_of_ones_own_pretraining_compete_too(tmp_path: Path) -> None:
    stages = RESIDUAL.slice(depth=1, expansion=0.5)
    card = {"family": "residual", "stages": stages, "classes": ["a", "b"]}
    network = RESIDUAL.blueprint(stages, 3, 2).build()
    write_weights(tmp_path / "mine.safetensors", network, {**card, "mean": [127.0] * 3, "scale": [60.0] * 3})
    also = open_also(str(tmp_path / "mine.safetensors"), channels=3)
    assert also.name.endswith("mine.safetensors") and also.digest.startswith("other-")
    assert probe(also, stripes(40), resolution=64).valid_accuracy is not None


def test_weights_that_are_no_finite_numbers_are_refused(weights: Path, tmp_path: Path) -> None:
    network = RESIDUAL.blueprint(stages := RESIDUAL.slice(depth=1, expansion=0.5), 3, 2).build()
    next(network.parameters()).data[0] = float("nan")
    card = {"family": "residual", "stages": stages, "classes": ["a", "b"], "mean": [127.0] * 3, "scale": [60.0] * 3}
    write_weights(tmp_path / "mine.safetensors", network, card)
    broken = load_file(weights / f"{PLAIN}.safetensors")
    next(each for each in broken.values() if each.ndim == 4)[0, 0, 0] = float("inf")
    save_file(broken, tmp_path / "broken.safetensors")
    for given in (str(tmp_path / "mine.safetensors"), f"timm:{PLAIN}@{tmp_path / 'broken.safetensors'}"):
        with pytest.raises(UserError, match="no finite numbers: give a sound file"):
            open_also(given, channels=3)


def test_the_users_network_is_looked_at_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metad2a.recommend.looking.installed", lambda: {"hog": True})
    task, also = stripes(40, side=96), random_base(name="mine")
    seen = [each.measured for each in looks(task, left=lambda: 0.0, also=also, insist=True)]
    assert [str(each.pipeline) for each in seen] == ["hog 64px", "other 64px probe"]
    assert about(also, seen, {})[0].startswith("other is mine;")
    why: dict[str, str] = {}
    hurried = [each.measured for each in looks(task, left=lambda: 0.0, also=also, left_out=why)]
    assert about(also, hurried, why)[0].startswith("mine was left out: a probe would take too much")
    assert about(None, hurried, why) == []
    whole = [each.measured.pipeline for each in looks(task, left=lambda: 1e9, also=also)]
    assert [each.resolution for each in whole if each.weights == "other"] == [64, 96]


def test_the_users_network_has_no_slices_and_must_be_named() -> None:
    task, other = stripes(40), Pipeline("other", 64, "probe")
    assert PIPELINE.pipeline(PIPELINE.of(other)) == other
    with pytest.raises(UserError, match="--also"):
        base_of(other, task)
    with pytest.raises(UserError, match="other 64px probe slim"):
        PIPELINE.parse("other 64px probe slim")
    mine = random_base()
    assert base_of(other, task, also=mine) is mine
    assert blueprint_of(other, channels=3, classes=7, also=mine) == mine.blueprint(7)
