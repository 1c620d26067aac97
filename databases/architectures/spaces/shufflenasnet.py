"""The space of ShuffleNASNets (Laube, Zell, 2018): cells of blocks inside the unit of ShuffleNet V2.

The paper is known here from its abstract and from notes only. Inferred by this project: four blocks of two inputs
each in both cells, ENAS's five operations with the light separable convolution of ShuffleNet V2, state 0 as the
cell's only input, and sums as the only joins.
"""

from __future__ import annotations

from databases.architectures.spaces.block_space import BlockSpace

OPERATIONS = {
    "sep3x3": "light3x3",
    "sep5x5": "light5x5",
    "avg3x3": "avg3x3",
    "max3x3": "max3x3",
    "identity": "identity",
}

SHUFFLENASNET = BlockSpace(
    "shufflenasnet",
    OPERATIONS,
    network="shuffle:ShuffleNetwork",
    shared="ShuffleSupernet",
    example=(
        "sep3x3(0)+identity(0) sep5x5(1)+sep3x3(0) avg3x3(1)+identity(2) max3x3(0)+sep3x3(2) / "
        "sep5x5(0)+max3x3(0) sep3x3(1)+identity(1) avg3x3(0)+sep3x3(1) identity(3)+sep3x3(2)"
    ),
    blocks=4,
    inputs=1,
)
