"""GraphDecoder: the one policy. It writes a walk through any decision graph, decision by decision.

One recurrent cell, stepped once per decision; its input is the last choice, the decision's vertex, a context
vector and, where the decision adds a node, the mean state of the nodes that feed it. The head belongs to the
vertex: one-of-n (linear), pointer and subset (attention over the earlier nodes; Zoph, Le, 2017). What the
context is and how the weights are trained makes it MetaD2A's generator (Lee, Hyung, Hwang, 2021) or a
controller.

Hundreds of walks go at once: walks that stand at the same decision are stepped together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from databases.architectures.architecture import Space
from databases.architectures.decisions import Decision, Part, Repeat, Scope, State, Walk
from databases.architectures.decisions import Sequence as Parts


@dataclass(frozen=True, eq=False)
class Walks:
    """Finished walks. log_probability, entropy: (n,) sums over each walk's decisions, differentiable."""

    walks: list[Walk]
    log_probability: Tensor
    entropy: Tensor


class GraphDecoder(nn.Module):
    """The recurrent policy over one space's decision graph.

    Args:
        chosen: the space. context: size of the context vector (0 for none: give it one zero). width: size of the
            state. squash: the largest logit, ``squash * tanh(logit)``, which keeps every choice alive (ENAS; Pham
            et al., 2018); None for free logits.
    """

    def __init__(self, chosen: Space, *, context: int, width: int = 96, squash: float | None = None) -> None:
        super().__init__()
        self.space, self.width, self.squash = chosen, width, squash
        decisions = {each.name: each for each in vertices(chosen.program)}
        self.number = {name: i for i, name in enumerate(decisions)}
        most = max((len(each.options) for each in decisions.values()), default=1)
        self.vertex = nn.Embedding(len(decisions), width)
        self.choice = nn.Embedding(most + 1, width)  # the last entry: no choice yet, or nodes chosen
        self.begin = nn.Linear(max(1, context), width)
        self.cell = nn.GRUCell(width, width)
        self.context = nn.Linear(max(1, context), width)
        self.feeds = nn.Linear(width, width, bias=False)
        self.heads = nn.ModuleDict(
            {str(i): nn.Linear(width, max(1, len(each.options))) for i, each in enumerate(decisions.values())}
        )
        self.anchor = nn.Linear(width, width, bias=False)
        self.attend = nn.Linear(width, 1)

    def sample(self, context: Tensor, *, generator: torch.Generator | None = None, temperature: float = 1.0) -> Walks:
        """(n, context) -> n drawn walks, every one valid."""
        return self._run(context, None, generator, temperature)

    def score(self, context: Tensor, walks: Sequence[Walk]) -> Walks:
        """(n, context) and n walks -> their log probabilities and entropies."""
        return self._run(context, walks, None, 1.0)

    def _run(
        self,
        context: Tensor,
        given: Sequence[Walk] | None,
        generator: torch.Generator | None,
        temperature: float,
    ) -> Walks:
        batch = _Batch(self.space.start(), torch.tanh(self.begin(context)), self.choice.num_embeddings - 1)
        told = self.context(context)  # (n, width)
        while groups := _groups(batch.states):
            for state, members in groups.items():
                decision = _decision(state)
                rows = None if len(members) == len(context) else torch.tensor(members, device=context.device)
                nodes = [_pick(each, rows) for each in batch.nodes[: state.nodes]]
                x = self.choice(_pick(batch.last, rows)) + _pick(told, rows)
                x = x + self.vertex.weight[self.number[decision.name]]
                if decision.feeds:
                    x = x + self.feeds(torch.stack([nodes[i] for i in decision.feeds]).mean(0))
                h = self.cell(x, _pick(batch.hidden, rows))
                wanted = None if given is None else [given[m][len(batch.walks[m])] for m in members]
                logits = self._squashed(self._logits(decision, h, nodes)) / temperature
                chosen = _choose(decision, logits, wanted, generator, self.choice.num_embeddings - 1)
                batch.advance(state, members, rows, h, chosen)
        return Walks([tuple(walk) for walk in batch.walks], batch.log_probability, batch.entropy)

    def _logits(self, decision: Decision, h: Tensor, nodes: Sequence[Tensor]) -> Tensor:
        """(m, width) -> (m, options), or (m, earlier nodes) of a pointer or subset."""
        if decision.kind == "one_of":
            logits: Tensor = self.heads[str(self.number[decision.name])](h)
            return logits
        if not nodes:  # the empty subset is the only one
            return h.new_zeros(len(h), 0)
        earlier = torch.stack(list(nodes), dim=1)  # (m, nodes, width)
        scores: Tensor = self.attend(torch.tanh(self.anchor(earlier) + h[:, None])).squeeze(-1)
        return scores

    def _squashed(self, logits: Tensor) -> Tensor:
        return logits if self.squash is None else self.squash * torch.tanh(logits)


class _Batch:
    """Walks under way: where each stands, its recurrent state, and the states of its nodes.

    ``nodes[k]`` (n, width) is the k-th node of every walk that has so many; walks may open it at different
    steps.
    """

    def __init__(self, start: State, hidden: Tensor, no_choice: int) -> None:
        count = len(hidden)
        self.states = [start] * count
        self.walks: list[list[int]] = [[] for _ in range(count)]
        self.hidden = hidden
        self.nodes: list[Tensor] = [torch.zeros_like(hidden) for _ in range(start.nodes)]
        self.last = torch.full((count,), no_choice, device=hidden.device)
        self.log_probability, self.entropy = hidden.new_zeros(count), hidden.new_zeros(count)

    def advance(self, state: State, members: list[int], rows: Tensor | None, h: Tensor, chosen: _Chosen) -> None:
        """Takes the choices of ``members``, who all stand at ``state``; ``h`` is their new hidden state."""
        self.hidden = _put(self.hidden, rows, h)
        self.last = _put(self.last, rows, chosen.token)
        self.log_probability = _put(
            self.log_probability, rows, _pick(self.log_probability, rows) + chosen.log_probability
        )
        self.entropy = _put(self.entropy, rows, _pick(self.entropy, rows) + chosen.entropy)
        if _decision(state).adds_node:
            if state.nodes == len(self.nodes):
                self.nodes.append(torch.zeros_like(self.hidden))
            self.nodes[state.nodes] = _put(self.nodes[state.nodes], rows, h)
        for member, choice in zip(members, chosen.choices, strict=True):
            self.walks[member].append(choice)
            self.states[member] = state.take(choice)


@dataclass(frozen=True, eq=False)
class _Chosen:
    """One choice each of m walks; log_probability, entropy, token (the next input): (m,)."""

    choices: list[int]
    log_probability: Tensor
    entropy: Tensor
    token: Tensor


def _pick(x: Tensor, rows: Tensor | None) -> Tensor:
    return x if rows is None else x[rows]


def _put(x: Tensor, rows: Tensor | None, new: Tensor) -> Tensor:
    return new if rows is None else x.index_copy(0, rows, new)


def vertices(part: Part) -> list[Decision]:
    """Every decision of a program, each once, in the order of first appearance."""
    if isinstance(part, Decision):
        return [part]
    if isinstance(part, Parts):
        inner = [each for p in part.parts for each in vertices(p)]
    elif isinstance(part, Repeat):
        inner = [*vertices(part.body), part.again]
    elif isinstance(part, Scope):
        inner = vertices(part.body)
    else:
        inner = [part.decision, *(each for _, p in part.parts for each in vertices(p))]
    return list({each.name: each for each in inner}.values())


def _groups(states: Sequence[State]) -> dict[State, list[int]]:
    """The unfinished walks, by where they stand."""
    groups: dict[State, list[int]] = defaultdict(list)
    for member, state in enumerate(states):
        if state.pending:
            groups[state].append(member)
    return groups


def _decision(state: State) -> Decision:
    decision = state.decision
    assert decision is not None
    return decision


def _choose(
    decision: Decision,
    logits: Tensor,
    wanted: list[int] | None,
    generator: torch.Generator | None,
    no_option: int,
) -> _Chosen:
    """(m, k) logits -> the ``wanted`` choices, or drawn ones; ``no_option`` is the token of chosen nodes."""
    if decision.kind == "subset":
        return _choose_subset(logits, wanted, generator, no_option)
    log_p = logits.log_softmax(1)
    if wanted is None:
        index = torch.multinomial(log_p.exp().detach().cpu(), 1, generator=generator).squeeze(1)
    else:
        index = torch.tensor(wanted)
    index = index.to(logits.device)
    entropy = -(log_p.exp() * log_p).sum(1)
    token = index if decision.kind == "one_of" else torch.full_like(index, no_option)
    return _Chosen(index.tolist(), log_p.gather(1, index[:, None]).squeeze(1), entropy, token)


def _choose_subset(
    logits: Tensor, wanted: list[int] | None, generator: torch.Generator | None, no_option: int
) -> _Chosen:
    """(m, nodes) logits -> a bit mask of nodes each, every bit on its own."""
    on, off = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
    if wanted is None:
        bits = torch.rand(logits.shape, generator=generator) < logits.sigmoid().detach().cpu()
    else:
        bits = torch.tensor([[choice >> j & 1 for j in range(logits.shape[1])] for choice in wanted]).bool()
    bits = bits.to(logits.device)
    choices = [sum(1 << j for j, bit in enumerate(row) if bit) for row in bits.tolist()]
    entropy = -(on.exp() * on + off.exp() * off).sum(1)
    token = torch.full((len(logits),), no_option, device=logits.device)
    return _Chosen(choices, torch.where(bits, on, off).sum(1), entropy, token)
