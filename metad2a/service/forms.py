"""What people type into the forms of a dataset's page; every value is a text, and empty where nothing is wanted."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, Field, ValidationError

from databases.errors import UserError
from databases.usual import TRAINING_RECIPE, USUAL_SECONDS
from metad2a.recommend.amounts import amount, milliseconds
from metad2a.service.fields import NETWORKS
from metad2a.service.recommendations import RecommendationIn
from metad2a.service.schemas import SearchIn

Text = Annotated[str, Field(max_length=200)]
Choice = Annotated[str, Field(max_length=80)]
Question = TypeVar("Question", bound=BaseModel)


class Limited(BaseModel):
    """Limits on what one image costs: 300k or 1.5M of parameters and multiply-adds, milliseconds on the server.

    Beside them a network of the team's own that competes.
    """

    also: Choice = ""
    max_params: Text = ""
    max_flops: Text = ""
    max_latency: Text = ""

    @property
    def beside(self) -> dict[str, str]:
        """The network that competes, by the name that the API has for it."""
        return {"also": self.also} if self.also else {}

    def limits(self) -> dict[str, float]:
        """Those that are wanted, by the names that the API has for them; raises UserError for a text that is none."""
        latency = self.max_latency.strip()
        found = {
            "max_params": amount(self.max_params.strip() or None, "parameters at most"),
            "max_flops": amount(self.max_flops.strip() or None, "FLOPs at most"),
            "max_latency": milliseconds(f"{latency}ms" if latency[-1:].isdigit() else latency) if latency else None,
        }
        return {name: value for name, value in found.items() if value is not None}


class View(Limited):
    """What a dataset's page is asked to show: what fits, and the cells once one of their options is chosen.

    ``cells``: the limits are those of cells, whose milliseconds are of the ``device``.
    """

    cells: bool = False
    seconds: Annotated[float, Field(gt=0, le=86_400)] = USUAL_SECONDS
    recipe: Choice = ""
    device: Choice = ""

    def pipelines(self, dataset: str, *, top: int) -> RecommendationIn:
        """The question what fits; raises UserError for a limit that is none."""
        wanted = {} if self.cells else {**self.beside, **self.limits()}
        return checked(RecommendationIn, dataset=dataset, seconds=self.seconds, top=top, **wanted)

    def networks(self, dataset: str, *, top: int) -> RecommendationIn:
        """The question which cells fit; raises UserError for a limit that is none."""
        wanted = self.limits() if self.cells else {}
        chosen = {"recipe": self.recipe or None, "device": self.device or None}
        return checked(RecommendationIn, dataset=dataset, space=NETWORKS, top=top, **chosen, **wanted)

    @property
    def address(self) -> str:
        """The same as a part of an address."""
        return urlencode(self.model_dump(exclude_defaults=True))


class Wish(Limited):
    """A search: of so many networks where a ``count`` is given, else by time alone, and then within limits."""

    count: Text = ""
    minutes: Text = ""
    recipe: Choice = TRAINING_RECIPE

    def search(self, dataset: str) -> SearchIn:
        """The job; raises UserError for what is none."""
        try:
            seconds = 60 * float(self.minutes) if self.minutes.strip() else None
            networks: dict[str, Any] = {"train": int(self.count), "recipe": self.recipe} if self.count.strip() else {}
        except ValueError as problem:
            raise UserError(
                f"given {self.count!r} networks and {self.minutes!r} minutes: "
                "give 1 to 1000 networks and a time in minutes, or no time for no limit"
            ) from problem
        return checked(SearchIn, dataset=dataset, seconds=seconds, **networks, **self.beside, **self.limits())


def checked(kind: type[Question], **values: Any) -> Question:
    """A question of the API; raises UserError whose one line names the first value that it does not take."""
    try:
        return kind(**values)
    except ValidationError as problem:
        first = problem.errors()[0]
        told = first["msg"].removeprefix("Value error, ")
        raise UserError(" ".join([*(f"{each}:" for each in first["loc"]), told])) from problem
