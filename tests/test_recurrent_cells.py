"""Recurrent cells: descriptions of known cells compute what torch's own cells compute."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from databases.architectures.networks.recurrent import HighwayCell, TreeCell
from databases.architectures.space import recurrent_space
from databases.architectures.spaces.enas_recurrent import ENAS_RECURRENT
from databases.architectures.spaces.nas_rl_recurrent import NASRLRecurrent

INPUTS, WIDTH = 3, 5
TREES = NASRLRecurrent()


def tree_cell(text: str) -> TreeCell:
    return TREES.cell(TREES.parse(text), INPUTS, WIDTH)


def sequence() -> Tensor:
    return torch.randn(7, 2, INPUTS, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def give(cell: TreeCell | HighwayCell, leaf: int, source: nn.RNNBase, gate: int) -> None:
    """Gives one map of the cell the weights of a gate of torch's cell."""
    to, of = (slice(i * WIDTH, (i + 1) * WIDTH) for i in (leaf, gate))
    for linear, suffix in ((cell.read, "ih_l0"), (cell.recall, "hh_l0")):
        linear.weight[to] = source.get_parameter(f"weight_{suffix}")[of]
        linear.bias[to] = source.get_parameter(f"bias_{suffix}")[of]


@torch.no_grad()
def silence(cell: TreeCell) -> None:
    for parameter in cell.parameters():
        parameter.zero_()


def test_the_papers_example_is_its_formula() -> None:
    torch.manual_seed(0)
    cell = tree_cell("add tanh, multiply relu, multiply sigmoid; add relu into 0, memory 1")
    x, h, c = sequence(), torch.zeros(2, WIDTH), torch.zeros(2, WIDTH)
    expected = []
    for each in x:
        (w1, w3), (w2, w4) = cell.read(each).chunk(2, -1), cell.recall(h).chunk(2, -1)
        product = w3 * w4
        h = torch.sigmoid(torch.relu(torch.tanh(w1 + w2) + c) * torch.relu(product))
        c = product
        expected.append(h)
    outputs, (last, memory) = cell(x)
    torch.testing.assert_close(outputs, torch.stack(expected))
    torch.testing.assert_close(last, h)
    torch.testing.assert_close(memory, c)


def test_a_tree_with_a_silent_leaf_is_the_tanh_cell() -> None:
    torch.manual_seed(0)
    known, cell = (
        nn.RNN(INPUTS, WIDTH),
        tree_cell("add identity, add identity, add tanh; multiply tanh into 1, memory 1"),
    )
    silence(cell)
    give(cell, 0, known, 0)
    torch.testing.assert_close(cell(sequence())[0], known(sequence())[0])


def test_a_tree_of_eight_leaves_is_the_lstm() -> None:
    torch.manual_seed(0)
    known = nn.LSTM(INPUTS, WIDTH)
    leaves = "add identity, add identity, add sigmoid, add tanh, add identity, add identity, add identity, add identity"
    pairs = "add sigmoid, multiply identity, add sigmoid, add identity"  # forget, input * candidate, output, nothing
    top = "add tanh, add identity, multiply identity"  # the memory, the output gate, the output
    cell = tree_cell(f"{leaves}, {pairs}, {top}; multiply identity into 8, memory 12")
    silence(cell)
    for leaf, gate in ((0, 1), (2, 0), (3, 2), (4, 3)):  # torch's order: input, forget, candidate, output
        give(cell, leaf, known, gate)
    expected, (last, memory) = known(sequence())
    outputs, state = cell(sequence())
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(state, (last[0], memory[0]))


def test_one_highway_node_is_the_gru_with_an_open_reset_gate() -> None:
    torch.manual_seed(0)
    known, cell = nn.GRU(INPUTS, WIDTH), HighwayCell(["tanh"], [], INPUTS, WIDTH)
    with torch.no_grad():
        known.get_parameter("bias_ih_l0")[:WIDTH] = 100  # reset gate open
    give(cell, 0, known, 1)
    with torch.no_grad():  # torch's gate says how much stays
        for linear in (cell.read, cell.recall):
            linear.weight[:WIDTH] *= -1
            linear.bias[:WIDTH] *= -1
    give(cell, 1, known, 2)
    torch.testing.assert_close(cell(sequence())[0], known(sequence())[0])


def test_the_unread_nodes_of_an_enas_cell_are_averaged() -> None:
    torch.manual_seed(0)
    chosen = recurrent_space("enas-recurrent")
    cell = chosen.cell(chosen.parse("tanh, relu of 0, sigmoid of 0, identity of 2"), INPUTS, WIDTH)
    assert isinstance(cell, HighwayCell)
    assert cell.loose == [1, 3]
    seen: list[Tensor] = []
    x, h = sequence()[:1], torch.zeros(2, WIDTH)

    def gated(value: Tensor, both: Tensor, activation: str) -> Tensor:
        gate, candidate = both.chunk(2, -1)
        new = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}.get(activation, nn.Identity())(
            candidate
        )
        return value + torch.sigmoid(gate) * (new - value)

    seen.append(gated(h, cell.read(x[0]) + cell.recall(h), "tanh"))
    for linear, source, activation in zip(cell.maps, (0, 0, 2), ("relu", "sigmoid", "identity"), strict=True):
        seen.append(gated(seen[source], linear(seen[source]), activation))
    torch.testing.assert_close(cell(x)[0][0], (seen[1] + seen[3]) / 2)


def test_cells_that_share_weights_compute_what_each_alone_does_and_teach_only_what_they_use() -> None:
    torch.manual_seed(0)
    shared = ENAS_RECURRENT.shared_cell(INPUTS, WIDTH)
    child = ENAS_RECURRENT.parse("tanh, relu of 0, sigmoid of 0, identity of 2")
    activations, previous = ENAS_RECURRENT.nodes_of(child)
    alone = HighwayCell(activations, previous, INPUTS, WIDTH)
    alone.read, alone.recall = shared.read, shared.recall
    alone.maps = nn.ModuleList(shared.map(node, source) for node, source in enumerate(previous, 1))
    shared.take(activations, previous)
    outputs, _ = shared(sequence())
    torch.testing.assert_close(outputs, alone(sequence())[0])
    outputs.sum().backward()
    used = {f"maps.{node - 1}.{source}.weight" for node, source in enumerate(previous, 1)}
    taught = {name for name, each in shared.named_parameters() if each.grad is not None}
    assert {name for name in taught if name.startswith("maps")} == used
