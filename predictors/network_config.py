"""What the networks of a meta-model share: how they are kept in the header, and the numbers of their recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from databases.errors import UserError
from databases.records.recipe import FIRST_RECIPES, RECIPES
from databases.usual import DEFAULT_SPACE


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is made for; stored in the checkpoint's header. ``recipes`` are numbered in this order."""

    features: int
    space: str = DEFAULT_SPACE
    recipes: tuple[str, ...] = tuple(RECIPES)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Reads `to_json` back; a header without recipes is an early one."""
        return cls(**{**values, "recipes": tuple(values.get("recipes", FIRST_RECIPES))})

    def number(self, recipe: str) -> int:
        """The row of a recipe in what is learnt for each; raises `UserError` where the network does not know it."""
        if recipe not in self.recipes:
            known = ", ".join(self.recipes)
            raise UserError(f"this model does not know the recipe {recipe!r}: choose one of {known}")
        return self.recipes.index(recipe)
