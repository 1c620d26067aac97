"""The forms of a dataset's page: limits and times as people type them."""

from __future__ import annotations

from typing import Any

import pytest
from service_world import refused, send
from starlette.testclient import TestClient

pytestmark = pytest.mark.usefixtures("read_here")


def test_what_fits_is_asked_within_the_limits_that_were_typed(
    client: TestClient, answers: list[dict[str, Any]]
) -> None:
    page = f"/datasets/{send(client)['id']}"
    typed = {"seconds": "10", "max_params": " 300k", "max_flops": "1.5M", "max_latency": "2.5"}
    assert client.get(f"{page}/recommendation", params=typed).status_code == 200
    asked = answers[-1]["options"]
    assert (asked["max_params"], asked["max_flops"], asked["max_latency"]) == (300_000, 1_500_000, 2.5)
    assert client.get(f"{page}/recommendation", params={"max_params": "", "max_latency": " "}).status_code == 200
    assert [answers[-1]["options"][name] for name in ("max_params", "max_flops", "max_latency")] == [None] * 3


def test_limits_stay_in_both_forms_and_in_the_address_of_what_fits(client: TestClient) -> None:
    page = f"/datasets/{send(client)['id']}"
    assert "<details open" not in client.get(page).text and client.get(page).text.count('class="limits">') == 3
    shown = client.get(page, params={"max_params": "300k", "max_latency": '2"><script>'}).text
    assert shown.count('name="max_params" value="300k"') == shown.count('class="limits" open>') == 2
    assert "/recommendation?max_params=300k&amp;max_latency=2%22%3E%3Cscript%3E" in shown and "<script>" not in shown


def test_limits_of_cells_are_asked_of_cells_alone(client: TestClient, answers: list[dict[str, Any]]) -> None:
    page = f"/datasets/{send(client)['id']}"
    typed = {"cells": "1", "device": "raspi4", "max_params": "300k", "max_latency": "15"}
    assert client.get(f"{page}/cells", params=typed).status_code == 200
    asked = answers[-1]["options"]
    assert (asked["space"], asked["max_params"], asked["max_latency"]) == ("nasbench201", 300_000, 15.0)
    assert client.get(f"{page}/recommendation", params=typed).status_code == 200
    assert answers[-1]["options"]["max_params"] is None
    assert client.get(f"{page}/cells", params={"max_params": "300k"}).status_code == 200
    assert answers[-1]["options"]["max_params"] is None, "those were of pipelines"
    shown = client.get(page, params=typed).text
    assert shown.count('name="max_params" value="300k"') == 1 and '<details class="more" open>' in shown
    assert "parameters at most 'few'" in refused(client.get(f"{page}/cells?cells=1&max_params=few"), 422)


def test_a_search_keeps_the_limits_that_were_typed(client: TestClient) -> None:
    page = f"/datasets/{send(client)['id']}/train"
    typed = {"minutes": "0.5", "max_params": "2M", "max_flops": "", "max_latency": "800us"}
    begun = client.post(page, data=typed, follow_redirects=False)
    options = client.get(f"/v1{begun.headers['location']}").json()["options"]
    assert (options["space"], options["seconds"]) == ("pipeline", 30.0)
    assert (options["max_params"], options["max_flops"], options["max_latency"]) == (2_000_000, None, 0.8)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"max_params": "few"}, "parameters at most 'few': give a number from 1, such as 250000, 300k or 1.5M"),
        ({"max_flops": "0"}, "FLOPs at most '0': give a number from 1"),
        ({"max_latency": "-3"}, "latency '-3ms': give a time above zero"),
        ({"max_params": "99999999999G"}, "max_params: Input should be less than or equal to"),
    ],
)
def test_a_limit_that_is_none_is_told_in_one_line_by_both(
    client: TestClient, answers: list[dict[str, Any]], typed: dict[str, str], told: str
) -> None:
    page = f"/datasets/{send(client)['id']}"
    assert told in refused(client.get(f"{page}/recommendation", params=typed), 422)
    assert told in refused(client.post(f"{page}/train", data={"minutes": "1", **typed}), 422)
    assert not answers and client.get("/v1/jobs").json()["items"] == []
    assert client.get(page, params=typed).status_code == 200, "the page itself shows what was typed, to be mended"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"count": "many"}, "give 1 to 1000 networks"),
        ({"minutes": "soon"}, "a time in minutes"),
        ({"count": "2000"}, "train: Input should be less than or equal to 1000"),
        ({"count": "2", "max_params": "1M"}, "max_params means nothing in the space nasbench201"),
    ],
)
def test_a_search_that_is_none_is_told_in_one_line(client: TestClient, typed: dict[str, str], told: str) -> None:
    detail = refused(client.post(f"/datasets/{send(client)['id']}/train", data=typed), 422)
    assert told in detail and "Value error" not in detail
