"""The file of a meta-model: read back whole, or refused in a line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from made_up import meta_model

from databases.datasets.backbone import WIDTHS
from databases.datasets.task import Task
from databases.errors import UserError
from metad2a.recommend.model import SHIPPED, MetaD2A, load
from predictors import checkpoint


@pytest.fixture(scope="module")
def model() -> MetaD2A:
    return meta_model(WIDTHS[-1])


def saved(model: MetaD2A, path: Path, **header: object) -> Path:
    named = {"predictor": model.predictor, "generator": model.generator}
    tensors = {f"{name}.{key}": value for name, each in named.items() for key, value in each.state_dict().items()}
    tensors["known.places"] = torch.from_numpy(model.known.places)
    tensors["cells"] = model.predictor.encode_many(model.predictor_space.classes)
    checkpoint.save(path, tensors, {"surrogates": [], **model.header, **header})
    return path


def test_a_saved_model_answers_as_before(model: MetaD2A, images: Task, tmp_path: Path) -> None:
    path = saved(model, tmp_path / "meta.safetensors")
    again = load(path).recommend(images, top=20)
    assert again.candidates == model.recommend(images, top=20).candidates
    assert again.weights == checkpoint.digest(path)


def test_an_early_checkpoint_without_recipes_answers_as_before(model: MetaD2A, images: Task, tmp_path: Path) -> None:
    configs = {name: dict(model.header[name]) for name in ("predictor", "generator")}
    for config in configs.values():
        del config["recipes"]
    again = load(saved(model, tmp_path / "meta.safetensors", **configs)).recommend(images, top=20)
    assert again.candidates == model.recommend(images, top=20).candidates


def test_a_corrupt_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "meta.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be read as a meta-model"):
        load(path)


@pytest.mark.parametrize("header", [{"predictor": {"features": 3}}, {"predictor": {"depth": 1}}, {"known": {}}])
def test_a_model_of_another_shape_is_refused(model: MetaD2A, tmp_path: Path, header: dict[str, object]) -> None:
    with pytest.raises(UserError, match="does not fit this version"):
        load(saved(model, tmp_path / "meta.safetensors", **header))


def test_a_stage_of_a_retraining_is_no_model(model: MetaD2A, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "tables.safetensors", model.predictor.state_dict(), {"stage": "tables"})
    with pytest.raises(UserError, match="does not fit this version"):
        load(tmp_path / "tables.safetensors")


@pytest.mark.skipif(not SHIPPED.is_file(), reason="needs the shipped weights: `metad2a retrain` makes them")
def test_the_shipped_model_answers_for_the_digits() -> None:
    answer = load().recommend("sklearn:digits")
    accuracy = [each.expected_accuracy for each in answer.candidates]
    assert len(accuracy) == 5
    assert all(each is not None and 10 < each < 100 for each in accuracy)
    assert answer.nearest
