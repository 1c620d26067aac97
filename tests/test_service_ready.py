"""What a service tells of its own health: alive, ready, its metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
from service_process import until
from service_world import asking, send, settings_in
from starlette.testclient import TestClient

from metad2a.service import state
from metad2a.service.helper import Broken, Helper

pytestmark = pytest.mark.usefixtures("read_here")


def test_health_readiness_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    ready = client.get("/readyz")
    assert ready.status_code == 503 and ready.json()["checks"]["database"] and not ready.json()["checks"]["worker"]
    client.post("/v1/searches", json={"dataset": send(client)["id"]})
    told = client.get("/metrics").text
    assert 'metad2a_jobs{state="queued"} 1.0' in told
    assert 'route="/v1/datasets",status="201"' in told
    assert "metad2a_request_seconds_bucket" in told


def test_a_model_that_could_not_be_loaded_is_not_ready_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def call(self: Helper, question: str, **arguments: object) -> bool:
        asked.append(question)
        if len(asked) == 1:
            raise Broken("no memory")
        return True

    monkeypatch.setattr(Helper, "call", call)
    monkeypatch.setattr(state, "_WARM_AGAIN", 0.5)
    with asking(settings_in(tmp_path)) as here:
        assert not here.get("/readyz").json()["checks"]["model"]
        until(lambda: bool(here.get("/readyz").json()["checks"]["model"]), what="a second try")
    assert asked == ["warm", "warm"]
