"""Pictures of strangers: few formats, bounded, and nothing but pixels is kept."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from service_world import send, zipped
from starlette.testclient import TestClient
from test_service_abuse import (
    huge_png,
)

from databases.errors import UserError
from metad2a.service.predicting import check_picture


@pytest.mark.parametrize("name", ["a.eps", "a.psd", "a.pdf", "a.txt", "bomb.png"])
def test_pictures_to_predict_are_of_few_formats_and_bounded(tmp_path: Path, name: str) -> None:
    content = {"a.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n", "a.psd": b"8BPS\0\1", "a.pdf": b"%PDF-1.7", "a.txt": b"hello"}
    (tmp_path / name).write_bytes(content.get(name) or huge_png())
    with pytest.raises(UserError, match=r"no picture|pixels"):
        check_picture(str(tmp_path / name), name)


def test_thumbnails_keep_nothing_but_pixels(client: TestClient) -> None:
    noted = PngImagePlugin.PngInfo()
    noted.add_text("Comment", "the place where this was taken")
    files = {}
    for number in range(8):
        content = io.BytesIO()
        Image.new("RGB", (9, 9), (number, 90, 9)).save(content, "PNG", pnginfo=noted)
        files[f"set/class{number % 2}/{number}.png"] = content.getvalue()
    thumbnails = send(client, zipped(files))["thumbnails"]
    assert len(thumbnails) == 8
    assert not [each for each in thumbnails if b"taken" in client.get(each).content]
