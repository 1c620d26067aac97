"""What people and programs send without meaning harm: odd names, HEAD, ranges, second thoughts."""

from __future__ import annotations

import numpy as np
import pytest
from service_world import (
    answers_fixture,  # noqa: F401
    open_service_fixture,  # noqa: F401
    png,
    refused,
    send,
    zipped,
)
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
