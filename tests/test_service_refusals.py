"""What is refused says why in people's words, whatever the database; nothing that is sent is a mistake of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from service_process import free_port
from service_world import refused, send
from starlette.testclient import TestClient

from databases.errors import UserError
from metad2a.service import cursors, predicting, records
from metad2a.service.serving import listen
from metad2a.service.settings import Settings

NOBODY = "0" * 32


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/v1/jobs", [1.0, "\ud800"]),
        ("/v1/jobs", [1.0, "a\0"]),
        ("/v1/jobs", [float("nan"), "a"]),
        ("/v1/datasets", [float("inf"), "a"]),
        ("/v1/models", [1.0, "\udfff"]),
        ("/v1/records", ["\ud800", "a", "a", "a", 0]),
        ("/v1/records", ["a", "a", "a", "a", 2**63]),
        ("/records", ["a", "a", "a", "a\0", 0]),
    ],
)
def test_a_cursor_that_no_database_could_compare_with_is_refused(
    open_service: tuple[TestClient, Settings], address: str, place: list[Any]
) -> None:
    answer = open_service[0].get(address, params={"cursor": cursors.encode(place)})
    assert "this cursor is none of ours" in refused(answer, 422)


def test_a_filter_with_a_control_character_is_refused_on_the_page_too(
    open_service: tuple[TestClient, Settings],
) -> None:
    for address in ("/records?task=%00", "/v1/records?task=a%01", "/v1/records?task=%00&format=csv"):
        assert "control character" in refused(open_service[0].get(address), 422)


@pytest.mark.parametrize("origin", ["http://[bad", "http://localhost:8000.evil.example", "localhost:8000", "://"])
def test_an_origin_that_is_none_is_refused(open_service: tuple[TestClient, Settings], origin: str) -> None:
    client, _ = open_service
    refused(client.post("/v1/searches", json={"dataset": NOBODY}, headers={"Origin": origin}), 403)
    ours = client.post("/v1/searches", json={"dataset": NOBODY}, headers={"Origin": "http://localhost:8000"})
    assert ours.status_code == 404


def test_a_mistake_of_ours_has_the_security_headers_too(
    open_service: tuple[TestClient, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **named: Any) -> None:
        raise RuntimeError("never meant to be")

    monkeypatch.setattr(records, "page", broken)
    answer = open_service[0].get("/v1/records")
    assert "never" not in refused(answer, 500)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_made_up_methods_are_counted_as_one(open_service: tuple[TestClient, Settings]) -> None:
    client, _ = open_service
    for number in range(3):
        refused(client.request(f"MADEUP{number}", "/v1/jobs"), 405)
    told = client.get("/metrics").text
    assert "MADEUP" not in told and 'metad2a_requests_total{method="any",route="/v1/jobs",status="405"} 3.0' in told


def test_what_is_wrong_is_told_in_peoples_words(open_service: tuple[TestClient, Settings]) -> None:
    client, _ = open_service
    without = client.post("/v1/searches", content=b'{"dataset":"%s"}' % NOBODY.encode())
    assert "Content-Type: application/json" in refused(without, 422)
    told = refused(client.post("/v1/searches", json={"dataset": NOBODY, "space": "pipeline", "train": 2}), 422)
    assert "Value error" not in told and "train means nothing in the space pipeline" in told
    told = refused(client.post(f"/v1/models/{NOBODY}/predict", data={"images": "text"}), 422)
    assert "this is no file" in told and "UploadFile" not in told


def test_a_picture_that_cannot_be_read_is_told_in_a_whole_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "more than 8 bits a pixel, and training had no such pictures; save it with 8 first"

    class Network:
        def open(self, path: str) -> None:
            raise ValueError(f"{path}: {sentence}")

    monkeypatch.setattr(predicting, "_network", lambda folder: Network())
    path = tmp_path / "0"
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(path, "PNG")
    with pytest.raises(UserError, match=sentence) as told:
        predicting.predict(str(tmp_path), [[str(path), "deep.png"]])
    assert str(tmp_path) not in str(told.value)


def test_every_kind_of_job_has_an_example_in_the_schema_that_is_accepted(client: TestClient) -> None:
    schemas = client.get("/v1/openapi.json").json()["components"]["schemas"]
    key = send(client)["id"]
    for kind, address in (("SearchIn", "searches"), ("TrainingIn", "trainings"), ("RetrainingIn", "retrainings")):
        for example in schemas[kind]["examples"]:
            asked = example | ({"dataset": key} if "dataset" in example else {})
            assert client.post(f"/v1/{address}", json=asked).status_code == 202, example


def test_an_address_that_is_taken_is_told_in_a_line() -> None:
    settings = Settings(port=free_port())
    with listen(settings), pytest.raises(UserError, match=re.escape(f"--port {settings.port} cannot be listened on")):
        listen(settings)
    with pytest.raises(UserError, match="cannot be listened on"):
        listen(Settings(host="300.1.1.1"))
