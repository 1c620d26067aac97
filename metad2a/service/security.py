"""Who may ask: tokens, cookies, hosts and origins, and what every answer says to browsers."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metad2a.service import tokens
from metad2a.service.problems import Problem
from metad2a.service.settings import LOOPBACK, Settings
from metad2a.service.state import Service, service_of

COOKIE = "metad2a_token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
DRAWING_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # of an SVG alone: its style knows dark viewers
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_MOST_HEADER_BYTES = 32 * 1024
UPLOADS = ("/v1/datasets", "/upload")  # where pictures come
BEYOND_BYTES = 2**20  # beyond those allowed for pictures, from which on nothing more of a request is read


class Guard:
    """The outermost layer: refuses foreign hosts and origins, and adds the headers that every answer has.

    HEAD is answered as GET is, whose body the server leaves out. Files refuse ranges in plain text: here in our shape.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._limits = app, settings.limits
        self._hosts = frozenset({*LOOPBACK, "[::1]", *settings.names}) if settings.local else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        refused = False  # a range, and that was told already

        async def with_headers(message: Message) -> None:
            nonlocal refused
            if refused:
                return
            if message["type"] == "http.response.start" and (ours := _refused_range(request, message)) is not None:
                await ours.response()(scope, receive, with_headers)
                refused = True
                return
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in given]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        request = Request(scope)
        problem = self._refusal(request)
        answer = problem.response() if problem else RequestBodyLimitMiddleware(self._app, self._most(request))
        if scope["method"] == "HEAD":
            await _head(answer, {**scope, "method": "GET"}, receive, with_headers)
        else:
            await answer(scope, receive, with_headers)

    def _most(self, request: Request) -> int:
        """Bytes that its body may have."""
        pictures = request.url.path in UPLOADS or request.url.path.endswith("/predict")
        return self._limits.upload_bytes + BEYOND_BYTES if pictures else self._limits.json_bytes

    def _refusal(self, request: Request) -> Problem | None:
        if sum(len(name) + len(value) for name, value in request.headers.raw) > _MOST_HEADER_BYTES:
            return Problem(431, "the headers are too large: send fewer or shorter ones")
        declared, most = request.headers.get("content-length", ""), self._most(request)
        large = declared.isdecimal() and (len(declared) > 20 or int(declared) > most)
        if large and request.url.path not in UPLOADS:  # these say more about it
            return Problem(413, f"the request has more than {most:,} bytes: send less")
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self._hosts is not None and name.lower() not in self._hosts:
            return Problem(421, "this service is called by another host name: start it with --name to allow this one")
        if request.method in SAFE or "authorization" in request.headers:
            return None  # a browser never adds the latter by itself
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site not in (None, "same-origin", "none") or (origin is not None and origin.partition("://")[2] != host):
            return Problem(403, "this request comes from another site's page: use the service's own pages or a token")
        return None


async def _head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """What GET answers, up to its body, which is not waited for: a stream's may be long in coming."""
    told = asyncio.Event()

    async def without_body(message: Message) -> None:
        if not told.is_set() and message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body"})
            told.set()

    answering = asyncio.ensure_future(app(scope, receive, without_body))
    waiting = asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait({answering, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (answering, waiting):
            if not each.done():
                each.cancel()
        ended = await asyncio.gather(answering, waiting, return_exceptions=True)
    if isinstance(ended[0], Exception):
        raise ended[0]


def _refused_range(request: Request, start: Message) -> Problem | None:
    """The problem in the place of an answer without our shape that refuses a range."""
    headers = Headers(raw=start["headers"])
    plain = headers.get("content-type", "text/plain").startswith("text/plain")
    if start["status"] not in (400, 416) or "range" not in request.headers or not plain:
        return None
    told = {name: headers[name] for name in ("content-range",) if name in headers}
    detail = "this is no range of bytes of the file: ask for `Range: bytes=FIRST-LAST` within it, or without Range"
    return Problem(start["status"], detail, told)


async def caller(request: Request) -> str:
    """The id of the token that asks, ``local`` where none is needed; 401 otherwise."""
    service = service_of(request)
    given = request.headers.get("authorization")
    scheme, _, text = (given or "").partition(" ")
    if given is not None and scheme.lower() != "bearer":
        raise _unknown("this service wants the header `Authorization: Bearer TOKEN`")
    text = text.strip() if given is not None else request.cookies.get(COOKIE, "")
    if text:
        key = await run_in_threadpool(tokens.owner_of, service.database, text)
        if key is not None:
            return key
        if given is not None:
            raise _unknown("this token is not valid: `metad2a token create NAME` makes one")
    if service.settings.local and not await run_in_threadpool(tokens.any_valid, service.database):
        return "local"
    raise _unknown("a token is needed: send `Authorization: Bearer TOKEN`, or sign in at /sign-in")


class SignIn(Exception):
    """Somebody without a token looks at a page."""


def _unknown(detail: str) -> Problem:
    return Problem(401, detail, {"WWW-Authenticate": "Bearer"})


Caller = Annotated[str, Depends(caller)]
Provided = Annotated[Service, Depends(service_of)]
