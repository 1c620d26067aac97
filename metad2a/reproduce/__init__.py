"""DEMONSTRATIONS: one module a published system; `metad2a reproduce NAME` runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from databases.errors import unknown
from databases.registry import Registry

if TYPE_CHECKING:
    from metad2a.reproduce.demonstration import Demonstration

# name -> (module with DEMONSTRATION, one line for `metad2a reproduce --help`)
_LISTED = {
    "metad2a": ("metad2a_system", "MetaD2A: an answer at once, against searchers that measure; without its parts"),
    "loop": (
        "loop.demonstration",
        "The loop of search, which learns from its trainings, against searchers without its parts",
    ),
    "naswot": ("naswot", "NASWOT, AREA: untrained networks rank cells and start evolution well"),
    "warm-start": ("warm_start", "warm start: a policy that begins as MetaD2A's generator and goes on learning"),
    "mnms": ("mnms.demonstration", "MNMS: one controller for many tasks, and what it is worth on a new one"),
    "nasnet": ("nasnet.demonstration", "NASNet: a cell searched on one small image set transfers to another"),
    "graph-space": ("graph_space.demonstration", "graph search space: fewer trials than the same space as a flat list"),
    "task-similarity": (
        "task_similarity.demonstration",
        "task similarity: Fisher distances, transfer, and the nearest task's reduced space",
    ),
    "cells": ("cells.demonstration", "cells understood: width and depth, what they go with, and what searches find"),
    "enas": ("enas.demonstration", "ENAS: shared weights rank children; running statistics break it"),
    "instanas": ("instanas.demonstration", "InstaNAS: a path for each image, against static networks as accurate"),
    "lpt": ("lpt", "LPT: tests that are hard but clean, and an architecture that passes them"),
    "shufflenasnets": (
        "shufflenasnets.demonstration",
        "ShuffleNASNets: time and accuracy of cells in two frames at equal parameters",
    ),
    "mdenas": (
        "mdenas.demonstration",
        "MDENAS: short trainings rank cells; the multinomial in the table and on shared weights",
    ),
    "nsganetv2": ("nsganetv2.demonstration", "NSGANetV2: 340 fine-tunings of inherited subnets against one answer"),
    "nas-rl": ("nas_rl.demonstration", "NAS with RL: a policy learns cells, skip connections and a recurrent cell"),
}
LINES = {name: line for name, (_, line) in _LISTED.items()}
DEMONSTRATIONS: Registry[Demonstration] = Registry(
    "metad2a.reproduce", {name: f"{module}:DEMONSTRATION" for name, (module, _) in _LISTED.items()}
)


def find_demonstration(name: str) -> Demonstration:
    """The demonstration of that name; raises `UserError` that lists the known ones."""
    if name not in DEMONSTRATIONS:
        raise unknown("demonstration", name, DEMONSTRATIONS)
    return DEMONSTRATIONS[name]
