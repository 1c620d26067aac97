"""Some architectures of a space as a space of their own: what was measured is a table that any searcher searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from databases.architectures.decisions import Branch, Program, Walk, states
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.space import Architecture, Space
from databases.architectures.typed_graph import GraphBatch

Steps = tuple[tuple[str, str], ...]  # decisions with the options taken


class Among(Space):
    """The ``kept`` architectures of a space without loops: each decision offers what leads to one of them.

    Its architectures have walks of their own; `whole` and `within` lead to those of the space they are of.
    """

    name = "among"

    def __init__(self, of: Space, kept: Sequence[Architecture]) -> None:
        self.of, self.node_types, self.example = of, of.node_types, of.example
        self.program, self._whole = _tree({each: _steps(of, each) for each in dict.fromkeys(kept)})
        self._within = {each: Architecture(self.name, walk) for walk, each in self._whole.items()}

    def whole(self, architecture: Architecture) -> Architecture:
        """The same in the space that it is of."""
        return self._whole[architecture.walk]

    def within(self, architecture: Architecture) -> Architecture:
        """The same in this space."""
        return self._within[architecture]

    def text(self, architecture: Architecture) -> str:
        """As in the space that it is of."""
        return self.of.text(self.whole(architecture))

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` for what is not kept."""
        found = self._within.get(self.of.parse(text))
        if found is None:
            raise self.refuse(text)
        return found

    def key(self, architecture: Architecture) -> str:
        """As in the space that it is of."""
        return self.of.key(self.whole(architecture))

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """As in the space that they are of."""
        return self.of.graphs([self.whole(each) for each in architectures])


def _steps(space: Space, architecture: Architecture) -> Steps:
    met = zip(states(space.program, architecture.walk, nodes=space.nodes), architecture.walk, strict=True)
    return tuple((s.decision.name, s.decision.options[choice]) for s, choice in met if s.decision is not None)


def _tree(left: Mapping[Architecture, Steps]) -> tuple[Program, dict[Walk, Architecture]]:
    """The program of what is left of the ways to some architectures, and its walks; where one option is left, none."""
    if len(left) == 1:
        return Parts(()), {(): next(iter(left))}
    offered: dict[str, dict[Architecture, Steps]] = {}
    for each, (step, *rest) in left.items():
        offered.setdefault(step[1], {})[each] = tuple(rest)
    if len(offered) == 1:
        return _tree(next(iter(offered.values())))
    (name, _), *_ = next(iter(left.values()))
    parts, walks = dict[str, Program](), dict[Walk, Architecture]()
    for choice, (option, some) in enumerate(offered.items()):
        parts[option], inner = _tree(some)
        walks |= {(choice, *walk): each for walk, each in inner.items()}
    return Branch.of(f"{name}: {', '.join(offered)}", parts), walks
