"""The pages: the same calls as the API, for people. Every form works without the script, which only adds comfort."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from metad2a.service import api_data, api_jobs, bases, cursors, datasets, library, pipelines, records, tokens
from metad2a.service.api_data import Cursor, Id
from metad2a.service.forms import View, Wish
from metad2a.service.jobs import Job
from metad2a.service.problems import Problem
from metad2a.service.recommendations import RecommendationIn
from metad2a.service.rendering import page
from metad2a.service.schemas import DatasetOut, RetrainingIn
from metad2a.service.security import COOKIE, Provided, SignIn, caller
from metad2a.service.state import Service

router = APIRouter()
LISTED = 8


async def reader(request: Request) -> str:
    """Who looks at a page; people without a token are led to the form for it."""
    try:
        return await caller(request)
    except Problem as problem:
        raise SignIn from problem


Reader = Annotated[str, Depends(reader)]


@router.get("/")
def start(request: Request, service: Provided, reader: Reader) -> Response:
    """Drop a dataset; what was sent before."""
    latest = [DatasetOut.of(each) for each in datasets.listed(service.database, limit=12)]
    return page(request, "start.html", datasets=latest, limits=service.settings.limits)


@router.post("/upload")
async def upload(request: Request, service: Provided, reader: Reader) -> Response:
    """The upload form, without the script."""
    service.rate.check(api_data.client_of(request, reader))
    dataset, _ = await api_data.receive(request, service, None)
    return RedirectResponse(f"/datasets/{dataset.id}", 303)


@router.get("/datasets/{id}")
def dataset(request: Request, id: Id, service: Provided, reader: Reader, asked: Annotated[View, Query()]) -> Response:
    """What was understood of a dataset, and what fits it; cells are ranked once a recipe or a device is chosen."""
    shown = DatasetOut.of(api_data.needed(service, id))
    pictures: dict[int, list[str]] = {}
    for each, address in zip(api_data.needed(service, id).summary["thumbnails"], shown.thumbnails, strict=True):
        pictures.setdefault(each["class"], []).append(address)
    found = api_jobs.page_of_jobs(service, 5, None, dataset=id)[0]
    return page(
        request,
        "dataset.html",
        dataset=shown,
        pictures=pictures,
        jobs=found,
        recipes=library.recipes(),
        devices=library.device_names(),
        asked=asked,
        nothing=View(),
        bases=bases.names(service.settings.bases),
    )


@router.get("/datasets/{id}/recommendation")
async def recommendation(
    request: Request, id: Id, service: Provided, reader: Reader, asked: Annotated[View, Query()]
) -> Response:
    """The pipelines that fit a dataset: a part of its page, or a page of its own without the script."""
    return await _recommended(request, service, asked.pipelines(id, top=LISTED), "pipelines.html", pipelines.shown)


@router.get("/datasets/{id}/cells")
async def cells(
    request: Request, id: Id, service: Provided, reader: Reader, asked: Annotated[View, Query()]
) -> Response:
    """The ranked cells of a dataset: a part of its page, or a page of its own without the script."""
    return await _recommended(request, service, asked.networks(id, top=LISTED), "cells.html")


async def _recommended(
    request: Request, service: Service, asked: RecommendationIn, template: str, shown: Callable[[Any], Any] = dict
) -> Response:
    found = await run_in_threadpool(api_data.needed, service, asked.dataset)
    answer = json.loads(await service.recommend(found, asked.model, asked.options()))
    part = request.headers.get("x-part") == "1"
    return page(request, template, answer=shown(answer), dataset=found, whole=not part)


@router.post("/datasets/{id}/train")
def train(id: Id, service: Provided, reader: Reader, wish: Annotated[Wish, Form()]) -> Response:
    """Asks for a search: by time alone, or of so many networks."""
    asked = wish.search(id)
    api_jobs.check_asked(asked)
    return RedirectResponse(f"/jobs/{api_jobs.accept(service, 'search', asked, reader).id}", 303)


@router.post("/datasets/{id}/delete")
def delete(id: Id, service: Provided, reader: Reader) -> Response:
    """Deletes a dataset."""
    api_data.delete_dataset(id, service, reader)
    return RedirectResponse("/", 303)


@router.get("/jobs")
def jobs_page(request: Request, service: Provided, reader: Reader, cursor: Cursor = None) -> Response:
    """All jobs."""
    found, following = api_jobs.page_of_jobs(service, 30, cursor)
    return page(request, "jobs.html", jobs=found, names=_names(service, found), following=following)


@router.get("/jobs/{id}")
def job_page(request: Request, id: Id, service: Provided, reader: Reader) -> Response:
    """One job, live."""
    found = api_jobs.needed_job(service, id)
    return page(request, "job.html", job=found, name=_names(service, [found]).get(found.dataset or "", ""))


@router.post("/jobs/{id}/cancel")
def cancel(id: Id, service: Provided, reader: Reader) -> Response:
    """Cancels a job."""
    api_jobs.cancel_job(id, service, reader)
    return RedirectResponse(f"/jobs/{id}", 303)


@router.get("/models")
def models(request: Request, service: Provided, reader: Reader, cursor: Cursor = None) -> Response:
    """All found networks, and the retrainings of the meta-model."""
    found, following = api_jobs.page_of_jobs(service, 30, cursor, state="succeeded")
    retrained = api_jobs.page_of_jobs(service, 10, None, kind="retraining")[0]
    networks = [each for each in found if each.kind != "retraining"]
    names = _names(service, networks)
    return page(request, "models.html", jobs=networks, names=names, retrainings=retrained, following=following)


@router.post("/retrain")
def retrain(service: Provided, reader: Reader) -> Response:
    """Asks for a retraining."""
    return RedirectResponse(f"/jobs/{api_jobs.accept(service, 'retraining', RetrainingIn(), reader).id}", 303)


@router.get("/models/{id}")
def model(request: Request, id: Id, service: Provided, reader: Reader) -> Response:
    """A found network: how good it is, where it errs, and how to use it."""
    found = api_jobs.needed_model(service, id)
    shown = api_jobs.described(service, found)
    name = _names(service, [found]).get(found.dataset or "", "")
    return page(request, "model.html", job=found, model=shown, result=found.result or {}, name=name)


@router.get("/records")
def records_page(
    request: Request,
    service: Provided,
    reader: Reader,
    task: Annotated[str, Query(max_length=200)] = "",
    recipe: Annotated[str, Query(max_length=200)] = "",
    source: Annotated[str, Query(max_length=200)] = "",
    cursor: Cursor = None,
) -> Response:
    """What was measured."""
    wanted = {"task": task or None, "recipe": recipe or None, "source": source or None}
    place = cursors.decode(cursor, (str, str, str, str, int))
    found = records.page(service.database, wanted, limit=51, after=place)
    shown, following = cursors.page_of(found, 50, place=records.place_of)
    given = {name: value for name, value in wanted.items() if value}
    return page(request, "records.html", records=shown, given=given, following=following)


@router.get("/sign-in")
def sign_in_form(request: Request) -> Response:
    """The form for a token."""
    return page(request, "sign_in.html", wrong=False)


@router.post("/sign-in")
def sign_in(request: Request, service: Provided, token: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Keeps a valid token in a cookie that no script can read."""
    if tokens.owner_of(service.database, token.strip()) is None:
        shown = page(request, "sign_in.html", wrong=True)
        shown.status_code = 401
        return shown
    answer = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, token.strip(), httponly=True, samesite="strict", secure=secure, max_age=30 * 86_400)
    return answer


@router.post("/sign-out")
def sign_out() -> Response:
    """Forgets the token."""
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def problem_page(request: Request, problem: Problem) -> HTMLResponse:
    """An error for people."""
    shown = page(request, "problem.html", problem=problem)
    shown.status_code = problem.status
    return shown


def _names(service: Service, found: list[Job]) -> dict[str, str]:
    """The names of the jobs' datasets that are still there."""
    known: dict[str, Any] = {
        key: datasets.find(service.database, key) for key in {each.dataset for each in found if each.dataset}
    }
    return {key: each.name for key, each in known.items() if each is not None}
