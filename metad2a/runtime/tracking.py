"""Experiment tracking by MLflow.

Follows ``MLFLOW_TRACKING_URI``; without it, everything goes to ``mlflow.db`` in the home folder, artifacts
beside it. Tracking never costs a result: the first failure is one warning, and then the tracker does nothing.

>>> with tracker.run("digits", "search", parameters={"budget": 600}) as search:
...     with tracker.run("cell 1", "training", parent=search) as training:
...         training.metrics({"loss": 0.3}, step=1)
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Literal, TypeVar

from databases.errors import UserError
from metad2a.runtime.mlflow_client import close_abandoned, open_client, quietly

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Metric

Alias = Literal["champion", "challenger"]
Kind = Literal["meta-training", "search", "training", "evaluation", "export"]
Result = TypeVar("Result")

METRICS_A_REQUEST, PARAMETERS_A_REQUEST = 1000, 100  # MLflow's limits
SECONDS_BETWEEN_REQUESTS = 2.0

logger = logging.getLogger("metad2a")


@dataclass(frozen=True)
class RegisteredModel:
    """A meta-model in the registry, with the metrics of the run that made it."""

    name: str
    version: str
    run_id: str | None
    metrics: Mapping[str, float]


class Tracker:
    """Writes runs and models to one MLflow server or database, which is opened at the first use.

    One that is ``required`` raises UserError where it fails, instead of a warning.
    """

    def __init__(self, *, uri: str | None = None, required: bool = False) -> None:
        self._uri = uri
        self._required = required
        self._opened: tuple[MlflowClient, str] | None = None
        self._stopped = False
        self._latest: str | None = None  # the outermost run
        self.failure: str | None = None  # why nothing is tracked any more, though it was asked for

    @contextmanager
    def run(
        self,
        name: str,
        kind: Kind,
        *,
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        parent: Run | None = None,
    ) -> Iterator[Run]:
        """One tracked run; it ends with the block, as FAILED or KILLED where an exception leaves it."""
        labels = {**(tags or {}), "kind": kind, "host": gethostname(), "process": str(os.getpid())}
        if parent is None:
            self.attempt(close_abandoned)
        elif parent.id is not None:
            labels["mlflow.parentRunId"] = parent.id
        made = self.attempt(lambda client, place: client.create_run(place, tags=labels, run_name=name).info.run_id)
        self._latest = made if parent is None else self._latest
        run = Run(self, made)
        run.parameters(parameters or {})
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            run.finish(status)

    def address(self) -> str | None:
        """Where a browser finds the latest outermost run; None where no server shows it."""
        uri = self._uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        if self._latest is None or self._opened is None or not uri.startswith("http"):
            return None
        plain = re.sub(r"//[^/@]*@", "//", uri).rstrip("/")  # no password is shown
        return f"{plain}/#/experiments/{self._opened[1]}/runs/{self._latest}"

    def registered(self, name: str, alias: Alias) -> RegisteredModel | None:
        """The model that bears the alias, or None."""

        def look_up(client: MlflowClient, place: str) -> RegisteredModel | None:
            for model in client.search_registered_models(f"name = '{name}'"):
                if alias in model.aliases:
                    version = client.get_model_version(name, str(model.aliases[alias]))
                    metrics = client.get_run(version.run_id).data.metrics if version.run_id else {}
                    return RegisteredModel(name, str(version.version), version.run_id, metrics)
            return None

        return self.attempt(look_up)

    def download(self, model: RegisteredModel, folder: Path) -> Path | None:
        """Copy a registered model's weights into the folder; their path, or None where they cannot be had."""

        def fetch(client: MlflowClient, place: str) -> Path:
            folder.mkdir(parents=True, exist_ok=True)
            copied = Path(client.download_artifacts(str(model.run_id), "model", str(folder)))
            return next(copied.rglob("*.safetensors"))

        return self.attempt(fetch)

    def promote(self, name: str, version: str) -> None:
        """Make the version champion; the name has no challenger then."""

        def move(client: MlflowClient, place: str) -> None:
            client.set_registered_model_alias(name, "champion", version)
            client.delete_registered_model_alias(name, "challenger")

        self.attempt(move)

    def attempt(self, action: Callable[[MlflowClient, str], Result]) -> Result | None:
        """Call ``action(client, experiment id)``; None, and one warning the first time, where it fails."""
        if self._stopped:
            return None
        try:
            with quietly():
                self._opened = self._opened or open_client(self._uri)
                return action(*self._opened)
        except Exception as error:  # whatever breaks in there, the user's result must not
            self._stopped = True
            told = [line for line in str(error).splitlines() if line and not line.startswith("(raised as a result of")]
            self.failure = reason = (told or [type(error).__name__])[0][:200]
            if self._required:
                raise UserError(
                    f"MLflow cannot be used ({reason}): start its server or mend its database, or name a file"
                ) from error
            logger.warning("Tracking stopped, no result is lost (--no-tracking turns it off): %s", reason)
            return None


class NullTracker(Tracker):
    """Tracks nothing: ``--no-tracking``."""

    def __init__(self) -> None:
        super().__init__()
        self._stopped = True


class Run:
    """One run being written; ``id`` is None when nothing is tracked. Made by `Tracker.run`."""

    def __init__(self, tracker: Tracker, run_id: str | None) -> None:
        self.id = run_id
        self._tracker = tracker
        self._waiting: list[Metric] = []
        self._sent = time.monotonic()

    def child(self, name: str, kind: Kind, *, parameters: Mapping[str, object]) -> AbstractContextManager[Run]:
        """A run below this one."""
        return self._tracker.run(name, kind, parent=self, parameters=parameters)

    def parameters(self, values: Mapping[str, object]) -> None:
        """What the run was told to do; a name cannot be given two values."""

        def write(client: MlflowClient, run_id: str) -> None:
            from mlflow.entities import Param

            entries = [Param(name, str(value)) for name, value in values.items()]
            for start in range(0, len(entries), PARAMETERS_A_REQUEST):
                client.log_batch(run_id, params=entries[start : start + PARAMETERS_A_REQUEST])

        self._attempt(write)

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Points of curves; they are sent in batches, the last when the run ends."""

        def queue(client: MlflowClient, run_id: str) -> None:
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            self._waiting += [Metric(name, float(value), now, step) for name, value in values.items()]
            late = time.monotonic() - self._sent > SECONDS_BETWEEN_REQUESTS
            if late or len(self._waiting) >= METRICS_A_REQUEST:
                self._send(client, run_id)

        self._attempt(queue)

    def curves(self, curves: Mapping[str, Sequence[float]]) -> None:
        """Whole curves, one value a step, the first step being 1."""
        for name, values in curves.items():
            for step, value in enumerate(values, start=1):
                self.metrics({name: value}, step=step)

    def dataset(self, name: str, fingerprint: str) -> None:
        """The data that the run used, as MLflow dataset and as the tag ``fingerprint`` (the last one's)."""

        def write(client: MlflowClient, run_id: str) -> None:
            from mlflow.entities import Dataset, DatasetInput

            entry = Dataset(name=name, digest=fingerprint, source_type="metad2a", source=name)
            client.log_inputs(run_id, [DatasetInput(entry)])
            client.set_tag(run_id, "fingerprint", fingerprint)

        self._attempt(write)

    def figure(self, figure: Figure, file_name: str) -> None:
        """A matplotlib figure, stored as ``figures/<file_name>``."""
        self._attempt(lambda client, run_id: client.log_figure(run_id, figure, f"figures/{file_name}"))

    def artifact(self, path: Path, *, folder: str | None = None) -> None:
        """A file, or a folder with all that is in it."""
        self._attempt(lambda client, run_id: client.log_artifact(run_id, str(path), folder))

    def register(self, model: Path, name: str, *, alias: Alias | None = None) -> str | None:
        """Store a file, or an MLflow model (see `write_model`), with the run and as a new version of ``name``.

        Returns the version, which takes the alias; None where nothing is tracked.
        """

        def write(client: MlflowClient, run_id: str) -> str:
            (client.log_artifacts if model.is_dir() else client.log_artifact)(run_id, str(model), "model")
            source = f"{client.get_run(run_id).info.artifact_uri}/model"
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            version = str(client.create_model_version(name, source, run_id).version)
            if alias is not None:
                client.set_registered_model_alias(name, alias, version)
            return version

        return self._attempt(write)

    def discard(self) -> None:
        """Takes the run back: nothing was done in it."""
        self._attempt(lambda client, run_id: client.delete_run(run_id))
        self.id = None

    def finish(self, status: str) -> None:
        """Send what waits and close the run; `Tracker.run` calls it."""

        def close(client: MlflowClient, run_id: str) -> None:
            self._send(client, run_id)
            client.set_terminated(run_id, status)

        self._attempt(close)

    def _send(self, client: MlflowClient, run_id: str) -> None:
        for start in range(0, len(self._waiting), METRICS_A_REQUEST):
            client.log_batch(run_id, metrics=self._waiting[start : start + METRICS_A_REQUEST])
        self._waiting, self._sent = [], time.monotonic()

    def _attempt(self, action: Callable[[MlflowClient, str], Result]) -> Result | None:
        run_id = self.id
        return None if run_id is None else self._tracker.attempt(lambda client, _: action(client, run_id))
