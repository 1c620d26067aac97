"""Stages of blocks as decisions: how many blocks a stage has, and kernel and expansion of each.

The choices of Once-for-All (Cai, Gan, Wang, Zhang, Han, 2020). The blocks of a stage are a loop, so that they share
statistics.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from databases.architectures.decisions import Chain, Decision, Program, Repeat, Walk
from databases.architectures.decisions import Sequence as Parts

Block = tuple[int, float]  # kernel, expansion
Stages = tuple[tuple[Block, ...], ...]
_BLOCK = re.compile(r"(\d)x\1e(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class StageChoices:
    """What one stage may be; a single kernel or expansion is nothing to decide.

    Args:
        least, most: blocks.
    """

    kernels: tuple[int, ...]
    expansions: tuple[float, ...]
    least: int
    most: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every block there is."""
        return tuple(itertools.product(self.kernels, self.expansions))


def program(choices: Sequence[StageChoices]) -> Parts:
    """The decisions of all stages, one after the other."""
    return Parts(tuple(_stage(number, each) for number, each in enumerate(choices, start=1)))


def _stage(number: int, of: StageChoices) -> Program:
    name = f"stage {number}"
    kernels, expansions = (tuple(_number(each) for each in options) for options in (of.kernels, of.expansions))
    options = {f"{name} kernel": kernels, f"{name} expansion": expansions}
    block = Chain(*(Decision(what, each) for what, each in options.items() if len(each) > 1))
    if of.least == of.most:
        return Parts((block,) * of.most)
    more = Decision(f"{name} depth", ("stop", "one more"))
    return Parts((*[block] * (of.least - 1), Repeat(block, more, of.most - of.least + 1)))


def read(choices: Sequence[StageChoices], walk: Walk) -> Stages:
    """The blocks that a walk through `program` says."""
    rest, stages = list(walk), list[tuple[Block, ...]]()

    def taken(count: int) -> int:
        return rest.pop(0) if count > 1 else 0

    for of in choices:
        blocks, more = list[Block](), True
        while more:
            kernel = of.kernels[taken(len(of.kernels))]
            blocks.append((kernel, of.expansions[taken(len(of.expansions))]))
            more = len(blocks) < of.least or (len(blocks) < of.most and bool(rest.pop(0)))
        stages.append(tuple(blocks))
    return tuple(stages)


def written(choices: Sequence[StageChoices], stages: Stages) -> Walk | None:
    """The walk of these blocks; None where `program` does not offer them."""
    walk = list[int]()
    if len(stages) != len(choices):
        return None
    for of, blocks in zip(choices, stages, strict=True):
        if not of.least <= len(blocks) <= of.most:
            return None
        for place, (kernel, expansion) in enumerate(blocks):
            if kernel not in of.kernels or expansion not in of.expansions:
                return None
            walk += [1] * (place >= of.least)
            walk += [of.kernels.index(kernel)] * (len(of.kernels) > 1)
            walk += [of.expansions.index(expansion)] * (len(of.expansions) > 1)
        walk += [0] * (len(blocks) < of.most)
    return tuple(walk)


def text(stages: Stages) -> str:
    """As ``3x3e4 5x5e6, 3x3e3``: the blocks, stages after commas."""
    return ", ".join(" ".join(_name(block) for block in blocks) for blocks in stages)


def parsed(given: str) -> Stages:
    """Reads `text` back; of any other text what looks like it."""
    return tuple(tuple((int(k), float(e)) for k, e in _BLOCK.findall(blocks)) for blocks in given.split(", "))


def block_types(choices: Sequence[StageChoices]) -> tuple[str, ...]:
    """The types of the nodes that `nodes` names."""
    blocks = dict.fromkeys(_name(block) for of in choices for block in of.blocks)
    return (*(f"stage {number}" for number in range(1, len(choices) + 1)), *blocks)


def nodes(stages: Stages) -> Iterator[str]:
    """For each stage a node of its own and its blocks."""
    for number, blocks in enumerate(stages, start=1):
        yield f"stage {number}"
        yield from map(_name, blocks)


def places(choices: Sequence[StageChoices]) -> int:
    """Most nodes that `nodes` names."""
    return sum(1 + of.most for of in choices)


def _name(block: Block) -> str:
    kernel, expansion = block
    return f"{kernel}x{kernel}e{_number(expansion)}"


def _number(value: float) -> str:
    return f"{value:g}"
