"""The API, part one: datasets, recommendations, drawings and records."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.datastructures import UploadFile

from databases.errors import UserError
from databases.usual import AUTOMATIC
from metad2a.service import bases, cursors, datasets, library, receiving, records
from metad2a.service.datasets import Dataset
from metad2a.service.fields import HEX, Grouping
from metad2a.service.problems import MEDIA_TYPE, Problem, not_found
from metad2a.service.recommendations import CellsOut, PipelinesOut, RecommendationIn
from metad2a.service.schemas import Bases, DatasetOut, Datasets, ProblemOut, Records
from metad2a.service.security import DRAWING_POLICY, Caller, Provided
from metad2a.service.state import Service

Id = Annotated[str, Path(pattern=HEX)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=4000, description="`next` of the page before.")]
ArchitectureKey = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]+$", max_length=library.MAX_KEY)]
Filter = Annotated[str | None, Query(min_length=1, max_length=200)]


EVERYWHERE = {401, 403, 421, 422, 431, 500, 503, 507}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an address, all of one shape; those that every address has come with them."""
    told = {"model": ProblemOut, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}}
    return {status: {**told, "description": "A problem"} for status in sorted({*EVERYWHERE, *statuses})}


router = APIRouter(prefix="/v1")
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post("/datasets", status_code=201, responses=problems(400, 413, 415, 429), openapi_extra=_UPLOAD)
async def upload(
    request: Request,
    response: Response,
    service: Provided,
    caller: Caller,
    name: Annotated[str | None, Query(max_length=200, description="A name for people.")] = None,
    groups: Grouping = AUTOMATIC,
) -> DatasetOut:
    """Send a zip of class folders or an .npz file, as a form's `file` or the whole body. Twice, it has one id."""
    service.rate.check(client_of(request, caller))
    dataset, new = await receive(request, service, name, groups)
    if not new:
        response.status_code = 200
    response.headers["location"] = f"/v1/datasets/{dataset.id}"
    return DatasetOut.of(dataset)


def client_of(request: Request, caller: str) -> str:
    """Who sends, for the limit of uploads: the token, or the address where none is needed."""
    return request.client.host if caller == "local" and request.client else caller


async def receive(
    request: Request, service: Service, name: str | None, groups: Grouping = AUTOMATIC
) -> tuple[Dataset, bool]:
    """The dataset of an upload, and whether its content is new."""
    settings, limits = service.settings, service.settings.limits
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limits.upload_bytes + receiving.FORM_BYTES:
        raise Problem(413, f"the dataset is larger than {limits.upload_bytes:,} bytes: send fewer or smaller pictures")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    draft = await run_in_threadpool(receiving.new_draft, settings)
    try:
        upload = draft / "upload"
        if kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=4) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise Problem(422, "the form has no file: send the archive as `file`")
                name = name or file.filename
                await receiving.store(receiving.chunks_of(file), upload, most=limits.upload_bytes)
        elif kind in ("application/zip", "application/octet-stream", "application/x-zip-compressed"):
            await receiving.store(request.stream(), upload, most=limits.upload_bytes)
        else:
            raise Problem(415, "send the archive as multipart/form-data (`file`) or as application/zip")
        await run_in_threadpool(receiving.check_index, upload, max_files=limits.upload_files)
        place = await run_in_threadpool(receiving.kind_of, upload)
        upload.rename(draft / place)
        shown = receiving.shown_name(name)
        summary = await receiving.understand(draft, place, name=shown, limits=limits, groups=groups)
        return await run_in_threadpool(datasets.keep, service.database, settings, draft, summary, name=shown)
    finally:
        await run_in_threadpool(receiving.drop, draft)


@router.get("/datasets", responses=problems())
def list_datasets(service: Provided, caller: Caller, limit: Limit = 50, cursor: Cursor = None) -> Datasets:
    """All datasets, the latest first."""
    place = cursors.decode(cursor, (float, str))
    found = datasets.listed(service.database, limit=limit + 1, after=None if place is None else (place[0], place[1]))
    shown, following = cursors.page_of(found, limit, place=lambda each: [each.created, each.id])
    return Datasets(items=[DatasetOut.of(each) for each in shown], next=following)


@router.get("/datasets/{id}", responses=problems(404))
def get_dataset(id: Id, service: Provided, caller: Caller) -> DatasetOut:
    """What was understood of a dataset: classes, images, balance, thumbnails, warnings."""
    return DatasetOut.of(needed(service, id))


@router.delete("/datasets/{id}", status_code=204, responses=problems(404, 409))
def delete_dataset(id: Id, service: Provided, caller: Caller) -> None:
    """Delete a dataset and its pictures. What was measured on it stays in the records."""
    if not datasets.remove(service.database, service.settings, id):
        raise not_found("dataset", id, "GET /v1/datasets")


@router.get(
    "/datasets/{id}/thumbnails/{number}.png",
    response_class=FileResponse,
    responses={**problems(404), 200: {"content": {"image/png": {}}}},
)
def thumbnail(
    id: Id, number: Annotated[int, Path(ge=0, le=100_000)], service: Provided, caller: Caller
) -> FileResponse:
    """A small picture of a dataset."""
    return picture(datasets.folder_of(service.settings, id) / "thumbnails" / f"{number}.png")


def picture(path: Any) -> FileResponse:
    """A PNG of ours; never a link to somewhere else."""
    if path.is_symlink() or not path.is_file():
        raise Problem(404, "there is no such picture: the dataset or model lists those that are there")
    return FileResponse(path, media_type="image/png", headers={"cache-control": "private, max-age=86400"})


def needed(service: Service, key: str) -> Dataset:
    """The dataset of that id, or 404."""
    found = datasets.find(service.database, key)
    if found is None:
        raise not_found("dataset", key, "GET /v1/datasets")
    return found


@router.post(
    "/recommendations",
    response_class=Response,
    responses={**problems(404, 413), 200: {"model": PipelinesOut | CellsOut, "description": "The answer"}},
)
async def recommend(asked: RecommendationIn, service: Provided, caller: Caller) -> Response:
    """Tells what fits a dataset, with expected accuracy, interval, cost and reason. Fine-tunes nothing."""
    dataset = await run_in_threadpool(needed, service, asked.dataset)
    return Response(await service.recommend(dataset, asked.model, asked.options()), media_type="application/json")


@router.get("/bases", responses=problems())
def list_bases(service: Provided, caller: Caller) -> Bases:
    """The pretrained networks of the team's own that may compete with ours."""
    return Bases(items=bases.names(service.settings.bases))


@router.get(
    "/architectures/{key}.svg",
    response_class=Response,
    responses={**problems(404), 200: {"content": {"image/svg+xml": {}}}},
)
def drawing(key: ArchitectureKey, caller: Caller) -> Response:
    """An architecture as a drawing, light or dark as the viewer prefers."""
    try:
        text = library.drawing(key)
    except UserError as problem:
        raise Problem(404, str(problem)) from problem
    headers = {"content-security-policy": DRAWING_POLICY, "cache-control": "private, max-age=86400"}
    return Response(text, media_type="image/svg+xml", headers=headers)


@router.get("/records", responses={**problems(), 200: {"model": Records, "content": {"text/csv": {}}}})
def list_records(
    service: Provided,
    caller: Caller,
    task: Filter = None,
    recipe: Filter = None,
    source: Filter = None,
    space: Filter = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    format: Literal["json", "csv"] = "json",
) -> Response:
    """Everything measured: filtered, page by page; `format=csv` gives all of it as one file."""
    wanted = {"task": task, "recipe": recipe, "source": source, "space": space}
    if format == "csv":
        records.check_filter(wanted)  # before anything is sent
        headers = {"content-disposition": 'attachment; filename="records.csv"'}
        return StreamingResponse(records.as_csv(service.database, wanted), media_type="text/csv", headers=headers)
    place = cursors.decode(cursor, (str, str, str, str, int))
    found = records.page(service.database, wanted, limit=limit + 1, after=place)
    shown, following = cursors.page_of(found, limit, place=records.place_of)
    page = Records.model_validate({"items": shown, "next": following})
    return Response(page.model_dump_json(), media_type="application/json")
