"""The subnets of a pretrained base: of each stage how many blocks are kept, and how much of each block.

Nothing is trained to measure one: it inherits its weights (Once-for-All; Cai, Gan, Wang, Zhang, Han, 2020). One class
for every family of `databases.architectures.supernets.families`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

from databases.architectures.networks import cost
from databases.architectures.skeleton import Blueprint
from databases.architectures.space import Architecture, Space
from databases.architectures.spaces import stages as staged
from databases.architectures.spaces.stages import StageChoices
from databases.architectures.supernets.families import LITE0, MOBILE, RESIDUAL
from databases.architectures.supernets.pretrained import Block, Family, Stages
from databases.architectures.typed_graph import GraphBatch, TypedNode


class Subnets(Space):
    """Architectures as ``3x3e0.5 3x3e1, ...``: kernel and expansion of each block, stages after commas.

    Args:
        family: whose slices these are; the blocks of each of its stages are alike.
    """

    def __init__(self, family: Family) -> None:
        self.family, self.name = family, f"{family.name}-subnets"
        self.choices = tuple(
            StageChoices(*family.options(blocks[0]), least=min(family.least, len(blocks)), most=len(blocks))
            for blocks in family.stages
        )
        self.program = staged.program(self.choices)
        self.node_types = ("padding", "output", "input", *staged.block_types(self.choices))
        self.example = staged.text(family.slice(depth=0))

    @cached_property
    def base(self) -> Architecture:
        """The largest subnet, which is the base itself."""
        return self.of(self.family.stages)

    def stages(self, architecture: Architecture) -> Stages:
        """The blocks of each stage, as `Pretrained.network` takes them."""
        return staged.read(self.choices, architecture.walk)

    def of(self, stages: Stages) -> Architecture:
        """The subnet of these blocks; raises `UserError` where they are no slice of the base."""
        return self.parse(staged.text(self.family.check(stages)))

    def blueprint(self, architecture: Architecture, *, classes: int, input_channels: int = 3) -> Blueprint:
        """How the subnet's network is made."""
        return self.family.blueprint(self.stages(architecture), input_channels, classes)

    def flops(self, architecture: Architecture, *, resolution: int) -> int:
        """Multiply-adds for one square coloured image, as `cost.multiply_adds` counts them, without the classifier.

        What a block costs does not depend on the others, so that thousands of subnets take no time.
        """
        known, least = _block_costs(self, resolution)
        stages = self.stages(architecture)
        blocks = ((stage, place, block) for stage, of in enumerate(stages) for place, block in enumerate(of))
        return least + sum(known[each] for each in blocks)

    def text(self, architecture: Architecture) -> str:
        """The blocks."""
        return staged.text(self.stages(architecture))

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        walk = staged.written(self.choices, staged.parsed(text))
        if walk is None:
            raise self.refuse(text)
        return self.written(text, walk)

    def key(self, architecture: Architecture) -> str:
        """The text: no two walks describe the same network."""
        return self.text(architecture)

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """A row: input, for each stage a node of its own and its blocks, output."""
        places = 2 + staged.places(self.choices)
        return GraphBatch.of([self._graph(each) for each in architectures], self.node_types, places)

    def _graph(self, architecture: Architecture) -> list[TypedNode]:
        names = ("input", *staged.nodes(self.stages(architecture)), "output")
        return [(name, [place - 1] if place else []) for place, name in enumerate(names)]


@lru_cache(maxsize=8)
def _block_costs(of: Subnets, resolution: int) -> tuple[dict[tuple[int, int, Block], int], int]:
    """What each block in each place of each stage costs beyond the least subnet, and what that one costs."""
    smallest, known = of.family.slice(depth=0, kernel=0, expansion=0), dict[tuple[int, int, Block], int]()

    def counted(stages: Stages) -> int:
        network = cost.without_weights(of.family.blueprint(stages, 3, 1).build)
        classifier = cost.parameters(network.get_submodule("classifier"))
        return cost.multiply_adds(cost.with_zeros(network), (3, resolution, resolution)) - classifier

    least = counted(smallest)
    for stage, choices in enumerate(of.choices):
        fewest = smallest[stage]
        for place in range(choices.most):
            before = (*fewest, *fewest[:1] * place)[: max(place, len(fewest))]
            without = counted((*smallest[:stage], before, *smallest[stage + 1 :]))
            for block in choices.blocks:
                with_it = (*before[:place], block, *before[place + 1 :])
                known[stage, place, block] = counted((*smallest[:stage], with_it, *smallest[stage + 1 :])) - without
    return known, least


RESIDUAL_SUBNETS, MOBILENETV3_SUBNETS, LITE0_SUBNETS = (Subnets(each) for each in (RESIDUAL, MOBILE, LITE0))
