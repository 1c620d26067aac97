"""A pretrained base, its elastic decisions and the networks that inherit from it: one mechanism for all families."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from databases.architectures.skeleton import Blueprint
from databases.architectures.supernets.inherit import inherit
from databases.errors import UserError

Block = tuple[int, float]  # kernel, expansion: hidden channels for one of the block's input (residual: output)
Stages = tuple[tuple[Block, ...], ...]


@dataclass(frozen=True)
class Family:
    """Networks of one class; the largest is the base, the others are its slices.

    Attributes:
        stages: the blocks of the base.
        kernels, expansions: what a block may have instead, where that is less than the base's.
        least: blocks that a stage keeps at least, where it has them.
        blueprint: (stages, input channels, classes) -> how that network is made.
        resolutions: sides in pixels at which its weights are worth using.
    """

    name: str
    stages: Stages
    kernels: tuple[int, ...]
    expansions: tuple[float, ...]
    least: int
    blueprint: Callable[[Stages, int, int], Blueprint]
    resolutions: tuple[int, ...]

    def slice(self, *, depth: int | None = None, kernel: int | None = None, expansion: float | None = None) -> Stages:
        """The stages with at most so many blocks, of at most this kernel and expansion, or the least there are."""
        return tuple(
            tuple(
                (int(_most(k, self.kernels, kernel)), _most(e, self.expansions, expansion))
                for k, e in blocks[: None if depth is None else max(depth, self.least)]
            )
            for blocks in self.stages
        )

    def check(self, stages: Iterable[Iterable[Block]]) -> Stages:
        """The stages as tuples; raises `UserError` where they are no slice of the base."""
        asked = tuple(tuple((int(k), e) for k, e in blocks) for blocks in stages)
        if len(asked) != len(self.stages):
            raise UserError(f"given {len(asked)} stages; {self.name} has {len(self.stages)}; give so many")
        for number, (blocks, whole) in enumerate(zip(asked, self.stages, strict=True), start=1):
            least = min(self.least, len(whole))
            if not least <= len(blocks) <= len(whole):
                allowed = f"stage {number} of {self.name} keeps {least} to {len(whole)}"
                raise UserError(f"given {len(blocks)} blocks; {allowed}; give one of these")
            for (kernel, expansion), block in zip(blocks, whole, strict=False):
                kernels, expansions = self.options(block)
                _among(kernel, kernels, f"kernels of stage {number} of {self.name}")
                _among(expansion, expansions, f"expansions of stage {number} of {self.name}")
        return asked

    def options(self, block: Block) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """The kernels and expansions that a slice of this block of the base may have."""
        kernel, expansion = block
        return tuple(map(int, _options(kernel, self.kernels))), _options(expansion, self.expansions)


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A family with weights.

    Attributes:
        weights: of the base, float32 on the CPU; not to be changed.
        mean, scale: normalisation of the images, for each colour on the 0..255 scale.
        classes: how many it was trained on.
        card: what the weights are: data, terms, accuracy.
    """

    family: Family
    weights: Mapping[str, Tensor]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    classes: int
    card: Mapping[str, Any]

    @property
    def name(self) -> str:
        """That of the family."""
        return self.family.name

    @cached_property
    def digest(self) -> str:
        """16 hex digits that name the weights: what was measured with others is no measurement of these."""
        found = hashlib.sha256()
        for name, value in self.weights.items():
            found.update(name.encode())
            found.update(value.contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides in pixels at which the weights are worth using."""
        return self.family.resolutions

    def blueprint(
        self, stages: Iterable[Iterable[Block]] | None = None, *, classes: int | None = None, input_channels: int = 3
    ) -> Blueprint:
        """How the subnet of these stages is made; by default the base, for the classes it was trained on.

        Raises:
            UserError: the stages are no slice of the base, or the images are neither grey nor coloured.
        """
        asked = self.family.stages if stages is None else self.family.check(stages)
        _among(input_channels, (1, 3), "input channels of a pretrained network")
        return self.family.blueprint(asked, input_channels, self.classes if classes is None else classes)

    def network(
        self, stages: Iterable[Iterable[Block]] | None = None, *, classes: int | None = None, input_channels: int = 3
    ) -> nn.Module:
        """The subnet of these stages with its slices of the weights, as an ordinary network of its Blueprint.

        For another number of classes the classifier is zero, for grey images the stem is summed over the colours.
        No random number is drawn. Statistics are those of the base: see `recalibrate`.

        Raises:
            UserError: as `blueprint`.
        """
        with torch.device("meta"):
            made = self.blueprint(stages, classes=classes, input_channels=input_channels).build()
        inherit(self._base, made)
        return made.eval()

    def normalisation(self, input_channels: int = 3) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and scale for each channel of such images, on the 0..255 scale; grey is their mean."""
        if input_channels == 3:
            return self.mean, self.scale
        return (sum(self.mean) / len(self.mean),), (sum(self.scale) / len(self.scale),)

    @cached_property
    def _base(self) -> nn.Module:
        with torch.device("meta"):
            base = self.blueprint().build()
        base.load_state_dict(dict(self.weights), assign=True)
        return base.requires_grad_(False)


def _options(base: float, options: Iterable[float]) -> tuple[float, ...]:
    return (*sorted(option for option in options if option < base), base)


def _most(base: float, options: Iterable[float], cap: float | None) -> float:
    """The largest option up to the cap, the smallest where there is none."""
    allowed = _options(base, options)
    return max((option for option in allowed if cap is None or option <= cap), default=allowed[0])


def _among(value: float, options: Iterable[float], what: str) -> None:
    if value not in options:
        allowed = ", ".join(f"{option:g}" for option in options)
        raise UserError(f"given {value!r}; {what} are {allowed}; give one of these")
