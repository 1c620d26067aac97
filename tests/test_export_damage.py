"""Foreign and damaged exports are refused, and nothing is half written."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import CELLS, a_task, exported
from safetensors.torch import save_file

from databases.errors import UserError
from metad2a.export.export import Exported, load_exported
from metad2a.export.weights import weights_file
from metad2a.train.training import Training


def damaged(good: bytes, made: Exported) -> dict[str, bytes]:
    length = int.from_bytes(good[:8], "little")

    def with_header(text: str) -> bytes:
        return len(text.encode()).to_bytes(8, "little") + text.encode() + good[8 + length :]

    def with_card(**values: object) -> bytes:
        header = json.loads(good[8 : 8 + length])
        card = {**json.loads(header["__metadata__"]["metad2a"]), **values}
        header["__metadata__"]["metad2a"] = json.dumps(card)
        return with_header(json.dumps(header))

    def with_skeleton(**values: object) -> bytes:
        plain: dict[str, Any] = made.card.blueprint.plain()
        edges, skeleton = plain["arguments"]
        return with_card(blueprint={**plain, "arguments": [edges, {**skeleton, **values}]})

    other = Training(torch.nn.Linear(2, 2), (0.0,) * 3, (1.0,) * 3, None, 0.0, True)
    return {
        "empty": b"",
        "noise": os.urandom(999),
        "truncated": good[:-4],
        "no card": with_header(json.dumps({**json.loads(good[8 : 8 + length]), "__metadata__": {}})),
        "other tensors": weights_file(other, made.card),
        "unknown cell": with_card(architecture="|x~0|"),
        "unknown space": with_card(space="x"),
        "newer": with_card(format=3),
        "one class too many": with_card(class_names=["a", "b", "c", "d"]),
        "names of no text": with_card(class_names=[1, 2, 3]),
        "huge": with_skeleton(channels=10**9),
        "endless": with_skeleton(cells=60_000),
        "foreign network": with_card(blueprint={"network": "os:System", "arguments": []}),
        "no plan of a network": with_skeleton(**{"is": "skeleton:Blueprint"}),
        "white of no scale": with_card(white=7),
        "no number": with_card(mean=[float("nan")] * 3),
        "unknown field": with_card(color="red"),
        "card is a list": with_header('{"__metadata__":{"metad2a":"[]"}}'),
    }


def test_foreign_and_damaged_weights_are_user_errors(insects: Exported, tmp_path: Path) -> None:
    good = insects.weights.read_bytes()
    with pytest.raises(UserError, match=r"cannot read .*model\.safetensors"):
        load_exported(tmp_path)
    save_file({"x": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="holds no network"):
        load_exported(tmp_path)
    for what, content in damaged(good, insects).items():
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(UserError, match="holds no network that this metad2a exported") as caught:
            load_exported(tmp_path)
        assert "\n" not in str(caught.value), what


def test_a_failed_write_leaves_the_old_export_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = exported(tmp_path, a_task())
    before = {path.name: path.read_bytes() for path in tmp_path.glob("model.*")}
    assert set(before) == {"model.safetensors", "model.py"}
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    task = replace(a_task(), name="other")
    with pytest.raises(UserError, match="No space left"):
        exported(tmp_path, task, CELLS[1])
    assert {path.name: path.read_bytes() for path in tmp_path.glob("[!.]*")} == before
    assert load_exported(tmp_path).card == made.card
    monkeypatch.undo()
    exported(tmp_path, task, CELLS[1])  # what was to be written is noted first, and what is there stays ours


def test_an_unusable_folder_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write the answer"):
        exported(tmp_path / "file" / "folder", a_task())
