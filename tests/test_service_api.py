"""The service's API, asked in this process."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest
from service_world import pictures, png, refused, send, zipped
from starlette.testclient import TestClient

from databases.datasets.task import Task
from databases.errors import UserError
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a.service import answering, jobs, library
from metad2a.service.settings import Settings
from metad2a.service.state import Service

pytestmark = pytest.mark.usefixtures("read_here")
NOBODY = "0" * 32


def service(client: TestClient) -> Service:
    return client.app.state.service  # type: ignore[attr-defined, no-any-return]


def test_a_dataset_is_understood_and_named_by_its_content(client: TestClient) -> None:
    told = send(client)
    assert (told["name"], told["images"], told["channels"]) == ("leaves", 24, 3)
    assert [each["name"] for each in told["classes"]] == ["class0", "class1", "class2"]
    assert sum(each["train"] + each["validation"] + each["test"] for each in told["classes"]) == 24
    picture = client.get(told["thumbnails"][0])
    assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")

    again = client.post("/v1/datasets", files={"file": ("other.zip", zipped(pictures()))})
    assert again.status_code == 200 and again.json()["id"] == told["id"], "the same content is the same dataset"
    assert send(client, zipped(pictures(seed=1)))["id"] != told["id"]
    assert len(client.get("/v1/datasets").json()["items"]) == 2


def test_the_whole_body_may_be_the_archive_and_npz_is_one_too(client: TestClient) -> None:
    content = io.BytesIO()
    np.savez(content, x=np.zeros((8, 8, 8), dtype=np.uint8), y=np.arange(8) % 2)
    answer = client.post(
        "/v1/datasets?name=dark", content=content.getvalue(), headers={"content-type": "application/zip"}
    )
    assert answer.status_code == 201 and answer.json()["name"] == "dark"
    assert "all images are the same" in " ".join(answer.json()["warnings"])


def test_an_upload_tells_what_belongs_together(client: TestClient, answers: list[dict[str, Any]]) -> None:
    ways = [f"{name}/{place}" for name in ("cat", "dog") for place in ("indoor", "outdoor")]
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 9, 9), dtype=np.uint8)
    content = zipped({f"{way}/{at}.png": png(noise[of, at]) for of, way in enumerate(ways) for at in range(6)})
    refusal = refused(client.post("/v1/datasets", files={"file": ("pets.zip", content)}), 422, 400)
    assert "give groups=folder if 'cat', 'dog' are the classes" in refusal
    assert "folder" in refused(client.post("/v1/datasets?groups=folders", files={"file": ("x.zip", content)}), 422)
    told, other = (send(client, content, params={"groups": each}) for each in ("folder", "none"))
    assert [each["name"] for each in told["classes"]] == ["cat", "dog"] and told["groups"] == "folder"
    assert told["id"] != other["id"] and send(client)["groups"] == "auto"
    assert client.get(f"/v1/datasets/{told['id']}").json() == told
    client.post("/v1/recommendations", json={"dataset": told["id"]})
    assert answers[-1]["groups"] == "folder"
    task = library.load_data(answers[-1]["path"], "pets", groups="folder")
    assert task.groups is not None and task.class_names == ("cat", "dog")


def test_pages_of_datasets_follow_each_other(client: TestClient) -> None:
    sent = {send(client, zipped(pictures(seed=seed)))["id"] for seed in range(3)}
    first = client.get("/v1/datasets?limit=2").json()
    second = client.get("/v1/datasets", params={"limit": 2, "cursor": first["next"]}).json()
    assert {each["id"] for each in (*first["items"], *second["items"])} == sent
    assert second["next"] is None


def test_a_dataset_goes_when_it_is_deleted_but_not_under_a_job(client: TestClient) -> None:
    key = send(client)["id"]
    job = client.post("/v1/searches", json={"dataset": key}).json()
    assert "job" in refused(client.delete(f"/v1/datasets/{key}"), 409)
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 200
    assert client.delete(f"/v1/datasets/{key}").status_code == 204
    refused(client.get(f"/v1/datasets/{key}"), 404)
    refused(client.get(f"/v1/datasets/{key}/thumbnails/0.png"), 404)


def test_the_same_question_is_computed_once(client: TestClient, answers: list[dict[str, Any]]) -> None:
    key = send(client)["id"]
    told = [client.post("/v1/recommendations", json={"dataset": key, "top": 3}).json() for _ in range(3)]
    assert told[0] == told[2] and told[0]["choices"][0]["latency_ms"] == 4.0 and len(answers) == 1
    client.post("/v1/recommendations", json={"dataset": key, "top": 2})
    assert len(answers) == 2


def test_a_recommendation_learns_from_the_services_own_store(
    client: TestClient, settings: Settings, answers: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is computed anew once a search has measured more."""
    seen: list[list[str]] = []

    def recommended(task: Task, *, store: Store, **more: Any) -> None:
        seen.append([each.architecture for each in store.records(space="pipeline")])
        raise UserError("that is all")

    monkeypatch.setattr("metad2a.recommend.pipelines.recommend_pipelines", recommended)
    monkeypatch.setattr("metad2a.recommend.pipelines.look_at", lambda *given, **named: None)
    question = {"dataset": send(client)["id"]}
    for count, pipeline in enumerate(("own 32px probe", "own 48px probe"), start=1):
        with Store(settings.database) as store:
            store.add([Record("other", "pipeline", pipeline, "probe", 0, "user", valid_accuracy=50.0)])
        for _ in range(2):
            client.post("/v1/recommendations", json=question)
        assert len(answers) == count
        with pytest.raises(UserError, match="that is all"):
            answering.recommend(**answers[-1])
    assert seen == [["own 32px probe"], ["own 32px probe", "own 48px probe"]]


def test_a_recommendation_is_of_pipelines_unless_cells_are_meant(
    client: TestClient, answers: list[dict[str, Any]]
) -> None:
    key = send(client)["id"]

    def ask(**options: Any) -> tuple[str, dict[str, Any]]:
        answer = client.post("/v1/recommendations", json={"dataset": key, **options})
        assert answer.status_code == 200, answer.text
        return answer.json()["space"], answers[-1]["options"]

    space, options = ask(seconds=10, max_latency=5)
    assert (space, options["seconds"], options["max_latency"]) == ("pipeline", 10.0, 5.0) and "recipe" not in options
    assert ask()[1]["seconds"] == 60.0
    assert ask(space="nasbench201")[0] == ask(recipe="tiny")[0] == ask(device="raspi4")[0] == "nasbench201"
    assert "seconds" not in answers[-1]["options"]
    for wrong, word in (
        ({"space": "pipeline", "device": "raspi4"}, "device means nothing in the space pipeline"),
        ({"space": "nasbench201", "seconds": 5}, "seconds means nothing in the space nasbench201"),
        ({"space": "enas-micro"}, "nasbench201"),
    ):
        assert word in refused(client.post("/v1/recommendations", json={"dataset": key, **wrong}), 422)


def test_the_page_of_a_recommendation_has_front_intervals_knee_and_what_is_as_good(client: TestClient) -> None:
    shown = client.get(f"/datasets/{send(client)['id']}/recommendation").text
    assert shown.count('class="interval"') == shown.count('class="ranked"><title>') == 3
    assert shown.index('id="rank-1"') < shown.index("hog 64px</span>") < shown.index('id="rank-2"'), "the fastest first"
    for words in (">best<", ">knee<", "as good, faster", "takes 62% less time", "80% interval 72 to 87 percent"):
        assert words in shown, words


def test_an_architecture_is_drawn_by_its_key(client: TestClient) -> None:
    key = send(client)["id"]
    asked = {"dataset": key, "space": "nasbench201"}
    candidate = client.post("/v1/recommendations", json=asked).json()["candidates"][0]
    drawn = client.get(f"/v1/architectures/{candidate['key']}.svg")
    assert drawn.headers["content-type"] == "image/svg+xml" and drawn.text.startswith("<svg")
    refused(client.get("/v1/architectures/AAAA.svg"), 404)


def test_a_job_waits_in_the_queue_and_is_cancelled(client: TestClient) -> None:
    key = send(client)["id"]
    answer = client.post("/v1/searches", json={"dataset": key, "train": 2, "seconds": 60})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}" and job["state"] == "queued"
    assert client.get("/v1/jobs?state=queued").json()["items"][0]["id"] == job["id"]
    assert client.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    assert "ended" in refused(client.delete(f"/v1/jobs/{job['id']}"), 409)
    refused(client.delete(f"/v1/jobs/{NOBODY}"), 404)


def test_an_idempotency_key_gives_the_same_job_and_no_other_request(client: TestClient) -> None:
    key = send(client)["id"]
    headers = {"Idempotency-Key": "monday"}
    first = client.post("/v1/searches", json={"dataset": key}, headers=headers).json()
    assert client.post("/v1/searches", json={"dataset": key}, headers=headers).json()["id"] == first["id"]
    assert client.post("/v1/searches", json={"dataset": key}).json()["id"] != first["id"]
    for other in ({"train": 5}, {"priority": "high"}, {"seed": 1}):
        refused(client.post("/v1/searches", json={"dataset": key, **other}, headers=headers), 422)
    refused(client.post("/v1/retrainings", json={}, headers=headers), 422)
    assert len(client.get("/v1/jobs").json()["items"]) == 2


@pytest.mark.parametrize("wrong", [{"recipe": "no"}, {"searcher": "no"}, {"train": 0}, {"seconds": -1}, {"extra": 1}])
def test_what_no_job_could_do_is_refused_before_it_waits(client: TestClient, wrong: dict[str, Any]) -> None:
    refused(client.post("/v1/searches", json={"dataset": send(client)["id"], **wrong}), 422)
    assert client.get("/v1/jobs").json()["items"] == []


@pytest.mark.parametrize("wrong", [{"seconds": True}, {"seed": False}, {"train": "5"}, {"stop_early": 1}])
def test_a_value_of_another_type_is_no_number(client: TestClient, wrong: dict[str, Any]) -> None:
    key = send(client)["id"]
    assert f"/{next(iter(wrong))}" in refused(client.post("/v1/searches", json={"dataset": key, **wrong}), 422)
    for name in ("top", "max_params", "max_latency"):
        refused(client.post("/v1/recommendations", json={"dataset": key, name: True}), 422)
    for name in ("max_params", "max_flops", "max_latency"):
        refused(client.post("/v1/searches", json={"dataset": key, name: True}), 422)
        cells = {"dataset": key, "space": "nasbench201", name: 5}
        assert "means nothing in the space nasbench201" in refused(client.post("/v1/searches", json=cells), 422)
    right = client.post("/v1/recommendations", json={"dataset": key, "top": 5.0, "seconds": 30})
    assert right.status_code == 200, "5.0 is 5 in JSON"


def test_events_go_on_after_the_last_one_seen(client: TestClient) -> None:
    job = client.post("/v1/searches", json={"dataset": send(client)["id"]}).json()
    database = service(client).database
    for number in range(3):
        jobs.tell(database, job["id"], "epoch", {"number": number})
    client.delete(f"/v1/jobs/{job['id']}")
    told = client.get(job["events"]).text
    seen = [line.removeprefix("id: ") for line in told.splitlines() if line.startswith("id: ")]
    assert told.count("event: epoch") == 3 and '"state":"cancelled"' in told.replace(" ", "")
    rest = client.get(job["events"], headers={"Last-Event-ID": seen[1]}).text
    assert rest.count("event: epoch") == 1 and '"number":2' in rest.replace(" ", "")


def test_records_are_filtered_paged_and_written_as_csv(client: TestClient, settings: Settings) -> None:
    cells = [f"cell{number}" for number in range(5)]
    with Store(settings.database) as store:
        store.add_task(TaskEntry("leaves", "leaves"))
        store.add(Record("leaves", "toy", cell, "tiny", 0, "user", valid_accuracy=50.0) for cell in cells)
        store.add([Record("leaves", "toy", "=cell", "other", 0, "user")])
    first = client.get("/v1/records?recipe=tiny&limit=3").json()
    second = client.get("/v1/records", params={"recipe": "tiny", "limit": 3, "cursor": first["next"]}).json()
    assert [each["architecture"] for each in (*first["items"], *second["items"])] == cells
    rows = list(csv.DictReader(io.StringIO(client.get("/v1/records?format=csv").text)))
    assert len(rows) == 6 and rows[0]["architecture"] == "'=cell", "a spreadsheet would run it"


def test_the_schema_has_an_example_and_a_problem_for_every_address(client: TestClient) -> None:
    schema = client.get("/v1/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1"):
                problem = operation["responses"]["422"]["content"]["application/problem+json"]
                assert problem["schema"]["$ref"].endswith("ProblemOut"), (method, path)
    assert schema["components"]["schemas"]["SearchIn"]["examples"]


PAGES = (
    "/",
    "/datasets/{id}",
    "/datasets/{id}/recommendation",
    "/datasets/{id}/cells?recipe=tiny",
    "/jobs",
    "/jobs/{job}",
    "/models",
    "/records",
    "/sign-in",
)


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_shown_without_the_script(client: TestClient, page: str) -> None:
    key = send(client)["id"]
    job = client.post("/v1/searches", json={"dataset": key}).json()["id"]
    shown = client.get(page.format(id=key, job=job))
    assert shown.status_code == 200 and shown.text.startswith("<!doctype html>")
    assert "style=" not in shown.text and "onclick" not in shown.text, "the policy for content forbids both"


def test_forms_work_without_the_script(client: TestClient) -> None:
    sent = client.post("/upload", files={"file": ("leaves.zip", zipped(pictures()))}, follow_redirects=False)
    assert sent.status_code == 303
    begun = client.post(
        f"{sent.headers['location']}/train", data={"count": "2", "minutes": "1.5"}, follow_redirects=False
    )
    job = client.get(f"/v1{begun.headers['location']}").json()
    assert (job["options"]["train"], job["options"]["seconds"]) == (2, 90.0)
    assert client.post(f"{begun.headers['location']}/cancel").status_code == 200
    missing = client.get(f"/datasets/{NOBODY}", headers={"accept": "text/html"})
    assert missing.status_code == 404 and "Not found" in missing.text


def test_a_search_is_of_pipelines_unless_networks_are_meant(client: TestClient) -> None:
    key = send(client)["id"]

    def told(**options: Any) -> dict[str, Any]:
        answer = client.post("/v1/searches", json={"dataset": key, **options})
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()["options"]
        return found

    usual = told()
    assert (usual["space"], usual["seconds"], usual["recipe"]) == ("pipeline", 60.0, "pipeline")
    assert told(seconds=5, augment="flip")["augment"] == "flip"
    assert told(train=2, augment="shift")["augment"] == "shift", "in every space"
    assert told(train=2)["space"] == "nasbench201" and told(train=2)["seconds"] is None
    assert told(space="enas-micro", train=1, searcher="random")["space"] == "enas-micro"
    for wrong, word in (
        ({"space": "pipeline", "train": 2}, "train means nothing in the space pipeline"),
        ({"train": 2, "prefer": "latency"}, "prefer means nothing in the space nasbench201"),
        ({"space": "elsewhere"}, "elsewhere"),
    ):
        answer = client.post("/v1/searches", json={"dataset": key, **wrong})
        assert refused(answer, 400, 422) and word in answer.text
