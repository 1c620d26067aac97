"""GraphDecoder: the one policy. It writes a walk through any decision graph, decision by decision.

One recurrent cell, stepped once per decision; its input is the last choice, the decision's vertex and how often it
was met, a context vector and, where the decision adds a node, the mean state of the nodes that feed it. The head
belongs to the vertex: one-of-n (linear), pointer and subset (attention over the earlier nodes; Zoph, Le, 2017). What
the context is and how the weights are trained makes it MetaD2A's generator (Lee, Hyung, Hwang, 2021) or a
controller.

Hundreds of walks go at once: those that stand at the same decision are stepped together, however they came there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from databases.architectures.decisions import Decision, Program, Repeat, Scope, State, Walk
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.space import Space

MOST_VISITS = 32  # of a vertex in a walk that are told apart


@dataclass(frozen=True, eq=False)
class Walks:
    """Finished walks. log_probability, entropy: (n,) sums over each walk's decisions, differentiable.

    steps: each a decision's name, the (m,) walks that took it together, and their (m,) log probabilities.
    """

    walks: list[Walk]
    log_probability: Tensor
    entropy: Tensor
    steps: list[tuple[str, Tensor, Tensor]]


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
        visits = min(MOST_VISITS, max(most_visits(chosen.program).values(), default=1))
        self.visit = nn.Embedding(visits, width) if visits > 1 else None  # where a vertex may be met again
        if self.visit is not None:
            nn.init.zeros_(self.visit.weight)

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
        begin = torch.tanh(self.begin(context))
        batch = _Batch(self.space.start(), begin, self.choice.num_embeddings - 1, len(self.number))
        told = self.context(context)  # (n, width)
        while groups := _groups(batch.states):
            for (decision, earlier), members in groups.items():
                rows = None if len(members) == len(context) else torch.tensor(members, device=context.device)
                nodes = [_pick(each, rows) for each in batch.nodes[:earlier]]
                x = self.choice(_pick(batch.last, rows)) + _pick(told, rows)
                x = x + self.vertex.weight[self.number[decision.name]]
                if self.visit is not None:
                    x = x + self.visit(batch.visit(self.number[decision.name], rows, self.visit.num_embeddings))
                if decision.feeds:
                    x = x + self.feeds(torch.stack([nodes[i] for i in decision.feeds]).mean(0))
                h = self.cell(x, _pick(batch.hidden, rows))
                wanted = None if given is None else [given[m][len(batch.walks[m])] for m in members]
                logits = self._squashed(self._logits(decision, h, nodes)) / temperature
                chosen = _choose(decision, logits, wanted, generator, self.choice.num_embeddings - 1)
                batch.advance(decision, members, rows, h, chosen)
        return batch.walked()

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

    def __init__(self, start: State, hidden: Tensor, no_choice: int, vertices: int) -> None:
        count = len(hidden)
        self.states = [start] * count
        self.walks: list[list[int]] = [[] for _ in range(count)]
        self.hidden = hidden
        self.nodes: list[Tensor] = [torch.zeros_like(hidden) for _ in range(start.nodes)]
        self.last = torch.full((count,), no_choice, device=hidden.device)
        self._visits = torch.zeros(vertices, count, dtype=torch.int64, device=hidden.device)
        self._every = torch.arange(count, device=hidden.device)
        self._steps: list[tuple[str, Tensor, Tensor, Tensor]] = []  # what, whose, log probabilities, entropies

    def advance(self, decision: Decision, members: list[int], rows: Tensor | None, h: Tensor, chosen: _Chosen) -> None:
        """Takes the choices of ``members``, who all stand at ``decision``; ``h`` is their new hidden state."""
        self.hidden = _put(self.hidden, rows, h)
        self.last = _put(self.last, rows, chosen.token)
        whose = self._every if rows is None else rows
        self._steps.append((decision.name, whose, chosen.log_probability, chosen.entropy))
        if decision.adds_node:
            place = self.states[members[0]].nodes
            if place == len(self.nodes):
                self.nodes.append(torch.zeros_like(self.hidden))
            self.nodes[place] = _put(self.nodes[place], rows, h)
        taken: dict[tuple[int, int], State] = {}  # walks share their states: each is hashed once
        for member, choice in zip(members, chosen.choices, strict=True):
            self.walks[member].append(choice)
            state = self.states[member]
            if (key := (id(state), choice)) not in taken:
                taken[key] = state.take(choice)
            self.states[member] = taken[key]

    def visit(self, vertex: int, rows: Tensor | None, most: int) -> Tensor:
        """(m,) how often the walks of ``rows`` met the vertex before, less than ``most``; counts this time."""
        of_vertex = self._visits[vertex]
        before = _pick(of_vertex, rows).clamp(max=most - 1)
        of_vertex += 1 if rows is None else torch.zeros_like(of_vertex).index_fill_(0, rows, 1)
        return before

    def walked(self) -> Walks:
        """The finished walks, with the sums over their steps."""
        rows, log_probability, entropy = (torch.cat(each) for each in list(zip(*self._steps, strict=True))[1:])
        zero = self.hidden.new_zeros(len(self.walks))
        sums = zero.index_add(0, rows, log_probability), zero.index_add(0, rows, entropy)
        return Walks([tuple(walk) for walk in self.walks], *sums, [step[:3] for step in self._steps])


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


def vertices(part: Program) -> list[Decision]:
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


def most_visits(part: Program) -> Counter[str]:
    """How often a walk can meet each vertex."""
    if isinstance(part, Decision):
        return Counter([part.name])
    if isinstance(part, Parts):
        return sum((most_visits(each) for each in part.parts), Counter())
    if isinstance(part, Repeat):
        body = most_visits(part.body)
        return Counter({name: part.most * times for name, times in body.items()} | {part.again.name: part.most})
    if isinstance(part, Scope):
        return most_visits(part.body)
    inner: Counter[str] = Counter()
    for _, each in part.parts:
        inner |= most_visits(each)
    return inner + Counter([part.decision.name])


def _groups(states: Sequence[State]) -> dict[tuple[Decision, int], list[int]]:
    """The unfinished walks, by the decision they stand at and how many earlier nodes it sees."""
    at: dict[int, list[int]] = defaultdict(list)
    for member, state in enumerate(states):
        at[id(state)].append(member)
    groups: dict[tuple[Decision, int], list[int]] = defaultdict(list)
    for members in at.values():
        state = states[members[0]]
        if (decision := state.decision) is not None:
            groups[decision, state.nodes] += members
    return {key: sorted(members) for key, members in groups.items()}


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
