"""Schemathesis over the whole schema: no 5xx, and no answer that the schema does not know."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from service_world import send
from starlette.testclient import TestClient

from metad2a.service.settings import Settings

pytestmark = pytest.mark.slow
LEFT_OUT = ["/v1/jobs/{id}/events", "/readyz"]  # a stream; and 503 is what it says without a worker


@pytest.fixture(name="schema", scope="module")
def schema_fixture(open_service: tuple[TestClient, Settings]) -> Any:
    import schemathesis

    client, _ = open_service
    send(client)
    found: Any = schemathesis.openapi.from_asgi("/v1/openapi.json", client.app, headers={"host": "localhost:8000"})
    return found.exclude(path=LEFT_OUT)


def test_no_generated_request_breaks_the_service(schema: Any, open_service: tuple[TestClient, Settings]) -> None:
    from hypothesis import HealthCheck, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                case.call_and_validate(checks=checks, headers={"host": "localhost:8000"})

        ask()
        count += 1
    assert count >= 20
    assert open_service[0].get("/healthz").status_code == 200
