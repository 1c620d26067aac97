"""A NAS-Bench-201 cell as a hand-written SVG.

Colours are those of Okabe and Ito (2008) or near them, which colour-blind readers tell apart, and every edge
is labelled. They are presentation attributes, so that a page whose security policy forbids styles shows the
light card; the style holds only what a dark viewer changes.
"""

from __future__ import annotations

from html import escape
from math import cos, radians, sin

from databases.architectures.space import Architecture
from databases.architectures.spaces.nasbench201 import EDGES, OPERATIONS
from databases.errors import UserError

INK, MUTED = "#1F2933", "#5F6B7A"
# operation -> colour on light, colour on dark, width of the line, label on the edge, words in the legend
_DRAWN = {
    "nor_conv_3x3": ("#0072B2", "#56B4E9", 4.0, "conv 3×3", "3×3 convolution"),  # noqa: RUF001
    "nor_conv_1x1": ("#D55E00", "#F0A23C", 2.5, "conv 1×1", "1×1 convolution"),  # noqa: RUF001
    "avg_pool_3x3": ("#008A64", "#2CC79B", 2.5, "avg pool 3×3", "3×3 average pooling"),  # noqa: RUF001
    "skip_connect": ("#A34A83", "#DF9CC6", 2.5, "skip", "skip connection"),
}
_DIM = 'opacity="0.42"'
_NODES = ("in", "1", "2", "out")
_PITCH, _LEFT, _LINE, _RADIUS = 210.0, 75.0, 248.0, 24.0  # between nodes, first node, height of all, size
_BENDS = {(0, 2): (50, 128), (1, 3): (-50, 128), (0, 3): (66, 225)}  # edge -> angle in degrees, reach
_FONT = "font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, 'Liberation Sans', sans-serif\""
_DARK = "".join(
    (
        ".m2-card{fill:#161B22}.m2-rim{stroke:#30363D}.m2-ink{fill:#E6EDF3}.m2-muted{fill:#9BA7B4}",
        ".m2-node{fill:#21262D;stroke:#9BA7B4}",
        *(f".m2-{name}{{color:{dark}}}" for name, (_, dark, *_) in _DRAWN.items()),
    )
)


def cell_svg(architecture: Architecture, title: str = "NAS-Bench-201 cell") -> str:
    """The cell as a self-contained SVG on a card of its own, light or dark as the viewer prefers.

    Edges without an operation are left out; those on no path from input to output are dimmed and dashed.

    Raises:
        UserError: the architecture is of another space.
    """
    if architecture.space != "nasbench201":
        raise UserError(f"cannot draw the space {architecture.space!r}: only cells of 'nasbench201' are drawn")
    edges = {edge: OPERATIONS[op] for edge, op in zip(EDGES, architecture.walk, strict=True)}
    edges = {edge: operation for edge, operation in edges.items() if operation != "none"}
    live = _live(edges)
    title = one_line(title, 84)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 404" width="780" height="404" role="img" '
        f'aria-label="{escape(title)}" {_FONT}>',
        f"<style>@media (prefers-color-scheme: dark){{{_DARK}}}</style>",
        '<rect class="m2-card m2-rim" x="0.5" y="0.5" width="779" height="403" rx="12" fill="#FFFFFF" '
        'stroke="#D5DBE1"/>',
        _text(24, 36, title, size=16, anchor="start", more='font-weight="600"'),
        _text(24, 58, str(architecture), size=11, anchor="start", ink=False, more='font-family="monospace"'),
        *(_edge(edge, operation, edge in live) for edge, operation in edges.items()),
        *(_node(i, not live or any(i in edge for edge in live)) for i in range(len(_NODES))),
        *_legend(dead=len(live) < len(edges)),
    ]
    if not live:
        parts.append(_text(390, 338, "No path from input to output: this cell gives zero.", size=13, ink=False))
    return "\n".join([*parts, "</svg>", ""])


def _live(edges: dict[tuple[int, int], str]) -> set[tuple[int, int]]:
    """The edges on a path from node 0 to node 3."""
    reached, reaching = {0}, {3}
    for start, end in sorted(edges):  # by start: every way into a node is seen before the ways out
        reached |= {end} if start in reached else set()
    for start, end in sorted(edges, key=lambda edge: -edge[1]):
        reaching |= {start} if end in reaching else set()
    return {(start, end) for start, end in edges if start in reached and end in reaching}


def _edge(edge: tuple[int, int], operation: str, live: bool) -> str:
    """Curve, arrowhead and label; the control points lie on rays from the two nodes' centres."""
    light, _, width, label, _ = _DRAWN[operation]
    angle, reach = _BENDS.get(edge, (0, _PITCH / 2))
    along, up = cos(radians(angle)), -sin(radians(angle))
    (x0, x1), y, stop = (_LEFT + _PITCH * node for node in edge), _LINE, _RADIUS + 14
    curve = (
        f"M{x0 + _RADIUS * along:.1f} {y + _RADIUS * up:.1f}"
        f"C{x0 + reach * along:.1f} {y + reach * up:.1f} {x1 - reach * along:.1f} {y + reach * up:.1f} "
        f"{x1 - stop * along:.1f} {y + stop * up:.1f}"
    )
    head = f"translate({x1 - (_RADIUS + 3) * along:.1f} {y + (_RADIUS + 3) * up:.1f}) rotate({angle})"
    middle = y + (0.75 * reach + 0.125 * (_RADIUS + stop)) * up  # of the curve, at half its parameter
    wide = 7.0 * len(label) + 20
    x = (x0 + x1) / 2 - 3
    state, dim, dashes = ("live", "", "") if live else ("dead", _DIM, 'stroke-dasharray="5 5"')
    return (
        f'<g class="m2-{operation}" data-edge="{edge[0]}-{edge[1]}" data-state="{state}" '
        f'color="{light}" {dim}>'
        f'<path d="{curve}" fill="none" stroke="currentColor" stroke-width="{width}" {dashes}/>'
        f'<path d="M0 0L-14 -7L-11 0L-14 7Z" transform="{head}" fill="currentColor"/>'
        f'<rect class="m2-card" x="{x - wide / 2:.1f}" y="{middle - 12:.1f}" width="{wide:.1f}" height="24" '
        'rx="12" fill="#FFFFFF" stroke="currentColor" stroke-width="1.5"/>'
        f"{_text(x, middle + 4.5, label, size=13)}</g>"
    )


def _node(node: int, live: bool) -> str:
    x = _LEFT + _PITCH * node
    circle = (
        f'<circle class="m2-node" cx="{x}" cy="{_LINE}" r="{_RADIUS}" fill="#F1F4F7" stroke="#5F6B7A" '
        'stroke-width="1.5"/>'
    )
    label = _text(x, _LINE + 5, _NODES[node], size=14, more='font-weight="600"')
    return f"<g {'' if live else _DIM}>{circle}{label}</g>"


def _legend(*, dead: bool) -> list[str]:
    items = [(name, light, width, "", words) for name, (light, _, width, _, words) in _DRAWN.items()]
    parts, x = [], 24.0
    for name, light, width, dashes, words in items + [("dead", MUTED, 2.5, "5 5", "no effect")] * dead:
        parts.append(
            f'<path class="m2-{name}" d="M{x} 378h26" color="{light}" stroke="currentColor" '
            f'stroke-width="{width}" stroke-dasharray="{dashes or "none"}"/>'
            + _text(x + 33, 382, words, size=12, anchor="start", ink=False)
        )
        x += 60 + 6.3 * len(words)
    return parts


def _text(
    x: float, y: float, words: str, *, size: int, anchor: str = "middle", ink: bool = True, more: str = ""
) -> str:
    look = f'class="m2-ink" fill="{INK}"' if ink else f'class="m2-muted" fill="{MUTED}"'
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f"<text {place} {look} {more}>{escape(words)}</text>"


def one_line(words: str, most: int) -> str:
    """At most that many characters, none of them control characters or surrogates, which no XML can hold."""
    words = "".join(character for character in words if character.isprintable())
    return words if len(words) <= most else words[: most - 1] + "…"
