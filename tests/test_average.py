"""Networks that answer together: what their mean is, when it is chosen, and that it travels like one network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pipeline_world import random_base, stripes

from databases.architectures.networks.average import Member, triangle
from databases.architectures.skeleton import Blueprint
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.architectures.supernets.families import LITE0, MOBILE, RESIDUAL
from databases.datasets.task import TEST, VALIDATION, Task
from metad2a.cli.runs import runs
from metad2a.export.card import Card
from metad2a.export.export import Exported, load_exported, save
from metad2a.export.program import load_program, network_source
from metad2a.search.pipelines.average import LOGITS, averaged, finalists, keep_logits, read_logits, together
from metad2a.search.run_list import all_runs
from metad2a.search.run_state import State, Trained, Wanted, write_state
from metad2a.search.runs import CANDIDATES, RunFolder, runs_folder
from metad2a.train import classifier as classifier_module
from metad2a.train.bases import open_base
from metad2a.train.classifier import Classifier
from metad2a.train.probe import probe
from metad2a.train.training import Training

SIDE, HEATS = 24, {0: 2.0, 1: 0.7}


def members(task: Task) -> dict[int, Classifier]:
    hog = open_base("hog", channels=3, resolution=16)
    return {
        0: probe(random_base(), task, resolution=32).classifier,
        1: probe(hog, task, resolution=16).classifier,
    }


@pytest.fixture(scope="module")
def task() -> Task:
    return stripes(60, side=SIDE)


@pytest.fixture(scope="module")
def mean(task: Task) -> Classifier:
    return averaged(members(task), HEATS, resolution=SIDE)


def kept(classifier: Classifier, task: Task, folder: Path) -> Exported:
    card = Card(
        space=PIPELINE.name,
        architecture=str(Pipeline("own", 32, "probe")),
        recipe=PIPELINE.name,
        seed=0,
        task=task.name,
        fingerprint=task.fingerprint,
        class_names=task.class_names,
        sizes=(SIDE,),
        mean=classifier.mean,
        scale=classifier.scale,
        blueprint=classifier.blueprint,
        valid_accuracy=50.0,
        test_accuracy=None,
        complete=True,
        train_seconds=1.0,
        temperature=1.5,
    )
    return save(Training(classifier.network, classifier.mean, classifier.scale, 50.0, 1.0, True), card, folder)


@pytest.mark.parametrize("side", [16, 40])
def test_rows_are_resized_as_pillow_resizes_them(side: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    wanted = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))
    shares = triangle(SIDE, side)
    found = shares.T @ (torch.from_numpy(picture).float() @ shares)
    assert np.abs(found.numpy() - wanted).max() < 1.5  # Pillow rounds twice


def test_it_is_the_mean_of_the_members_probabilities(task: Task, mean: Classifier) -> None:
    images, _ = task.part(TEST)
    each = [
        torch.from_numpy(member.logits(images) / HEATS[index]).softmax(1) for index, member in members(task).items()
    ]
    logits = {index: member.logits(images) for index, member in members(task).items()}
    np.testing.assert_allclose(np.exp(together(logits, HEATS)), (each[0] + each[1]) / 2, atol=1e-5)
    found = torch.from_numpy(mean.logits(images)).softmax(1)
    assert (found - (each[0] + each[1]) / 2).abs().max() < 0.03  # images are resized without rounding
    assert (found.argmax(1) == ((each[0] + each[1]) / 2).argmax(1)).float().mean() > 0.9


def test_it_is_asked_in_batches_that_suit_its_largest_member(
    task: Task, mean: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = list[int]()
    monkeypatch.setattr(classifier_module, "LEAST_BATCH", 1)
    monkeypatch.setattr(classifier_module, "BATCH_PIXELS", 8 * 32**2)
    hook = mean.network.register_forward_hook(lambda network, given, found: sizes.append(len(given[0])))
    mean.logits(task.images[:20])
    hook.remove()
    assert SIDE < 32 and sizes == [8, 8, 4]


def test_a_blueprint_with_networks_inside_survives_its_text(mean: Classifier) -> None:
    assert Blueprint.read(json.loads(json.dumps(mean.blueprint.plain()))) == mean.blueprint


def test_a_blueprint_inside_that_names_no_network_of_ours_is_refused(mean: Classifier) -> None:
    text = json.dumps(mean.blueprint.plain()).replace("hog:HOGNetwork", "os:System")
    with pytest.raises(ValueError, match="no module of networks"):
        Blueprint.read(json.loads(text))


def test_it_is_exported_read_back_and_run_by_its_program(task: Task, mean: Classifier, tmp_path: Path) -> None:
    made, images = kept(mean, task, tmp_path), task.part(TEST)[0]
    wanted = torch.from_numpy(mean.logits(images) / 1.5).softmax(1).numpy()
    network = load_exported(tmp_path).training.network
    read = Classifier(network, made.card.blueprint, mean.mean, mean.scale, SIDE)
    np.testing.assert_array_equal(read.logits(images), mean.logits(images))
    found = load_program(tmp_path).load(tmp_path).probabilities(images).numpy()
    assert np.abs(found - wanted).max() < 1e-4


def test_networks_of_every_kind_go_together_into_one_program() -> None:
    parts = [family.blueprint(family.stages, 3, 3) for family in (RESIDUAL, MOBILE, LITE0)]
    parts.append(open_base("hog", channels=3, resolution=16).blueprint(3))
    plans = tuple(Member(each, 32, (0.0,) * 3, (1.0,) * 3, 1.0) for each in parts)  # type: ignore[arg-type]
    imports, source = network_source(Blueprint("average:AverageNetwork", (plans, SIDE)))
    compile("\n".join([*imports, source]), "model.py", "exec")
    assert all(f"class {each.network.partition(':')[2]}(" in source for each in parts)


def told(labels: np.ndarray, right: np.ndarray, *, sure: float = 2.0) -> np.ndarray:
    """Logits (n, 3) that name the right class where ``right``, and the next one elsewhere."""
    named = np.where(right, labels, (labels + 1) % 3)
    return (sure * np.eye(3, dtype=np.float32)[named]).astype(np.float32)


def test_a_finalist_joins_that_errs_elsewhere_and_none_that_repeats_or_guesses() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    best, other = rng.random(300) < 0.8, rng.random(300) < 0.75
    guess = rng.normal(size=(300, 3)).astype(np.float32)
    first = told(labels, best) + 0.3 * rng.normal(size=(300, 3)).astype(np.float32)
    second = told(labels, other) + 0.3 * rng.normal(size=(300, 3)).astype(np.float32)
    assert finalists({0: first, 1: second}, labels, 0) == (0, 1)
    assert finalists({0: first, 1: first}, labels, 0) == (0,)
    assert finalists({0: first, 1: guess}, labels, 0) == (0,)
    third = told(labels, rng.random(300) < 0.8) + 0.3 * rng.normal(size=(300, 3)).astype(np.float32)
    many = {0: first, 1: second, 2: third}
    assert sorted(finalists(many, labels, 0)) == [0, 1, 2]
    assert finalists(many, labels, 0, fits=lambda chosen: 1 not in chosen) == (0, 2)  # what is too dear bars no other


def test_nothing_joins_where_no_image_tells() -> None:
    none = np.zeros((0, 3), dtype=np.float32)
    assert finalists({0: none, 1: none}, np.zeros(0, dtype=np.int64), 0) == (0,)
    assert finalists({1: told(np.arange(9) % 3, np.ones(9, dtype=bool))}, np.arange(9) % 3, 0) == (0,)


def test_what_is_gone_or_damaged_of_a_candidate_costs_its_joining_alone(tmp_path: Path) -> None:
    alone = PIPELINE.of(Pipeline("own", 32, "probe"))
    trained = {index: Trained(alone, None, 45.0, True, 1, 1.0, 1, 1) for index in range(4)}
    run = RunFolder(tmp_path, {}, begin=0.0)
    run.state.trained.update(trained)
    for index in range(3):
        keep_logits(run, index, np.zeros((4, 2), dtype=np.float32))
    (tmp_path / CANDIDATES / LOGITS.format(1)).write_bytes(b"\x93NUMPY")
    (tmp_path / CANDIDATES / LOGITS.format(2)).write_bytes(b"")
    assert list(read_logits(run)) == [0]


def test_another_joins_for_a_gain_that_can_be_told_alone() -> None:
    labels = np.arange(60) % 3
    sure = np.eye(3, dtype=np.float32)[labels] * 12
    assert finalists({0: sure, 1: sure + np.float32(0.5) * sure}, labels, 0) == (0,)


def test_the_validation_images_of_the_task_are_what_logits_were_kept_of(task: Task) -> None:
    found = probe(random_base(), task, resolution=32)
    assert found.valid_logits.shape == (np.count_nonzero(task.parts == VALIDATION), 3)


def test_the_list_of_runs_tells_the_accuracy_of_the_mean_that_was_exported(
    task: Task, mean: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    alone = PIPELINE.of(Pipeline("own", 32, "probe"))
    trained = {0: Trained(alone, None, 45.0, True, 1, 1.0, 1, 1)}
    folder = runs_folder() / "toy"
    write_state(folder, State({}, [Wanted(alone)], trained))
    assert all_runs()[0].valid_accuracy == 45.0  # nothing is exported yet
    write_state(folder, State({}, [Wanted(alone)], trained, tested=(0, 60.0)))
    kept(mean, task, folder)
    (found,) = all_runs()
    assert (found.valid_accuracy, found.test_accuracy, found.others) == (50.0, 60.0, 1)
    runs()
    assert "own 32px probe whole and 1 more" in " ".join(capsys.readouterr().out.split())
    (folder / "model.safetensors").write_bytes(b"\xff" * 9)
    assert all_runs()[0].valid_accuracy == 45.0
