"""The normal cells of five published searches, as Shu, Wang and Cai (2020) compared them, with their shapes.

Each is written as the earlier states that its blocks read; 0 and 1 are the cell's inputs. What the blocks do with
them does not matter to width and depth.
"""

from __future__ import annotations

from dataclasses import dataclass

from databases.architectures.cell_shape import CellShape

Sources = tuple[tuple[int, int], ...]

# ENAS's published cell, written in the space `enas-micro`.
ENAS_CELL = (
    "sep3x3(1)+identity(1) sep5x5(1)+identity(0) avg3x3(0)+sep3x3(1) sep3x3(0)+avg3x3(1) sep5x5(1)+avg3x3(0) / "
    "sep5x5(0)+avg3x3(1) sep3x3(1)+avg3x3(1) avg3x3(1)+sep3x3(1) sep5x5(4)+avg3x3(1) sep3x3(5)+sep5x5(0)"
)


@dataclass(frozen=True)
class Known:
    """A published cell, and the width and depth that the paper gives it."""

    sources: Sources
    shape: CellShape


PUBLISHED = {
    "NASNet-A": Known(((1, 0), (0, 0), (1, 0), (0, 0), (1, 1)), CellShape(5.0, 2)),
    "AmoebaNet-A": Known(((0, 1), (0, 2), (0, 3), (1, 1), (0, 1)), CellShape(4.0, 4)),
    "ENAS": Known(((1, 1), (1, 0), (0, 1), (0, 1), (1, 0)), CellShape(5.0, 2)),
    "DARTS": Known(((0, 1), (0, 1), (1, 0), (0, 2)), CellShape(3.5, 3)),
    "SNAS": Known(((0, 1), (0, 1), (1, 0), (0, 1)), CellShape(4.0, 2)),
}
