"""Recurrent cells as torch modules, with the interface of torch's own (`nn.RNN`, `nn.LSTM`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from databases.architectures.networks.plans import Tree

States: TypeAlias = tuple[Tensor, ...]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}
COMBINERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": torch.add, "multiply": torch.mul}


class RecurrentCell(nn.Module):
    """A cell that is stepped through time; the last step's states go into the next call.

    Args:
        inputs: size of an input. width: size of the output, which is also the first state.
        maps: linear maps of (input, last output) that the cell needs. states: number of states.
    """

    def __init__(self, inputs: int, width: int, *, maps: int, states: int) -> None:
        super().__init__()
        self.width, self.states = width, states
        self.read = nn.Linear(inputs, maps * width)
        self.recall = nn.Linear(width, maps * width)

    def forward(self, x: Tensor, state: States | None = None) -> tuple[Tensor, States]:
        """(steps, batch, inputs) and the states, each (batch, width) -> (steps, batch, width) and the new states.

        States that are not given are zero.
        """
        now = state or (x.new_zeros(x.shape[1], self.width),) * self.states
        outputs = []
        for read in self.read(x):  # (batch, maps * width)
            now = self.step(read, self.recall(now[0]), now)
            outputs.append(now[0])
        return torch.stack(outputs), now

    @abstractmethod
    def step(self, read: Tensor, recalled: Tensor, state: States) -> States:
        """The maps of the input and of the last output, (batch, maps * width) each -> the new states."""


class TreeCell(RecurrentCell):
    """The cell of a `Tree`: the root's value is the output, and a memory is carried beside it."""

    def __init__(self, tree: Tree, inputs: int, width: int) -> None:
        super().__init__(inputs, width, maps=tree.leaves, states=2)
        self.tree = tree

    def step(self, read: Tensor, recalled: Tensor, state: States) -> States:
        """The maps, (batch, leaves * width) each -> output and memory of the step, (batch, width) each."""
        tree, values, memory = self.tree, list[Tensor](), state[1]
        pairs = list(zip(read.chunk(tree.leaves, -1), recalled.chunk(tree.leaves, -1), strict=True))
        for node, (combiner, activation) in enumerate(tree.nodes):
            of = tree.children(node)
            value = COMBINERS[combiner](*([values[i] for i in of] if of else pairs[node]))
            if node == tree.memory:
                memory = value
            value = ACTIVATIONS[activation](value)
            if node == tree.into:
                mix, activation = tree.inject
                value = ACTIVATIONS[activation](COMBINERS[mix](value, state[1]))
            values.append(value)
        return values[-1], memory


class HighwayCell(RecurrentCell):
    """ENAS's recurrent cell (Pham, Guan, Zoph, Le, Dean, 2018): gated nodes, the mean of the unread is the output.

    Every node moves its input towards an activation of it, as far as a gate says; the first one's input is the
    last output.

    Args:
        activations: name of each node's. previous: the node that each node but the first reads.
    """

    def __init__(self, activations: Sequence[str], previous: Sequence[int], inputs: int, width: int) -> None:
        super().__init__(inputs, width, maps=2, states=1)
        self.take(activations, previous)
        self.maps = nn.ModuleList(nn.Linear(width, 2 * width, bias=False) for _ in previous)

    def take(self, activations: Sequence[str], previous: Sequence[int]) -> None:
        """From now on it is the cell of these nodes."""
        self.activations = [ACTIVATIONS[each] for each in activations]
        self.previous = tuple(previous)
        self.loose = [node for node in range(len(activations)) if node not in self.previous]

    def map(self, node: int, source: int) -> nn.Module:
        """What a node but the first applies to the one that it reads."""
        return self.maps[node - 1]

    def step(self, read: Tensor, recalled: Tensor, state: States) -> States:
        """The maps, (batch, 2 * width) each -> the output of the step, (batch, width), which is its only state."""
        values = [self._gated(0, state[0], read + recalled)]
        for node, source in enumerate(self.previous, 1):
            values.append(self._gated(node, values[source], self.map(node, source)(values[source])))
        if len(self.loose) == 1:
            return (values[self.loose[0]],)
        return (torch.stack([values[node] for node in self.loose]).mean(0),)

    def _gated(self, node: int, value: Tensor, both: Tensor) -> Tensor:
        gate, candidate = both.chunk(2, -1)
        return torch.lerp(value, self.activations[node](candidate), torch.sigmoid(gate))
