"""The API, part two: jobs and the networks that they find."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Header, Path, Query, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from databases.architectures.spaces.pipeline import holds_pipelines
from metad2a.service import bases, cursors, jobs, judging, library, receiving
from metad2a.service.api_data import Cursor, Id, Limit, needed, picture, problems
from metad2a.service.fields import HEX, PRIORITIES
from metad2a.service.helper import Broken
from metad2a.service.jobs import Job, Kind, State
from metad2a.service.problems import Problem, not_found
from metad2a.service.schemas import (
    JobIn,
    JobOut,
    Jobs,
    ModelOut,
    Models,
    PredictionOut,
    PredictionsOut,
    RetrainingIn,
    SearchIn,
    TrainingIn,
)
from metad2a.service.security import Caller, Provided
from metad2a.service.state import Service

router = APIRouter(prefix="/v1")
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, description="Given again, the same job answers."),
]
FILES = {"safetensors": "model.safetensors", "python": "model.py", "onnx": "model.onnx"}
_ACCEPTED = {**problems(404, 413), 202: {"description": "Accepted; Location is the job."}}
_LOOK = 0.4  # seconds between looks for new events


@router.post("/searches", status_code=202, responses=_ACCEPTED)
def search(asked: SearchIn, service: Provided, caller: Caller, response: Response, key: Key = None) -> JobOut:
    """Find, train and test the network that fits, in the seconds given or by so many trainings: a job."""
    check_asked(asked)
    return _accept(service, "search", asked, caller, key, response)


@router.post("/trainings", status_code=202, responses=_ACCEPTED)
def training(asked: TrainingIn, service: Provided, caller: Caller, response: Response, key: Key = None) -> JobOut:
    """Train one network: a job."""
    library.check_search(recipe=asked.recipe)
    asked.architecture = library.checked_architecture(asked.space, asked.architecture)
    return _accept(service, "training", asked, caller, key, response)


@router.post("/retrainings", status_code=202, responses=_ACCEPTED)
def retraining(asked: RetrainingIn, service: Provided, caller: Caller, response: Response, key: Key = None) -> JobOut:
    """Learn from all records and meet the champion: a job."""
    return _accept(service, "retraining", asked, caller, key, response)


def check_asked(asked: SearchIn) -> None:
    """Refuses what no search could do; raises UserError."""
    if asked.space is not None and not holds_pipelines(asked.space):
        library.check_search(recipe=asked.recipe, searcher=asked.searcher, space=asked.space)


def _accept(service: Service, kind: Kind, asked: JobIn, caller: str, key: str | None, response: Response) -> JobOut:
    job = accept(service, kind, asked, caller, key)
    response.headers["location"] = f"/v1/jobs/{job.id}"
    return JobOut.of(job)


def accept(service: Service, kind: Kind, asked: JobIn, caller: str, key: str | None = None) -> Job:
    """Puts a job into the queue; raises UserError where it asks for a network that is not there."""
    options = asked.model_dump(exclude={"dataset", "priority"})
    dataset: str | None = getattr(asked, "dataset", None)
    if dataset is not None:
        needed(service, dataset)
    bases.version(service.settings.bases, options.get("also"))
    priority = PRIORITIES[asked.priority]
    return service.queue.put(kind, dataset, options, priority=priority, key=key, owner=caller)[0]


@router.get("/jobs", responses=problems())
def list_jobs(
    service: Provided,
    caller: Caller,
    state: State | None = None,
    kind: Kind | None = None,
    dataset: Annotated[str | None, Query(pattern=HEX)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Jobs:
    """All jobs, the latest first."""
    found, following = page_of_jobs(service, limit, cursor, state=state, kind=kind, dataset=dataset)
    return Jobs(items=[JobOut.of(each) for each in found], next=following)


def page_of_jobs(service: Service, limit: int, cursor: str | None, **wanted: Any) -> tuple[list[Job], str | None]:
    """One page of jobs, and the cursor of the next one."""
    place = cursors.decode(cursor, (float, str))
    after = None if place is None else (place[0], place[1])
    found = jobs.listed(service.database, limit=limit + 1, after=after, **wanted)
    return cursors.page_of(found, limit, place=lambda each: [each.created, each.id])


@router.get("/jobs/{id}", responses=problems(404))
def get_job(id: Id, service: Provided, caller: Caller) -> JobOut:
    """A job: its state, and its result once it has ended."""
    return JobOut.of(needed_job(service, id))


@router.delete("/jobs/{id}", responses=problems(404, 409))
def cancel_job(id: Id, service: Provided, caller: Caller) -> JobOut:
    """Cancel a job; what runs is stopped within two seconds."""
    if not service.queue.cancel(id):
        raise Problem(409, f"this job has ended ({needed_job(service, id).state}): there is nothing to cancel")
    return JobOut.of(needed_job(service, id))


def needed_job(service: Service, key: str) -> Job:
    """The job of that id, or 404."""
    found = jobs.find(service.database, key)
    if found is None:
        raise not_found("job", key, "GET /v1/jobs")
    return found


async def _job_with_events(id: Id, service: Provided, caller: Caller) -> Job:
    return await run_in_threadpool(needed_job, service, id)


@router.get("/jobs/{id}/events", response_class=EventSourceResponse, responses=problems(404))
async def events(
    job: Annotated[Job, Depends(_job_with_events)],  # found before anything is sent
    service: Provided,
    last: Annotated[int, Header(alias="Last-Event-ID", ge=0, le=2**53)] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Progress as server-sent events, from `Last-Event-ID` on; the last one is `end`."""
    while True:
        now = await run_in_threadpool(jobs.find, service.database, job.id)
        found = await run_in_threadpool(jobs.progress, service.database, job.id, after=last)
        for each in found:
            last = each.seq
            yield ServerSentEvent(data=each.data, event=each.event, id=str(each.seq), retry=2000)
        if not found and (now is None or now.done):
            state, reason = (now.state, now.reason) if now else ("failed", "this job is gone")
            yield ServerSentEvent(data={"state": state, "reason": reason}, event="end", id=str(last))
            return
        if not found:
            await asyncio.sleep(_LOOK)


def needed_model(service: Service, key: str) -> Job:
    """The ended job that found a network, or 404."""
    job = jobs.find(service.database, key)
    if job is None or job.state != "succeeded" or job.kind == "retraining":
        raise not_found("model", key, "GET /v1/models")
    return job


def described(service: Service, job: Job) -> ModelOut:
    """A found network as the API shows it."""
    folder = service.settings.run_folder(job.id)
    formats = [name for name, file in FILES.items() if (folder / file).is_file()]
    return ModelOut(id=job.id, dataset=job.dataset, formats=formats, **(job.result or {}))


@router.get("/models", responses=problems())
def list_models(service: Provided, caller: Caller, limit: Limit = 50, cursor: Cursor = None) -> Models:
    """All networks that were found here, the latest first."""
    found, following = page_of_jobs(service, limit, cursor, state="succeeded")
    return Models(items=[described(service, each) for each in found if each.kind != "retraining"], next=following)


@router.get("/models/{id}", responses=problems(404))
def get_model(id: Id, service: Provided, caller: Caller) -> ModelOut:
    """A found network: accuracies, confusion matrix, classes, how it was found."""
    return described(service, needed_model(service, id))


@router.get(
    "/models/{id}/download",
    response_class=FileResponse,
    responses={**problems(404), 200: {"content": {"application/octet-stream": {}}}},
)
def download(
    id: Id, service: Provided, caller: Caller, format: Literal["safetensors", "python", "onnx"] = "safetensors"
) -> FileResponse:
    """The network as a file: weights, a program that needs torch alone, or ONNX."""
    needed_model(service, id)
    path = service.settings.run_folder(id) / FILES[format]
    if path.is_symlink() or not path.is_file():
        raise Problem(404, f"this model was not exported as {format}: its `formats` lists what is there")
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.get(
    "/models/{id}/wrong/{number}.png",
    response_class=FileResponse,
    responses={**problems(404), 200: {"content": {"image/png": {}}}},
)
def wrong(id: Id, number: Annotated[int, Path(ge=0, le=10_000)], service: Provided, caller: Caller) -> FileResponse:
    """A picture that the network takes for another class."""
    return picture(service.settings.run_folder(id) / judging.WRONG / f"{number}.png")


@router.post("/models/{id}/predict", responses=problems(400, 404, 413))
async def predict(
    id: Id,
    service: Provided,
    caller: Caller,
    images: Annotated[list[UploadFile], File(description="Pictures, at most 64.")],
) -> PredictionsOut:
    """Pictures in, the probability of each class out."""
    limits = service.settings.limits
    job = await run_in_threadpool(needed_model, service, id)
    if len(images) > limits.pictures:
        raise Problem(
            413, f"given {len(images)} pictures, allowed are {limits.pictures}: send them in several requests"
        )
    draft = await run_in_threadpool(receiving.new_draft, service.settings)
    try:
        asked = []
        for number, image in enumerate(images):
            path = draft / str(number)
            await _keep(image, path, most=limits.picture_bytes)
            asked.append([str(path), receiving.shown_name(image.filename)])
        folder = str(service.settings.run_folder(id))
        shares = await service.predicting.call("predict", folder=folder, pictures=asked)
    except Broken as problem:
        raise Problem(503, "these pictures took too long or too much memory: send fewer or smaller ones") from problem
    finally:
        await run_in_threadpool(shutil.rmtree, draft, ignore_errors=True)
    classes = list((job.result or {})["classes"])
    told = [
        PredictionOut(file=name, best=classes[max(range(len(each)), key=each.__getitem__)], probabilities=each)
        for (_, name), each in zip(asked, shares, strict=True)
    ]
    return PredictionsOut(classes=classes, predictions=told)


async def _keep(image: UploadFile, path: FilePath, *, most: int) -> None:
    try:
        await receiving.store(receiving.chunks_of(image), path, most=most)
    except Problem as problem:
        if problem.status == 413:
            raise Problem(413, f"a picture is larger than {most:,} bytes: make it smaller") from problem
        raise
