"""What /metrics tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from databases.records.connection import Database
from metad2a.service import jobs

_METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})  # others are counted as one
_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class Metrics:
    """Counters of this process, and the queue as the database knows it at each look."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.registry = CollectorRegistry()
        names = ("method", "route", "status")
        self.requests = Counter("metad2a_requests", "Requests answered", names, registry=self.registry)
        self.seconds = Histogram(
            "metad2a_request_seconds", "Time to answer", ("route",), registry=self.registry, buckets=_BUCKETS
        )
        self.cache = Counter("metad2a_recommendations", "Recommendations by cache", ("cache",), registry=self.registry)
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Gauges of the queue."""
        by_state = GaugeMetricFamily("metad2a_jobs", "Jobs in each state", labels=["state"])
        for state, count in jobs.counts(self._database).items():
            by_state.add_metric([state], count)
        yield by_state
        trainings = GaugeMetricFamily("metad2a_trainings", "Trainings of all jobs, by how they ended", labels=["end"])
        for event, count in jobs.training_counts(self._database).items():
            trainings.add_metric([event], count)
        yield trainings

    def text(self) -> bytes:
        """In Prometheus's format."""
        return generate_latest(self.registry)


class Counting:
    """Counts and times requests by their route, never by their address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            metrics: Metrics = scope["app"].state.service.metrics
            method = scope["method"] if route != "none" and scope["method"] in _METHODS else "any"
            metrics.requests.labels(method, route, str(status)).inc()
            if not route.endswith("/events"):  # a stream is open as long as somebody looks
                metrics.seconds.labels(route).observe(time.perf_counter() - begin)
