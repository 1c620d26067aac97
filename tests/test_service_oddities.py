"""What people and programs send without meaning harm: odd names, HEAD, ranges, second thoughts."""

from __future__ import annotations

import html
import re
import time
from typing import Any

import numpy as np
import pytest
from service_world import png, refused, send, zipped
from starlette.testclient import TestClient

from metad2a.service.settings import Settings

NAMES = ("<script>alert(1)<", "\u202eevil\u202c", "😀👨\u200d👩\u200d👧", "a\x07b", "&lt;b&gt;")


def test_pages_show_every_class_name_and_none_changes_the_page(open_service: tuple[TestClient, Settings]) -> None:
    client, _ = open_service
    rng = np.random.default_rng(0)
    told = send(
        client,
        zipped(
            {
                f"set/{name}/{number}.png": png(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8))
                for name in NAMES
                for number in range(8)
            }
        ),
    )
    assert {each["name"] for each in told["classes"]} == set(NAMES), "the API tells them as they are"
    shown = client.get(f"/datasets/{told['id']}").text
    for name in ("&lt;script&gt;alert(1)&lt;", "\ufffdevil\ufffd", NAMES[2], "a\ufffdb", "&amp;lt;b&amp;gt;"):
        assert name in shown, name
    assert not {"\u202e", "\x07"} & set(shown) and "<script>" not in shown


def test_head_tells_what_get_would_without_a_body(open_service: tuple[TestClient, Settings]) -> None:
    client, _ = open_service
    told = send(client)
    for path in ("/", "/v1/datasets", f"/v1/datasets/{told['id']}", told["thumbnails"][0], "/static/style.css"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))
    assert client.head("/v1/datasets/nothing").status_code == 422
    assert client.head("/nothing").status_code == 404


@pytest.mark.parametrize("value", ["bytes=,", "bytes=a-b", "bytes=5-1", "lines=1-2", "bytes=99999999-"])
def test_a_range_that_a_file_has_not_is_refused_in_a_sentence(
    open_service: tuple[TestClient, Settings], value: str
) -> None:
    client, _ = open_service
    for path in (send(client)["thumbnails"][0], "/static/style.css"):
        answer = client.get(path, headers={"Range": value})
        assert "bytes=FIRST-LAST" in refused(answer, 400, 416)
        assert "content-security-policy" in answer.headers
        assert client.get(path, headers={"Range": "bytes=0-3"}).content == client.get(path).content[:4]


def test_head_of_a_stream_does_not_wait_for_its_end(open_service: tuple[TestClient, Settings]) -> None:
    client, _ = open_service
    job = client.post("/v1/searches", json={"dataset": send(client)["id"]}).json()
    begin = time.monotonic()
    answer = client.head(job["events"])  # the job waits, and no worker takes it
    assert (answer.status_code, answer.content) == (200, b"") and time.monotonic() - begin < 5
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert client.head("/v1/jobs/" + "0" * 32 + "/events").status_code == 404
    client.delete(f"/v1/jobs/{job['id']}")


def test_cells_for_a_device_are_asked_without_a_recipe_that_nobody_chose(
    client: TestClient, answers: list[dict[str, Any]]
) -> None:
    key = send(client)["id"]
    page = client.get(f"/datasets/{key}?device=raspi4&recipe=").text
    (address,) = set(re.findall(r'/datasets/\w+/cells\?[^"]*', page))
    assert client.get(html.unescape(address)).status_code == 200
    assert (answers[-1]["options"]["recipe"], answers[-1]["options"]["device"]) == (None, "raspi4")
    client.get(f"/datasets/{key}/cells?recipe=shallow")
    assert (answers[-1]["options"]["recipe"], answers[-1]["options"]["device"]) == ("shallow", None)
