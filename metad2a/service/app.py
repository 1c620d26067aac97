"""The web application: API, pages, and what stands around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from metad2a import __version__
from metad2a.service import api_data, api_jobs, pages, problems
from metad2a.service.metrics import Counting
from metad2a.service.queueing import Queue
from metad2a.service.rate import Rate
from metad2a.service.schemas import Status
from metad2a.service.security import HEADERS, Caller, Guard, Provided, SignIn
from metad2a.service.settings import Settings
from metad2a.service.state import Service
from metad2a.service.tables import open_database
from metad2a.service.worker import alive_workers

STATIC = Path(str(files("metad2a.service") / "static"))


def create_app(settings: Settings) -> FastAPI:
    """The application of one service; its database is opened here, its helpers start with the application."""
    settings.uploads.mkdir(parents=True, exist_ok=True)
    database = open_database(settings.database)
    service = Service(settings, database, Queue(database), Rate(settings.limits.uploads_a_minute))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.ensure_future(service.warm())
        yield
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await service.close()

    app = FastAPI(
        title="metad2a",
        version=__version__,
        description="A folder of labelled images in, the network that fits it out.",
        lifespan=lifespan,
        docs_url=None,  # these two load programs from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        separate_input_output_schemas=False,
    )
    app.state.service = service
    problems.install(app, pages.problem_page, HEADERS)

    @app.exception_handler(SignIn)
    async def sign_in(request: Request, error: SignIn) -> Response:
        return RedirectResponse("/sign-in", 303)

    _status(app)
    app.include_router(api_data.router)
    app.include_router(api_jobs.router)
    app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_middleware(Counting)
    app.add_middleware(Guard, settings=settings)
    return app


def _status(app: FastAPI) -> None:
    @app.get("/healthz")
    async def alive() -> Status:
        """The process answers."""
        return Status(status="ok")

    @app.get("/readyz", responses={503: {"model": Status, "description": "Something is missing"}})
    async def ready(service: Provided) -> Response:
        """Database, worker and meta-model are there."""
        checks = await run_in_threadpool(_checks, service)
        told = Status(status="ok" if all(checks.values()) else "not ready", checks=checks)
        return JSONResponse(told.model_dump(), 200 if told.status == "ok" else 503)

    @app.get(
        "/metrics", response_class=Response, responses={**api_data.problems(), 200: {"content": {"text/plain": {}}}}
    )
    def metrics(service: Provided, caller: Caller) -> Response:
        """Requests, latencies, queue, trainings and cache, for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _checks(service: Service) -> dict[str, bool]:
    checks: dict[str, Any] = {"database": False, "worker": False, "model": service.ready}
    try:
        checks["worker"] = alive_workers(service.database, service.settings.lease) > 0
        checks["database"] = True
    except Exception:  # whatever it is, the database cannot be used
        pass
    return checks
