"""The fields that requests and answers of the API have in common, and what they allow."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from databases.usual import DEFAULT_SPACE

HEX = r"^[0-9a-f]{32}$"
EXAMPLE = "9f86d081884c7d659a2feaa0c55ad015"
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
DatasetId = Annotated[str, Field(pattern=HEX, description="As POST /v1/datasets gave it.", examples=[EXAMPLE])]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="The same seed gives the same answer.")]
Model = Annotated[Literal["shipped", "champion", "challenger"], Field(description="The meta-model that is asked.")]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400, description="Time to train; waiting does not count.")]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w.-]+$")]
Augmenting = Annotated[
    Literal["auto", "none", "shift", "flip"],
    Field(description="What to do to training images; auto mirrors them where validation images keep their class."),
]
Grouping = Annotated[
    Literal["auto", "none", "folder", "prefix"],
    Field(
        description="What belongs together, so that no part is drawn across it: auto (near copies by their look, or "
        "what the data tell), none, folder (the folders within class folders), prefix (of the files' names)."
    ),
]
Also = Annotated[
    Name | None,
    Field(description="Of pipelines: a pretrained network of the team's own; GET /v1/bases lists them."),
]
MaxParams = Annotated[int | None, Field(ge=1, le=10**15)]
MaxFlops = Annotated[int | None, Field(ge=1, le=10**18)]
MaxLatency = Annotated[float | None, Field(gt=0, le=1e6)]
NETWORKS: Final = DEFAULT_SPACE  # the space whose networks are ranked
PRIORITIES = {"high": 1, "normal": 5, "low": 9}


def refuse_foreign(given: Collection[str], space: str) -> None:
    """Raises ValueError for fields that say nothing in a space."""
    if given:
        raise ValueError(f"{', '.join(sorted(given))} means nothing in the space {space}: leave it out")


class Strict(BaseModel):
    """A request: a field that nobody knows, or of another type than its own, is a mistake and no wish to guess."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        """JSON has one kind of numbers: 5.0 is 5."""
        if not isinstance(given, dict):
            return given
        whole = (name for name, value in given.items() if isinstance(value, float) and value.is_integer())
        return given | {name: int(given[name]) for name in whole}
