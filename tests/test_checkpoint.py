"""Checkpoints come back as they were saved, and anything else is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from databases.errors import UserError
from predictors import checkpoint

TENSORS = {
    "predictor.a": torch.arange(6.0).reshape(2, 3).T,
    "predictor.b.c": torch.ones(1),
    "other.a": torch.zeros(2),
}


def test_tensors_and_header_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "model.safetensors"
    digest = checkpoint.save(path, TENSORS, {"seed": 3, "card": "what it is"})
    tensors, header = checkpoint.load(path)
    assert {"seed": 3, "card": "what it is"}.items() <= header.items()
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert digest == checkpoint.digest(path)
    assert checkpoint.part(tensors, "predictor").keys() == {"a", "b.c"}


def test_the_digest_tells_weights_apart(tmp_path: Path) -> None:
    first = checkpoint.save(tmp_path / "model", {"a": torch.zeros(1)}, {})
    assert checkpoint.save(tmp_path / "model", {"a": torch.ones(1)}, {}) != first


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no meta-model at"):
        checkpoint.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", None], ids=["empty", "text", "cut short"])
def test_a_corrupt_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.safetensors"
    checkpoint.save(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:-8] if content is None else content)
    with pytest.raises(UserError, match="cannot be read as a meta-model") as refusal:
        checkpoint.load(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("header", [None, {"metad2a": "{"}, {"metad2a": "[]"}, {"metad2a": '{"format": "x"}'}])
def test_a_foreign_file_is_refused(tmp_path: Path, header: dict[str, str] | None) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, path, header)
    with pytest.raises(UserError, match="meta-model"):
        checkpoint.load(path)


@pytest.mark.parametrize("version", [checkpoint.VERSION + 1, None])
def test_a_newer_file_is_refused(tmp_path: Path, version: int | None) -> None:
    path = tmp_path / "newer.safetensors"
    header = {"format": checkpoint.META_MODEL} | ({"version": version} if version else {})
    save_file({"a": torch.zeros(1)}, path, {"metad2a": json.dumps(header)})
    with pytest.raises(UserError, match="update metad2a"):
        checkpoint.load(path)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    before = checkpoint.save(path, TENSORS, {})

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, {"a": torch.zeros(1)}, {})
    assert checkpoint.digest(path) == before
    assert list(tmp_path.iterdir()) == [path]
