"""Tokens: without a valid one nothing is told, and other machines are not let in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from service_world import pictures, refused, send, settings_in, zipped
from starlette.testclient import TestClient
from test_service_abuse import (
    NOBODY,
)

from databases.errors import UserError
from metad2a.service import tokens
from metad2a.service.serving import check_binding
from metad2a.service.settings import Settings
from metad2a.service.tables import open_database


@pytest.fixture(name="guarded")
def guarded_fixture(client: TestClient, settings: Settings) -> tuple[TestClient, str]:
    """A service that wants a token, and the token."""
    return client, tokens.create(open_database(settings.database), "ada")


WRONG = ("", "Bearer", "Bearer x", "Basic YWRtaW46cGFzc3dvcmQ=", "Bearer md2a_" + "0" * 12 + "_" + "0" * 64)


@pytest.mark.parametrize("header", WRONG)
def test_without_a_valid_token_nothing_is_told(guarded: tuple[TestClient, str], header: str) -> None:
    client, _ = guarded
    headers = {"Authorization": header} if header else {}
    for path in ("/v1/datasets", "/v1/jobs", "/v1/records", "/v1/models", "/metrics"):
        refused(client.get(path, headers=headers), 401)
    assert client.get("/healthz").status_code == 200


def test_tokens_are_kept_as_digests_and_can_be_revoked(guarded: tuple[TestClient, str], settings: Settings) -> None:
    client, token = guarded
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/v1/datasets", headers=headers).status_code == 200
    almost = token[:-1] + ("0" if token[-1] != "0" else "1")
    refused(client.get("/v1/datasets", headers={"Authorization": f"Bearer {almost}"}), 401)
    database = open_database(settings.database)
    secret = token.rpartition("_")[2].encode()
    for file in Path(settings.database).parent.glob("database.db*"):
        assert secret not in file.read_bytes()
    tokens.revoke(database, tokens.tokens(database)[0].id)
    tokens.create(database, "another")
    refused(client.get("/v1/datasets", headers=headers), 401)


def test_signing_in_gives_a_cookie_that_no_script_and_no_other_site_gets(guarded: tuple[TestClient, str]) -> None:
    client, token = guarded
    assert client.get("/", follow_redirects=False).headers["location"] == "/sign-in"
    assert client.post("/sign-in", data={"token": "md2a_wrong"}).status_code == 401
    answer = client.post("/sign-in", data={"token": token}, follow_redirects=False)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert client.get("/").status_code == 200
    refused(client.post("/v1/searches", json={"dataset": NOBODY}, headers={"Origin": "http://evil.example"}), 403)


def test_every_answer_has_the_security_headers_and_no_foreign_origin_is_welcome(
    open_service: tuple[TestClient, Settings],
) -> None:
    client, _ = open_service
    for path in ("/", "/v1/datasets", "/nothing", "/static/app.js", "/healthz"):
        headers = client.get(path, headers={"Origin": "http://evil.example"}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers and "server" not in headers


def test_names_from_strangers_are_shown_as_text(client: TestClient) -> None:
    files = {name.replace("class0", "<script>alert(1)<"): data for name, data in pictures().items()}
    told = send(client, zipped(files), params={"name": "../<b>leaves</b>.zip"})
    assert told["name"] == "b.zip".removesuffix(".zip") or "<" not in told["name"]
    shown = client.get(f"/datasets/{told['id']}").text
    assert "<script>alert" not in shown and "&lt;script&gt;" in shown


def test_other_machines_are_let_in_only_where_there_is_a_token(tmp_path: Path) -> None:
    open_to_all = settings_in(tmp_path, host="0.0.0.0")
    with pytest.raises(UserError, match="metad2a token create"):
        check_binding(open_to_all)
    tokens.create(open_database(open_to_all.database), "ada")
    check_binding(open_to_all)
    assert os.path.exists(open_to_all.database)


def test_no_log_and_no_address_holds_a_token(
    guarded: tuple[TestClient, str], caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    client, token = guarded
    caplog.set_level("DEBUG")
    secret = token.rpartition("_")[2]
    shown = [
        client.get("/v1/datasets", headers={"Authorization": f"Bearer {token}"}),
        client.get("/v1/datasets", headers={"Authorization": f"Bearer {token}x"}),
        client.get(f"/v1/datasets?token={token}"),  # is no way in
        client.post("/sign-in", data={"token": token}, follow_redirects=False),
        client.get("/metrics", headers={"Authorization": f"Bearer {token}"}),
    ]
    assert [each.status_code for each in shown] == [200, 401, 401, 303, 200]
    ours = "\n".join(each.getMessage() for each in caplog.records if not each.name.startswith("httpx"))
    assert secret not in ours
    assert not any(secret in each.text + each.headers.get("location", "") for each in shown)
