"""What all requests of one web process share."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from databases.errors import UserError
from databases.records.connection import Database
from metad2a.service import bases, records
from metad2a.service.datasets import Dataset, path_of
from metad2a.service.helper import Broken, Helper
from metad2a.service.metrics import Metrics
from metad2a.service.problems import Problem
from metad2a.service.rate import Rate
from metad2a.service.settings import Settings

if TYPE_CHECKING:
    from metad2a.service.queueing import Queue

logger = logging.getLogger("metad2a")
_MOST_ANSWERS = 512
_WARM_AGAIN = 10.0  # seconds
_SECONDS_OF_AN_ALIAS = 60.0  # champion and challenger may change


class Service:
    """One web process's database, queue, helpers and remembered answers."""

    def __init__(self, settings: Settings, database: Database, queue: Queue, rate: Rate) -> None:
        self.settings, self.database, self.queue, self.rate = settings, database, queue, rate
        self.metrics = Metrics(database)
        self.answering = Helper("metad2a.service.answering", timeout=settings.limits.answer_seconds)
        self.predicting = Helper("metad2a.service.predicting", timeout=60.0)
        self.ready = False
        self._answers: OrderedDict[str, asyncio.Task[bytes]] = OrderedDict()

    async def recommend(self, dataset: Dataset, model: str, options: dict[str, Any]) -> bytes:
        """The JSON of a recommendation; the same question is computed once, until there is more to learn from."""
        own = await run_in_threadpool(bases.version, self.settings.bases, options.get("also"))
        now = [0 if model == "shipped" else int(time.monotonic() / _SECONDS_OF_AN_ALIAS)]
        now.append(await run_in_threadpool(records.count_in, self.database, options["space"]))
        key = hashlib.sha256(json.dumps([dataset.id, model, now, own, options], sort_keys=True).encode()).hexdigest()
        task = self._answers.get(key)
        self.metrics.cache.labels("hit" if task else "miss").inc()
        if task is None:
            task = self._answers[key] = asyncio.ensure_future(self._computed(dataset, model, options))
            while len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        try:
            return await asyncio.shield(task)
        except Exception as problem:
            self._answers.pop(key, None)
            if isinstance(problem, Broken):
                raise Problem(503, "the recommendation took too long or broke: ask again, or for less") from problem
            raise

    async def _computed(self, dataset: Dataset, model: str, options: dict[str, Any]) -> bytes:
        path = str(path_of(self.settings, dataset))
        asked = {"path": path, "name": dataset.name, "groups": dataset.groups, "model": model, "options": options}
        places = {"database": self.settings.database, "bases": str(self.settings.bases)}
        told = await self.answering.call("recommend", **asked, **places)
        return json.dumps({"dataset": dataset.id, "space": options["space"], **told}, allow_nan=False).encode()

    async def warm(self) -> None:
        """Loads the meta-model, so that the first answer does not wait for it; again and again while that breaks."""
        while not self.ready:
            try:
                await self.answering.warm()
                self.ready = True
            except (Broken, UserError, OSError) as problem:
                logger.error("the meta-model could not be loaded, in %g s again: %s", _WARM_AGAIN, problem)
                await asyncio.sleep(_WARM_AGAIN)

    async def close(self) -> None:
        """Ends the helpers."""
        await self.answering.close()
        await self.predicting.close()
        self.queue.close()
        self.database.engine.dispose()


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    service: Service = request.app.state.service
    return service
