"""What the API takes and gives, with examples."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from databases.architectures.spaces.pipeline import holds_pipelines
from databases.usual import (
    AUTOMATIC,
    DEFAULT_SEARCHER,
    MEASURING_RECIPE,
    SEARCHED_SPACE,
    TRAINING_RECIPE,
    USUAL_SECONDS,
    USUAL_TRAININGS,
)
from metad2a.service.datasets import Dataset
from metad2a.service.fields import (
    CELL,
    EXAMPLE,
    NETWORKS,
    Also,
    Augmenting,
    DatasetId,
    Grouping,
    MaxFlops,
    MaxLatency,
    MaxParams,
    Model,
    Name,
    Seconds,
    Seed,
    Strict,
    refuse_foreign,
)
from metad2a.service.jobs import Job, Kind, State
from metad2a.service.pipelines import LIMITS


class Bases(BaseModel):
    """Pretrained networks of the team's own, by the names that ``also`` takes."""

    items: list[str]


class ProblemOut(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What is wrong, and what to do.")
    errors: list[dict[str, str]] = []


class ClassOut(BaseModel):
    """A class and how many images of it each part has."""

    name: str
    train: int
    validation: int
    test: int


class DatasetOut(BaseModel):
    """A dataset and what was understood of it."""

    id: str = Field(examples=[EXAMPLE])
    name: str
    created: str
    bytes: int
    images: int
    resolution: int
    channels: int
    balance: float = Field(description="Entropy of the class shares over its maximum: 1 when all are equally large.")
    text: str
    warnings: list[str]
    classes: list[ClassOut]
    thumbnails: list[str] = Field(description="Addresses of small pictures.")
    fingerprint: str
    groups: Grouping = AUTOMATIC

    @classmethod
    def of(cls, dataset: Dataset) -> DatasetOut:
        """As the API shows a dataset."""
        told = {name: value for name, value in dataset.summary.items() if name != "thumbnails"}
        pictures = [
            f"/v1/datasets/{dataset.id}/thumbnails/{each['number']}.png" for each in dataset.summary["thumbnails"]
        ]
        created = stamp(dataset.created)
        return cls(
            id=dataset.id, name=dataset.name, created=created or "", bytes=dataset.size, thumbnails=pictures, **told
        )


class Datasets(BaseModel):
    """A page of datasets; ``next`` is the cursor of the page after it."""

    items: list[DatasetOut]
    next: str | None = None


class JobIn(Strict):
    """What all jobs are told."""

    priority: Literal["high", "normal", "low"] = "normal"
    recipe: Name
    seed: Seed = 0


class SearchIn(JobIn):
    """Find the network that fits; in the space ``pipeline`` the seconds decide, in others the number of networks."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dataset": EXAMPLE, "seconds": 60}]})
    dataset: DatasetId
    space: Name | None = Field(default=None, description="pipeline; nasbench201 where an option of networks is given.")
    seconds: Seconds | None = Field(default=None, description="In the space pipeline 60 by default, else no limit.")
    augment: Augmenting = AUTOMATIC
    max_params: MaxParams = Field(default=None, description="Of pipelines, as are the next two: what the model keeps.")
    max_flops: MaxFlops = None
    max_latency: MaxLatency = Field(default=None, description="Milliseconds for an image on the server.")
    prefer: Literal["accuracy", "latency"] = Field(
        default="accuracy", description="Of pipelines; latency: the fastest of those that are as good."
    )
    also: Also = None
    recipe: Name = Field(default=TRAINING_RECIPE, description="Of networks, as are the next four.")
    train: int = Field(default=USUAL_TRAININGS, ge=1, le=1000, description="How many networks to train at most.")
    searcher: Name = DEFAULT_SEARCHER
    stop_early: bool = True
    model: Model = "shipped"

    @model_validator(mode="after")
    def _meaning(self) -> Self:
        networks = self.model_fields_set & {"recipe", "train", "searcher", "stop_early", "model"}
        if self.space is None:
            self.space = NETWORKS if networks else SEARCHED_SPACE
        pipelines = holds_pipelines(self.space)
        refuse_foreign(networks if pipelines else self.model_fields_set & {"prefer", "also", *LIMITS}, self.space)
        if pipelines:
            self.seconds, self.recipe = self.seconds or USUAL_SECONDS, self.space
        return self


class TrainingIn(JobIn):
    """Train one network."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dataset": EXAMPLE, "architecture": CELL, "recipe": "small"}]}
    )
    dataset: DatasetId
    architecture: str = Field(min_length=1, max_length=3000, description="As a candidate of a recommendation has it.")
    space: Name = NETWORKS
    recipe: Name = TRAINING_RECIPE
    augment: Augmenting = AUTOMATIC
    seconds: Seconds | None = None


class RetrainingIn(JobIn):
    """Learn from everything measured here, and meet the champion."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"recipe": "tiny"}]})
    recipe: Name = MEASURING_RECIPE
    start: Model = "shipped"


class JobOut(BaseModel):
    """A job; once ``succeeded``, a search's or training's network is the model of the same id."""

    id: str = Field(examples=[EXAMPLE])
    kind: Kind
    state: State
    dataset: str | None
    options: dict[str, Any]
    created: str
    started: str | None
    finished: str | None
    attempts: int
    reason: str | None = Field(description="Why it did not succeed.")
    result: dict[str, Any] | None
    events: str = Field(description="Address of its progress, as server-sent events.")

    @classmethod
    def of(cls, job: Job) -> JobOut:
        """As the API shows a job."""
        return cls(
            id=job.id,
            kind=job.kind,
            state=job.state,
            dataset=job.dataset,
            options=job.options,
            created=stamp(job.created) or "",
            started=stamp(job.started),
            finished=stamp(job.finished),
            attempts=job.attempts,
            reason=job.reason,
            result=job.result,
            events=f"/v1/jobs/{job.id}/events",
        )


class Jobs(BaseModel):
    """A page of jobs, the latest first; ``next`` is the cursor of the page after it."""

    items: list[JobOut]
    next: str | None = None


class ModelOut(BaseModel):
    """A found network."""

    model_config = ConfigDict(extra="allow")

    id: str
    dataset: str | None
    architecture: str
    classes: list[str]
    valid_accuracy: float | None
    test_accuracy: float | None
    recipe: str
    formats: list[str] = Field(description="For /download?format=...")


class Models(BaseModel):
    """A page of found networks, the latest first."""

    items: list[ModelOut]
    next: str | None = None


class PredictionOut(BaseModel):
    """One picture: the likeliest class, and the probability of every class."""

    file: str
    best: str
    probabilities: list[float]


class PredictionsOut(BaseModel):
    """Predictions in the order of the pictures."""

    classes: list[str]
    predictions: list[PredictionOut]


class RecordOut(BaseModel):
    """One measured training."""

    task: str
    space: str
    architecture: str
    recipe: str
    seed: int
    source: str
    valid_accuracy: float | None
    test_accuracy: float | None
    train_seconds: float | None
    created: str


class Records(BaseModel):
    """A page of records; ``next`` is the cursor of the page after it."""

    items: list[RecordOut]
    next: str | None = None


class Status(BaseModel):
    """Whether the service is there; ``checks`` says what is missing where it is not ready."""

    status: Literal["ok", "not ready"]
    checks: dict[str, bool] = {}


def stamp(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO text in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
