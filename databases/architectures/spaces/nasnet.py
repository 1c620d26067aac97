"""NASNet (Zoph, Vasudevan, Shlens, Le, 2018): two cells of five blocks, thirteen operations, add or concatenate.

A cell's states 0 and 1 are the outputs of the last cell but one and of the last. After a concatenation a 1x1
convolution brings the state back to the cell's width (ours: the paper matches shapes where a state is read).
"""

from __future__ import annotations

from databases.architectures.spaces.block_space import BlockSpace

OPERATIONS = (
    *("identity", "1x3-3x1", "1x7-7x1", "dilated3x3", "avg3x3", "max3x3", "max5x5", "max7x7"),
    *("conv1x1", "conv3x3", "sep3x3", "sep5x5", "sep7x7"),
)

# The published genotype. Which states its cells concatenate follows here, as everywhere, from what is not read:
# all five blocks of the normal cell, the last three of the reduction cell.
NASNET_A = (
    "sep5x5(1)+sep3x3(0) sep5x5(0)+sep3x3(0) avg3x3(1)+identity(0) avg3x3(0)+avg3x3(0) sep3x3(1)+identity(1) / "
    "sep5x5(1)+sep7x7(0) max3x3(1)+sep7x7(0) avg3x3(1)+sep5x5(0) identity(3)+avg3x3(2) sep3x3(2)+max3x3(1)"
)

NASNET = BlockSpace(
    "nasnet",
    {name: name for name in OPERATIONS},
    network="blocks:BlockNetwork",
    example=NASNET_A,
    blocks=5,
    joins=("add", "concat"),
)
