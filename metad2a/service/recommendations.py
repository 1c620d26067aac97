"""What the API takes and gives where it recommends: pipelines, or cells to train from scratch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from databases.architectures.spaces.pipeline import holds_pipelines
from databases.usual import LISTED, LOOKED_AT, SEARCHED_SPACE, USUAL_SECONDS
from metad2a.service.fields import (
    EXAMPLE,
    NETWORKS,
    Also,
    DatasetId,
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

Accuracy = Annotated[float, Field(description="Percent, on new images like these.")]
Interval = Annotated[list[float], Field(description="80% interval of the accuracy.")]
OF_CELLS = {"recipe", "images_per_class", "candidates", "device", "prefer", "model"}
OF_PIPELINES = {"seconds", "also"}


def _foreign(space: str) -> set[str]:
    """What means nothing in a space."""
    return OF_CELLS if holds_pipelines(space) else OF_PIPELINES


class RecommendationIn(Strict):
    """A question: what fits this dataset, within these limits; the space ``pipeline`` unless cells are meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dataset": EXAMPLE, "top": 5}]})

    dataset: DatasetId
    space: Literal["pipeline", "nasbench201"] | None = Field(
        default=None, description="pipeline; nasbench201 where an option of cells is given."
    )
    top: int = Field(default=LISTED, ge=1, le=1000)
    seconds: Seconds | None = Field(default=None, description="Of fine-tuning that accuracies hold for; 60 by default.")
    also: Also = None
    seed: Seed = 0
    max_params: MaxParams = None
    max_flops: MaxFlops = None
    max_latency: MaxLatency = Field(
        default=None, description="Milliseconds: of pipelines on the server, of cells on the device."
    )
    recipe: Name | None = Field(
        default=None, description="Of cells, as are the next five; tiny, or one of the size known on the device."
    )
    images_per_class: int = Field(default=LOOKED_AT, ge=1, le=1000)
    candidates: Literal["generator", "all", "both"] = "both"
    device: Name | None = Field(default=None, description="A target device whose latencies are predicted.")
    prefer: Literal["accuracy", "balanced", "latency"] = "accuracy"
    model: Model = "shipped"

    @model_validator(mode="after")
    def _meaning(self) -> Self:
        if self.space is None:
            self.space = NETWORKS if self.model_fields_set & OF_CELLS else SEARCHED_SPACE
        refuse_foreign(self.model_fields_set & _foreign(self.space), self.space)
        self.seconds = self.seconds or (USUAL_SECONDS if holds_pipelines(self.space) else None)
        return self

    def options(self) -> dict[str, Any]:
        """What is told of the space that is asked, and nothing of the other."""
        return self.model_dump(exclude={"dataset", "model", *_foreign(self.space or SEARCHED_SPACE)})


class ChoiceOut(BaseModel):
    """A pipeline: which weights to begin with, at which resolution, what to train and how fast."""

    model_config = ConfigDict(extra="allow")

    pipeline: str = Field(examples=["own 48px half rate0.03 whole"])
    expected_accuracy: Accuracy
    interval: Interval
    seconds: float = Field(description="What it takes to train it on the server.")
    measured: bool = Field(description="Whether it is a probe that was tried on these images.")
    parameters: int
    megabytes: float
    flops: int
    latency_ms: float = Field(description="Of one image, on the server.")


class PipelinesOut(BaseModel):
    """The answer of ``metad2a recommend``: the ``top`` choices, the best first, and all of the front among them."""

    model_config = ConfigDict(extra="allow")

    dataset: str
    space: Literal["pipeline"]
    choices: list[ChoiceOut]
    front: list[str] = Field(description="Pipelines that none beats in accuracy and latency, the fastest first.")
    knee: str = Field(description="The one of the front after which accuracy is dear.")
    equal: str = Field(description="The fastest that is expected within half a point of the best.")
    seconds: float = Field(description="Of fine-tuning that accuracies hold for.")
    reason: str
    notes: list[str] = []


class CandidateOut(BaseModel):
    """One ranked network; what a newer version tells beyond this is passed on."""

    model_config = ConfigDict(extra="allow")

    title: str
    architecture: str
    key: str | None = Field(default=None, description="For /v1/architectures/KEY.svg.")
    expected_accuracy: float | None = Field(default=None, description="Percent; null where only the order is known.")
    interval: list[float] | None = Field(default=None, description="80% interval of the accuracy.")
    parameters: int | None = None
    flops: int | None = None
    expected_seconds: float | None = None
    latency_ms: float | None = None


class CellsOut(BaseModel):
    """The answer of ``metad2a recommend --space nasbench201``; candidates are the best first."""

    model_config = ConfigDict(extra="allow")

    dataset: str
    space: Literal["nasbench201"]
    candidates: list[CandidateOut]
    recipe: str
    unlike: bool
    reason: str
    notes: list[str] = []
    nearest: list[dict[str, Any]] = []
