"""Hostile inputs: each is refused with one clear sentence, and the service still answers."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from service_world import pictures, png, refused, send, settings_in, zipped
from starlette.testclient import TestClient

from databases.errors import UserError
from metad2a.service import receiving
from metad2a.service.app import create_app
from metad2a.service.settings import Settings

NOBODY = "0" * 32


def with_member(name: str, data: bytes = b"x", mode: int = 0o644) -> bytes:
    """A sound zip with one more member."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for each, picture in pictures().items():
            archive.writestr(each, picture)
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, data)
    return content.getvalue()


def bomb() -> bytes:
    """A small zip of one class whose pictures unpack to more than is allowed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"set/class{number % 2}/{number}.png", bytes(2**20))
    return content.getvalue()


def patched(find: bytes, offset: int, value: bytes) -> bytes:
    """A sound zip with some bytes of its last record overwritten."""
    content = bytearray(zipped(pictures()))
    at = content.rfind(find) + offset
    content[at : at + len(value)] = value
    return bytes(content)


def picture_of(kind: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, kind)
    return content.getvalue()


def strange(picture: bytes) -> bytes:
    """A dataset whose pictures are all this file."""
    return zipped({f"set/class{number % 2}/{number}.png": picture for number in range(8)})


def object_array() -> bytes:
    content = io.BytesIO()
    np.savez(content, x=np.array([{"a": 1}] * 4, dtype=object), y=np.arange(4))
    return content.getvalue()


def huge_png() -> bytes:
    """A PNG that says it has 60,000 x 60,000 pixels."""
    made = bytearray(png(np.zeros((4, 4, 3), dtype=np.uint8)))
    made[16:24] = struct.pack(">II", 60_000, 60_000)
    import zlib

    made[29:33] = struct.pack(">I", zlib.crc32(bytes(made[12:29])))
    return bytes(made)


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"this is no archive",
    "cut in half": lambda: zipped(pictures())[: len(zipped(pictures())) // 2],
    "no members": lambda: zipped({}),
    "parent folder": lambda: with_member("../../etc/passwd"),
    "parent folder, backslashes": lambda: with_member("..\\..\\boot.ini"),
    "absolute path": lambda: with_member("/etc/passwd"),
    "drive": lambda: with_member("C:/boot.ini"),
    "link": lambda: with_member("set/class0/link.png", b"/etc/passwd", 0o120777),
    "unpacks past the limit": bomb,
    "more files than allowed": lambda: zipped({f"set/class{i % 2}/{i}.png": b"" for i in range(600)}),
    "end record lies about the count": lambda: patched(b"PK\x05\x06", 10, struct.pack("<H", 1)),
    "end record lies about the size": lambda: patched(b"PK\x05\x06", 12, struct.pack("<I", 2**31)),
    "index lies about packed sizes": lambda: patched(b"PK\x01\x02", 20, struct.pack("<I", 2**30)),
    "encrypted": lambda: patched(b"PK\x01\x02", 8, struct.pack("<H", 1)),
    "unknown packing": lambda: patched(b"PK\x01\x02", 10, struct.pack("<H", 99)),
    "one class": lambda: zipped(pictures(classes=1)),
    "no class folders": lambda: zipped({f"{i}.png": png(np.zeros((8, 8, 3), dtype=np.uint8)) for i in range(4)}),
    "broken pictures": lambda: strange(b"\x89PNG\r\n\x1a\nnothing"),
    "pictures of too many pixels": lambda: strange(huge_png()),
    "postscript": lambda: strange(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"),
    "photoshop with many channels": lambda: strange(b"8BPS\0\1" + bytes(6) + b"\xff\xff" + bytes(8) + b"\0\x08\0\3"),
    "tiff with many samples": lambda: strange(
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 277, 3, 1, 65_535) + bytes(4)
    ),
    "pickled objects": object_array,
    "script in a name": lambda: with_member("set/<script>alert(1)</script>/a.png"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_hostile_archives_are_refused_in_a_sentence(open_service: tuple[TestClient, Settings], kind: str) -> None:
    client, settings = open_service
    answer = client.post("/v1/datasets", files={"file": ("leaves.zip", ARCHIVES[kind]())})
    detail = refused(answer, 413, 422)
    assert str(settings.folder) not in detail, "no path of the server is told"
    assert not list(settings.uploads.iterdir()), "nothing is left of it"
    assert client.get("/healthz").status_code == 200


def test_a_zip_of_very_many_empty_files_is_refused_at_once(tmp_path: Path) -> None:
    path, count = tmp_path / "many.zip", 300_000
    entry = struct.pack("<4s4HH4I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)[:46] + b"a"
    for told in (65_535, 1):  # an honest end record, and one that lies
        index = entry * count
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, told, told, len(index), 0, 0)
        path.write_bytes(index + end)
        begun = time.process_time()
        with pytest.raises(UserError, match="allowed are 1,000"):
            receiving.check_index(path, max_files=1_000)
        assert time.process_time() - begun < 0.1


HOSTS = {"Host": "evil.example"}, {"Host": "localhost.evil.example:8000"}, {"Host": ""}


@pytest.mark.parametrize("headers", HOSTS)
def test_other_host_names_are_refused_on_loopback(
    open_service: tuple[TestClient, Settings], headers: dict[str, str]
) -> None:
    client, _ = open_service
    refused(client.get("/v1/datasets", headers=headers), 421)


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_other_sites_pages_cannot_change_anything(
    open_service: tuple[TestClient, Settings], headers: dict[str, str]
) -> None:
    client, _ = open_service
    refused(client.post("/v1/searches", json={"dataset": NOBODY}, headers=headers), 403)
    refused(client.delete(f"/v1/datasets/{NOBODY}", headers=headers), 403)


PATHS = (
    "/v1/datasets/..%2f..%2fetc%2fpasswd",
    "/v1/datasets/%252e%252e%252fetc",
    "/v1/datasets/file:%2f%2f%2fetc%2fpasswd",
    "/v1/datasets/..%5c..%5cboot.ini",
    f"/v1/datasets/{NOBODY}%00",
    f"/v1/datasets/{NOBODY}%23/thumbnails/0.png",
    f"/v1/datasets/{NOBODY}%3f/thumbnails/0.png",
    f"/v1/datasets/{NOBODY}/thumbnails/..%2f0.png",
    f"/v1/datasets/{NOBODY}/thumbnails/-1.png",
    f"/v1/datasets/{NOBODY.upper()}A",
    f"/v1/models/{NOBODY}/download?format=../../etc/passwd",
    "/v1/architectures/..%2f..%2fetc.svg",
    f"/v1/architectures/{'A' * 5000}.svg",
    "/v1/architectures/bmFzYmVuY2gyMDEg.svg",
    "/static/..%2fapp.py",
    "/static/%2e%2e/app.py",
    "/v1/records?cursor=AAAA",
    "/v1/records?cursor=W1tbW1tb",
    "/v1/records?task=%00",
    "/v1/records?limit=1000000",
    "/v1/jobs?state=none",
    f"/v1/jobs?dataset={NOBODY}'",
)


@pytest.mark.parametrize("path", PATHS)
def test_hostile_addresses_are_refused(open_service: tuple[TestClient, Settings], path: str) -> None:
    client, _ = open_service
    refused(client.get(path), 404, 422)


BODIES: dict[str, bytes] = {
    "no json": b"{",
    "deep": b"[" * 50_000,
    "a number of many digits": b'{"dataset":' + b"9" * 10_000 + b"}",
    "not a number": b'{"dataset":"%s","max_latency":NaN}' % NOBODY.encode(),
    "infinite": b'{"dataset":"%s","max_latency":1e999}' % NOBODY.encode(),
    "wrong type": b'"text"',
    "surrogate": b'{"dataset":"\\ud800"}',
    "no unicode": b'{"dataset":"\xff\xfe"}',
    "unknown field": b'{"dataset":"%s","__class__":1}' % NOBODY.encode(),
    "twice the limit": b'{"dataset":"' + b"a" * 600_000 + b'"}',
}


@pytest.mark.parametrize("kind", BODIES)
def test_hostile_json_is_refused(open_service: tuple[TestClient, Settings], kind: str) -> None:
    client, _ = open_service
    headers = {"content-type": "application/json"}
    refused(client.post("/v1/recommendations", content=BODIES[kind], headers=headers), 400, 413, 422)


def test_large_json_is_refused_whether_it_says_so_or_not(open_service: tuple[TestClient, Settings]) -> None:
    client, settings = open_service
    body, headers = b" " * (settings.limits.json_bytes + 1), {"content-type": "application/json"}
    for path in ("/v1/recommendations", "/v1/searches"):
        assert str(settings.limits.json_bytes)[:3] in refused(client.post(path, content=body, headers=headers), 413)
        refused(client.post(path, content=iter([body]), headers=headers), 413)
    refused(client.post("/sign-in", data={"token": body.decode()}), 413)


FORMS: dict[str, tuple[str, bytes]] = {
    "no boundary": ("multipart/form-data", b"--x\r\n\r\n--x--\r\n"),
    "junk around the boundary": ("multipart/form-data; boundary=x", b"junk" * 1000 + b"--y\r\n"),
    "never ends": ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc'),
    "many parts": (
        "multipart/form-data; boundary=x",
        b"".join(b'--x\r\nContent-Disposition: form-data; name="%d"\r\n\r\na\r\n' % i for i in range(5000))
        + b"--x--\r\n",
    ),
    "many headers": ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 50_000 + b"\r\nabc\r\n--x--\r\n"),
    "one huge header": (
        "multipart/form-data; boundary=x",
        b"--x\r\nA: " + b"b" * 300_000 + b"\r\n\r\nabc\r\n--x--\r\n",
    ),
    "type that backtracks": ("multipart/form-data; " + 'a="\\' * 5000, b""),
    "no file": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc\r\n--x--\r\n',
    ),
    "another type": ("text/plain", b"abc"),
}


@pytest.mark.parametrize("kind", FORMS)
def test_hostile_forms_are_refused_quickly(open_service: tuple[TestClient, Settings], kind: str) -> None:
    client, _ = open_service
    told, body = FORMS[kind]
    begun = time.process_time()
    refused(client.post("/v1/datasets", content=body, headers={"content-type": told}), 400, 413, 415, 422, 431)
    assert time.process_time() - begun < 2


def test_a_large_upload_is_refused_whether_it_says_so_or_not(open_service: tuple[TestClient, Settings]) -> None:
    client, _ = open_service
    headers = {"content-type": "application/zip"}
    refused(client.post("/v1/datasets", content=bytes(2**21), headers=headers), 413)

    def slowly() -> object:
        for _ in range(30):
            yield bytes(2**16)

    refused(client.post("/v1/datasets", content=slowly(), headers=headers), 413)  # type: ignore[arg-type]


def test_ranges_beyond_a_file_and_large_headers_do_no_harm(client: TestClient) -> None:
    picture = send(client)["thumbnails"][0]
    told = {"bytes=0-" + ",0-" * 1000: 200, "bytes=99999999-": 416, "bytes=-": 400, "lines=1-2": 400, "bytes=5-1": 400}
    assert {value: client.get(picture, headers={"Range": value}).status_code for value in told} == told
    refused(client.get("/v1/datasets", headers={"X-Filler": "a" * 40_000}), 431)


def test_a_link_inside_the_store_leads_nowhere(client: TestClient, settings: Settings) -> None:
    told = send(client)
    place = settings.datasets / told["id"] / "thumbnails" / "9999.png"
    place.symlink_to("/etc/hostname")
    refused(client.get(f"/v1/datasets/{told['id']}/thumbnails/9999.png"), 404)


def test_too_many_uploads_of_one_client_must_wait(tmp_path: Path, answers: object) -> None:
    made = settings_in(tmp_path)
    from dataclasses import replace

    made = replace(made, limits=replace(made.limits, uploads_a_minute=2))
    with TestClient(create_app(made), base_url="http://localhost") as client:
        found = [
            client.post("/v1/datasets", content=b"x", headers={"content-type": "application/zip"}) for _ in range(3)
        ]
    assert [each.status_code for each in found] == [422, 422, 429]
    assert int(found[2].headers["retry-after"]) > 0
