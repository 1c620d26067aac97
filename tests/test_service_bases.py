"""Pretrained networks of the team's own in the service: chosen by name, never by a path, and nothing but weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pipeline_world import stripes
from safetensors.torch import save_file
from service_world import refused, send
from starlette.testclient import TestClient

from databases.architectures.networks.foreign import timm_package
from databases.architectures.supernets.families import RESIDUAL
from databases.errors import UserError
from databases.records.store import Store
from metad2a.recommend.pipelines import Seen
from metad2a.runtime.tracking import NullTracker
from metad2a.service import answering, bases, library, pipelines
from metad2a.service.settings import Settings
from metad2a.supernets.weights import write_weights

pytestmark = pytest.mark.usefixtures("read_here")


def pretrained(path: Path) -> None:
    """A file as ``metad2a pretrain`` writes it."""
    stages = RESIDUAL.slice(depth=1, expansion=0.5)
    card = {"family": "residual", "stages": stages, "classes": ["a", "b"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    network = RESIDUAL.blueprint(stages, 3, 2).build()
    write_weights(path, network, {**card, "mean": [127.0] * 3, "scale": [60.0] * 3})


@pytest.fixture(name="folder")
def folder_fixture(settings: Settings) -> Path:
    """The service's folder of networks, with one that can be opened and one that cannot."""
    pretrained(settings.bases / "mine.safetensors")
    (settings.bases / "broken.safetensors").write_bytes(b"no weights")
    return settings.bases


def test_networks_are_listed_by_name_and_what_is_none_is_not(client: TestClient, folder: Path) -> None:
    (folder / "within.safetensors").mkdir()
    for name in ("code.pth", ".hidden.safetensors", "a b.safetensors", "..safetensors"):
        (folder / name).write_bytes(b"")
    assert client.get("/v1/bases").json() == {"items": ["broken", "mine"]}


@pytest.mark.parametrize("name", ["../mine", "/etc/passwd", "timm:resnet18", "mine@/etc/passwd", "..", "other", ""])
def test_neither_a_path_nor_a_download_can_be_asked_for(client: TestClient, folder: Path, name: str) -> None:
    (folder.parent / "mine.safetensors").write_bytes((folder / "mine.safetensors").read_bytes())
    key = send(client)["id"]
    for address in ("searches", "recommendations"):
        refused(client.post(f"/v1/{address}", json={"dataset": key, "also": name}), 422)
    assert client.get("/v1/jobs").json()["items"] == []


def test_a_network_that_is_not_there_is_told_with_those_that_are(client: TestClient, folder: Path) -> None:
    key = send(client)["id"]
    told = refused(client.post("/v1/searches", json={"dataset": key, "also": "mime"}), 422)
    assert told == "unknown network 'mime': did you mean mine? choose one of broken, mine"
    for address in ("searches", "recommendations"):
        cells = {"dataset": key, "space": "nasbench201", "also": "mine"}
        assert "also means nothing" in refused(client.post(f"/v1/{address}", json=cells), 422)
    for each in folder.iterdir():
        each.unlink()
    assert "no networks of its own" in refused(client.post("/v1/searches", json={"dataset": key, "also": "mine"}), 422)


def test_the_forms_offer_them_and_hand_them_on(client: TestClient, folder: Path, answers: list[dict[str, Any]]) -> None:
    page = f"/datasets/{send(client)['id']}"
    shown = client.get(page, params={"also": "mine"}).text
    assert shown.count("<option selected>mine</option>") == 2 and "?also=mine" in shown
    assert client.get(f"{page}/recommendation", params={"also": "mine"}).status_code == 200
    assert answers[-1]["options"]["also"] == "mine" and answers[-1]["bases"] == str(folder)
    begun = client.post(f"{page}/train", data={"minutes": "1", "also": "mine"}, follow_redirects=False)
    assert client.get(f"/v1{begun.headers['location']}").json()["options"]["also"] == "mine"
    for each in folder.iterdir():
        each.unlink()
    assert 'name="also"' not in client.get(page).text


def test_a_recommendation_is_made_anew_once_the_file_is_another(
    client: TestClient, folder: Path, answers: list[dict[str, Any]]
) -> None:
    question = {"dataset": send(client)["id"], "also": "broken"}
    for content in (b"no weights", b"no weights", b"other weights"):
        (folder / "broken.safetensors").write_bytes(content) if content != b"no weights" else None
        assert client.post("/v1/recommendations", json=question).status_code == 200
    assert len(answers) == 2


def test_probes_and_searches_are_given_the_network_by_its_name(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def keep(*values: Any, also: Any, **named: Any) -> Any:
        given.append(also.name)
        raise UserError("that is all")

    monkeypatch.setattr("metad2a.recommend.pipelines.look_at", keep)
    monkeypatch.setattr("metad2a.search.pipelines.search.search_pipelines", keep)
    monkeypatch.setattr("metad2a.service.library.load_data", lambda *values, **named: stripes(30))
    options = {"seed": 0, "seconds": 5.0, "augment": "auto", "also": "mine"}
    with pytest.raises(UserError, match="that is all"):
        answering.recommend("a", "a", "shipped", {**options, "space": "pipeline"}, "sqlite://", str(folder))
    with Store("sqlite://") as store, pytest.raises(UserError, match="that is all"):
        place = library.Workplace(store, settings.runs / "job", folder, NullTracker(), 0.0)
        pipelines.search(stripes(30), options, place, lambda event, data: None)
    assert given == ["mine", "mine"]


def test_a_look_is_kept_by_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []

    def look(task: Any, **named: Any) -> Seen:
        looks.append(named["also"])
        return Seen(1, 1, ())

    monkeypatch.setattr("metad2a.recommend.pipelines.look_at", look)
    monkeypatch.setattr("metad2a.service.library.load_data", lambda *values, **named: stripes(30))
    monkeypatch.setattr("metad2a.service.pipelines.recommend", lambda *values, also, **named: {"also": also})
    for also in (None, "mine", "mine", None):
        options = {"seed": 7, "space": "pipeline", "also": also}
        answering.recommend("looks", "a", "shipped", options, "sqlite://", str(folder))
    assert [each and each.name for each in looks] == [None, "mine"]


def test_a_file_that_holds_no_weights_is_told_without_its_place(folder: Path) -> None:
    with pytest.raises(UserError, match=r"broken.safetensors cannot be read as weights") as told:
        bases.open_one(folder, "broken", channels=3)
    assert str(folder) not in str(told.value)
    save_file({}, folder / "no-such-network.safetensors")
    with pytest.raises(UserError) as told:
        bases.open_one(folder, "no-such-network", channels=3)
    assert str(folder) not in str(told.value)


@pytest.mark.skipif(find_spec("timm") is None, reason="the extra timm is not installed")
def test_weights_of_timm_are_known_by_the_networks_name(folder: Path) -> None:
    save_file(timm_package().create_model("test_resnet").state_dict(), folder / "test_resnet.safetensors")
    found = bases.open_one(folder, "test_resnet", channels=1)
    assert found is not None and found.name == "test_resnet" and len(found.mean) == 1
