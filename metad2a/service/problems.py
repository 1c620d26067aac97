"""Errors of the API: RFC 9457 problem details whose ``detail`` says what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from databases.errors import UserError

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL = "the server's disk is full: delete datasets or tell its owner"
MEDIA_TYPE = "application/problem+json"
_ADVICE = {
    404: "nothing is here: /v1/openapi.json lists every address of the API",
    405: "this address does not know that method: /v1/openapi.json lists those that it knows",
    413: "the request is too large: send less",
}


@dataclass
class Problem(Exception):
    """An answer other than success; ``errors`` point into the request."""

    status: int
    detail: str
    headers: Mapping[str, str] | None = None
    errors: Sequence[Mapping[str, str]] = ()

    def response(self) -> JSONResponse:
        """The answer on the wire."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            content["errors"] = list(self.errors)
        return JSONResponse(content, self.status, headers=self.headers, media_type=MEDIA_TYPE)


OURS = Problem(500, "this is a mistake of ours, not yours: the server's log tells more")


def not_found(what: str, name: str, where: str) -> Problem:
    """404 for a thing that is not there; ``where`` lists those that are."""
    return Problem(404, f"there is no {what} {name[:80]!r}: {where} lists those that are there")


def install(app: FastAPI, show: Callable[[Request, Problem], Response], headers: Mapping[str, str]) -> None:
    """Makes every error of the app a problem; ``show`` makes a page of it for people.

    ``headers`` are those of every answer: a mistake of ours is told outside of all layers, which would add them.
    """

    def answer(request: Request, problem: Problem) -> Response:
        wanted = request.headers.get("accept", "")
        if request.url.path.startswith("/v1/") or "text/html" not in wanted:
            return problem.response()
        return show(request, problem)

    @app.exception_handler(Problem)
    async def known(request: Request, error: Problem) -> Response:
        return answer(request, error)

    @app.exception_handler(UserError)
    async def mistaken(request: Request, error: UserError) -> Response:
        return answer(request, _mistaken(error))

    @app.exception_handler(OSError)
    async def system(request: Request, error: OSError) -> Response:
        return answer(request, Problem(507, FULL) if error.errno in DISK_FULL else OURS)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        detail = _ADVICE.get(error.status_code, str(error.detail))
        return answer(request, Problem(error.status_code, detail, error.headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, _invalid(error))

    @app.exception_handler(Exception)
    async def ours(request: Request, error: Exception) -> Response:
        told = answer(request, OURS)
        told.headers.update(headers)
        return told


def _mistaken(error: UserError) -> Problem:
    """The asker's mistake, unless it was the database that could not be used."""
    if not isinstance(error.__cause__, SQLAlchemyError):
        return Problem(422, " ".join(str(error).split()))
    if "disk is full" in str(error):
        return Problem(507, FULL)
    return Problem(503, "the service's database cannot be used just now: ask again in a minute, or tell its owner")


def _words(error: Mapping[str, Any]) -> str:
    """What is wrong, for people who do not know our libraries."""
    if error["type"] == "model_attributes_type":
        return "send one JSON object, with the header Content-Type: application/json"
    told = str(error["msg"]).removeprefix("Value error, ")
    return "this is no file: send it as one" if told.startswith("Expected UploadFile") else told


def _invalid(error: RequestValidationError) -> Problem:
    """All that is wrong with a request, each with a pointer into it."""
    errors = []
    for each in error.errors()[:20]:
        place, *trail = (str(part) for part in each["loc"])
        pointer = "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in trail)
        errors.append({"pointer": pointer if place == "body" else f"{place}{pointer[1:]}", "detail": _words(each)})
    first = errors[0] if errors else {"pointer": "", "detail": "the request cannot be read"}
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(422, f"{first['pointer']}: {first['detail']}{more}: correct it and send it again", errors=errors)
