"""The micro space of ENAS (Pham, Guan, Zoph, Le, Dean, 2018): two cells of five blocks, five operations, sums.

A cell's states 0 and 1 are the outputs of the last cell but one and of the last.
"""

from __future__ import annotations

from databases.architectures.spaces.block_space import BlockSpace

OPERATIONS = ("sep3x3", "sep5x5", "avg3x3", "max3x3", "identity")

ENAS_MICRO = BlockSpace(
    "enas-micro",
    {name: name for name in OPERATIONS},
    network="blocks:BlockNetwork",
    example=(
        "sep3x3(1)+identity(0) sep5x5(1)+sep3x3(2) avg3x3(0)+sep3x3(1) max3x3(1)+identity(3) sep5x5(0)+avg3x3(1) / "
        "sep5x5(0)+sep3x3(1) max3x3(1)+sep3x3(2) avg3x3(1)+identity(2) sep5x5(3)+sep3x3(0) identity(4)+max3x3(1)"
    ),
    blocks=5,
)
