"""GraphDecoder: the one policy. It writes a walk through any decision graph, decision by decision.

One recurrent cell, stepped once per decision; its input is the last choice, the decision's vertex, a context vector
and, where the decision adds a node, the mean state of the nodes that feed it. The head belongs to the vertex:
one-of-n (linear), pointer and subset (attention over the earlier nodes; Zoph, Le, 2017). What the context is and how
the weights are trained makes it MetaD2A's generator (Lee, Hyung, Hwang, 2021) or a controller.

Hundreds of walks go at once: walks that stand at the same decision are stepped together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from databases.architectures.architecture import Space
from databases.architectures.decisions import Decision, Part, Repeat, State, Walk
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
        chosen: the space. context: size of the context vector (0 for none). width: size of the state.
    """

    def __init__(self, chosen: Space, *, context: int, width: int = 96) -> None:
        super().__init__()
        self.space, self.width = chosen, width
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

    def sample(
        self, context: Tensor, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Walks:
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
        count = len(context)
        states: list[State] = [self.space.start()] * count
        walks: list[list[int]] = [[] for _ in range(count)]
        hidden = torch.tanh(self.begin(context))  # (n, width)
        start = hidden.new_zeros(count, self.space.nodes, self.width)
        nodes: list[Tensor] = list(start.unbind(1))  # states of the nodes, (n, width) each
        last = torch.full((count,), self.choice.num_embeddings - 1, device=context.device)
        log_probability, entropy = context.new_zeros(count), context.new_zeros(count)
        told = self.context(context)
        while groups := _groups(states):
            new_nodes: Tensor | None = None
            for state, members in groups.items():
                decision = _decision(state)
                every = len(members) == count
                rows = torch.tensor(members, device=context.device)
                pick = (lambda x: x) if every else (lambda x, rows=rows: x[rows])
                x = self.choice(pick(last)) + self.vertex.weight[self.number[decision.name]] + pick(told)
                if decision.feeds:
                    x = x + self.feeds(torch.stack([pick(nodes[i]) for i in decision.feeds]).mean(0))
                h = self.cell(x, pick(hidden))
                logits = self._logits(decision, h, [pick(each) for each in nodes[: state.nodes]])
                wanted = None if given is None else [given[m][len(walks[m])] for m in members]
                choices, logp, ent, token = _choose(
                    decision, logits / temperature, wanted, generator, self.choice.num_embeddings - 1
                )
                hidden = h if every else hidden.index_copy(0, rows, h)
                last = token if every else last.index_copy(0, rows, token)
                log_probability = log_probability.index_add(0, rows, logp)
                entropy = entropy.index_add(0, rows, ent)
                if decision.adds_node:
                    base = hidden.new_zeros(count, self.width) if new_nodes is None else new_nodes
                    new_nodes = h if every else base.index_copy(0, rows, h)
                for member, choice in zip(members, choices, strict=True):
                    walks[member].append(choice)
                    states[member] = state.take(choice)
            if new_nodes is not None:
                nodes.append(new_nodes)
        return Walks([tuple(walk) for walk in walks], log_probability, entropy)

    def _logits(self, decision: Decision, h: Tensor, nodes: Sequence[Tensor]) -> Tensor:
        """(m, width) -> (m, options), or (m, earlier nodes) of a pointer or subset."""
        if decision.kind == "one_of":
            logits: Tensor = self.heads[str(self.number[decision.name])](h)
            return logits
        earlier = torch.stack(list(nodes), dim=1)  # (m, nodes, width)
        scores: Tensor = self.attend(torch.tanh(self.anchor(earlier) + h[:, None])).squeeze(-1)
        return scores


def vertices(part: Part) -> list[Decision]:
    """Every decision of a program, each once, in the order of first appearance."""
    if isinstance(part, Decision):
        return [part]
    if isinstance(part, Parts):
        inner = [each for p in part.parts for each in vertices(p)]
    elif isinstance(part, Repeat):
        inner = [*vertices(part.body), part.again]
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
) -> tuple[list[int], Tensor, Tensor, Tensor]:
    """(m, k) logits -> choices, their log probabilities (m,), entropies (m,), tokens for the next input (m,)."""
    if decision.kind == "subset":
        on = nn.functional.logsigmoid(logits)
        off = nn.functional.logsigmoid(-logits)
        if wanted is None:
            bits = torch.rand(logits.shape, generator=generator) < logits.sigmoid().detach().cpu()
        else:
            bits = torch.tensor([[choice >> j & 1 for j in range(logits.shape[1])] for choice in wanted]).bool()
        bits = bits.to(logits.device)
        choices = [sum(1 << j for j, bit in enumerate(row) if bit) for row in bits.tolist()]
        entropy = -(on.exp() * on + off.exp() * off).sum(1)
        return choices, torch.where(bits, on, off).sum(1), entropy, torch.full((len(logits),), no_option)
    log_p = logits.log_softmax(1)
    if wanted is None:
        index = torch.multinomial(log_p.exp().detach().cpu(), 1, generator=generator).squeeze(1)
    else:
        index = torch.tensor(wanted)
    index = index.to(logits.device)
    entropy = -(log_p.exp() * log_p).sum(1)
    token = index if decision.kind == "one_of" else torch.full_like(index, no_option)
    return index.tolist(), log_p.gather(1, index[:, None]).squeeze(1), entropy, token
