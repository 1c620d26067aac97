"""Conformance: what every entry of SPACES promises. A new space is tested by being listed there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from databases.architectures import decisions
from databases.architectures.decisions import State, Walk
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import (
    SPACES,
    Architecture,
    FiniteSpace,
    ImageSpace,
    RecurrentSpace,
    Space,
    finite_space,
    image_space,
    recurrent_space,
    space,
)
from databases.architectures.spaces.pipeline import PIPELINE, searched_space
from databases.errors import UserError
from metad2a.generate.decoder import GraphDecoder

SMALL = 20_000  # walks of a space that is listed here as a whole
IMAGES = {name: each for name, each in SPACES.items() if isinstance(each, ImageSpace)}
CELLS = {name: each for name, each in SPACES.items() if isinstance(each, RecurrentSpace)}
SHAPES = {"grey": (Skeleton(4, 1, 1, 10), 8), "colour": (Skeleton(6, 1, 3, 4), 15)}  # skeleton, side
EQUAL: dict[str, list[tuple[str, str]]] = {  # different texts of what computes the same
    "nasbench201": [
        (  # an identity on the way
            "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|avg_pool_3x3~2|",
            "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|avg_pool_3x3~2|",
        ),
        (  # the terms of a sum in another order
            "|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|",
            "|skip_connect~0|+|none~0|none~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|",
        ),
    ],
    "nas-rl": [
        (  # two layers that do not read each other change places
            "3x3 stride 1x1 filters 24, 1x5 stride 2x1 filters 36, 3x1 stride 1x2 filters 48 of 0, "
            "5x5 stride 1x1 filters 64 of 1+2",
            "1x5 stride 2x1 filters 36, 3x3 stride 1x1 filters 24, 3x1 stride 1x2 filters 48 of 1, "
            "5x5 stride 1x1 filters 64 of 0+2",
        ),
    ],
    "nas-rl-recurrent": [
        (  # both combiners commute
            "add tanh, multiply relu, multiply sigmoid; add relu into 0, memory 1",
            "multiply relu, add tanh, multiply sigmoid; add relu into 1, memory 0",
        ),
    ],
    "enas-recurrent": [
        (  # nodes that do not read each other change places
            "tanh, relu of 0, sigmoid of 0, identity of 1",
            "tanh, sigmoid of 0, relu of 0, identity of 2",
        ),
    ],
    "nasnet": [
        (  # terms swapped; blocks in another order, which renumbers what reads them
            "sep3x3(0)+identity(1) conv1x1(1)&max5x5(2) avg3x3(0)+avg3x3(0) sep7x7(2)+conv3x3(0) sep3x3(1)+max3x3(5) / "
            "sep5x5(1)+sep7x7(0) max3x3(1)+sep7x7(0) avg3x3(1)+sep5x5(0) identity(3)+avg3x3(2) sep3x3(2)+max3x3(1)",
            "avg3x3(0)+avg3x3(0) identity(1)+sep3x3(0) sep7x7(3)+conv3x3(0) conv1x1(1)&max5x5(3) max3x3(4)+sep3x3(1) / "
            "max3x3(1)+sep7x7(0) sep7x7(0)+sep5x5(1) avg3x3(1)+sep5x5(0) identity(2)+avg3x3(3) sep3x3(3)+max3x3(1)",
        ),
    ],
    "enas-micro": [
        (
            "sep3x3(1)+identity(0) sep5x5(2)+avg3x3(1) max3x3(0)+max3x3(0) sep3x3(2)+identity(4) avg3x3(1)+sep3x3(0) / "
            "sep3x3(1)+identity(0) sep5x5(2)+avg3x3(1) max3x3(0)+max3x3(0) sep3x3(2)+identity(4) avg3x3(1)+sep3x3(0)",
            "max3x3(0)+max3x3(0) sep3x3(1)+identity(0) avg3x3(1)+sep5x5(3) avg3x3(1)+sep3x3(0) identity(2)+sep3x3(3) / "
            "sep3x3(0)+avg3x3(1) identity(0)+sep3x3(1) max3x3(0)+max3x3(0) sep5x5(3)+avg3x3(1) sep3x3(3)+identity(4)",
        ),
    ],
    "shufflenasnet": [
        (
            "sep3x3(0)+identity(0) sep5x5(0)+max3x3(0) avg3x3(1)+sep3x3(2) identity(0)+identity(0) / "
            "sep3x3(0)+identity(0) sep5x5(0)+max3x3(0) avg3x3(1)+sep3x3(2) identity(0)+identity(0)",
            "sep5x5(0)+max3x3(0) identity(0)+identity(0) identity(0)+sep3x3(0) sep3x3(1)+avg3x3(3) / "
            "identity(0)+sep3x3(0) max3x3(0)+sep5x5(0) avg3x3(1)+sep3x3(2) identity(0)+identity(0)",
        ),
    ],
}

every_space = pytest.mark.parametrize("chosen", SPACES.values(), ids=SPACES)
every_image_space = pytest.mark.parametrize("chosen", IMAGES.values(), ids=IMAGES)
every_recurrent_space = pytest.mark.parametrize("chosen", CELLS.values(), ids=CELLS)


def samples(chosen: Space, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [chosen.sample(rng) for _ in range(count)]


def completed(state: State, rng: np.random.Generator) -> Walk:
    walk = []
    while state.decision is not None:
        walk.append(int(rng.integers(state.choices)))
        state = state.take(walk[-1])
    return tuple(walk)


@every_space
def test_the_example_and_every_text_read_back(chosen: Space) -> None:
    assert chosen.text(chosen.parse(chosen.example)) == chosen.example
    assert chosen.parse(chosen.brief(chosen.parse(chosen.example))) == chosen.parse(chosen.example)
    for each in samples(chosen, 100):
        assert chosen.parse(str(each)) == each == chosen.architecture(each.walk)
    texts = {str(each) for each in samples(chosen, 100)}
    assert len(texts) == len(set(samples(chosen, 100)))


@every_space
def test_any_other_text_is_refused_in_one_line_with_an_example(chosen: Space) -> None:
    example = chosen.example
    changed = [example[:i] + extra + example[i + 1 :] for i in range(len(example)) for extra in ("", "~", "77")]
    for text in ["", "x", f" {example}", f"{example}\n", example + example, *changed]:
        try:
            read = chosen.parse(text)
        except UserError as refusal:
            assert chosen.example in str(refusal) and "\n" not in str(refusal)
        else:
            assert chosen.text(read) == text  # another architecture
    with pytest.raises(UserError):
        chosen.parse("")


@every_space
def test_every_choice_that_is_offered_is_valid_and_others_are_refused(chosen: Space) -> None:
    rng = np.random.default_rng(0)
    for each in samples(chosen, 3):
        for place, state in enumerate(decisions.states(chosen.program, each.walk, nodes=chosen.nodes)):
            for choice in rng.permutation(state.choices)[:4].tolist():
                walk = (*each.walk[:place], choice, *completed(state.take(choice), rng))
                assert chosen.parse(str(chosen.architecture(walk))).walk == walk
            for wrong in (-1, state.choices):
                with pytest.raises(UserError):
                    state.take(wrong)
        for wrong_walk in (each.walk[:-1], (*each.walk, 0)):
            with pytest.raises(UserError):
                chosen.architecture(wrong_walk)


@every_space
def test_the_space_is_as_large_as_it_says(chosen: Space) -> None:
    if chosen.size <= SMALL:
        assert len(set(chosen.enumerate())) == chosen.size
    else:
        assert len(set(samples(chosen, 200))) > 190


@every_space
def test_the_vertices_names_are_unique(chosen: Space) -> None:
    met: dict[str, decisions.Decision] = {}
    for each in samples(chosen, 50):
        for state in decisions.states(chosen.program, each.walk, nodes=chosen.nodes):
            assert state.decision is not None
            assert met.setdefault(state.decision.name, state.decision) == state.decision


@every_space
def test_the_key_tells_architectures_apart(chosen: Space) -> None:
    drawn = samples(chosen, 100)
    keys = {chosen.key(each) for each in drawn}
    assert len(keys) > 90 or chosen.size < SMALL
    for first, second in EQUAL.get(chosen.name, []):
        assert first != second
        assert chosen.key(chosen.parse(first)) == chosen.key(chosen.parse(second))


def test_keys_are_the_same_in_another_process() -> None:
    program = (
        "import numpy as np\nfrom databases.architectures.space import SPACES\n"
        "for each in SPACES.values():\n"
        "    rng = np.random.default_rng(0)\n"
        "    print(*(each.key(each.sample(rng)) for _ in range(20)), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[1])}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    ours = [each_space.key(each) for each_space in SPACES.values() for each in samples(each_space, 20)]
    assert found.stdout == "".join(f"{key}\n" for key in ours), found.stderr


@every_space
def test_graphs_are_typed_acyclic_and_end_in_the_output(chosen: Space) -> None:
    drawn = samples(chosen, 30)
    batch = chosen.graphs(drawn)
    assert batch.types.shape == (30, batch.types.shape[1]) and batch.types.dtype == np.int64
    assert chosen.graphs(drawn[:1]).types.shape[1] == batch.types.shape[1]
    assert chosen.node_types[0] == "padding" and len(set(chosen.node_types)) == len(chosen.node_types)
    assert batch.types.min() >= 0 and batch.types.max() < len(chosen.node_types)
    adjacency = np.broadcast_to(batch.adjacency, (30, *batch.adjacency.shape[1:]))
    for types, edges in zip(batch.types, adjacency, strict=True):
        assert set(np.unique(edges).tolist()) <= {0.0, 1.0}
        assert not np.triu(edges).any()  # a node is fed by earlier ones
        assert not edges[types == 0].any() and not edges[:, types == 0].any()
        assert chosen.node_types[types[-1]] == "output" and edges[-1].any()
        for place in range(len(types) - 1):
            name = chosen.node_types[types[place]]
            if edges[place].any():
                assert edges[:, place].any(), f"{name} is read by none"
            else:
                assert name == "padding" or "input" in name or name.startswith("last"), f"{name} reads nothing"


@every_space
def test_different_keys_have_different_graphs(chosen: Space) -> None:
    drawn = list({chosen.key(each): each for each in samples(chosen, 100)}.values())
    batch = chosen.graphs(drawn)
    adjacency = np.broadcast_to(batch.adjacency, (len(drawn), *batch.adjacency.shape[1:]))
    assert len({(a.tobytes(), b.tobytes()) for a, b in zip(batch.types, adjacency, strict=True)}) == len(drawn)


@every_space
def test_the_policy_samples_it_and_scores_its_samples_alike(chosen: Space) -> None:
    torch.manual_seed(0)
    policy = GraphDecoder(chosen, context=2, width=8)
    context = torch.randn(12, 2)
    drawn = policy.sample(context, generator=torch.Generator().manual_seed(0))
    for walk in drawn.walks:
        assert chosen.parse(str(chosen.architecture(walk))).walk == walk
    scored = policy.score(context, drawn.walks)
    torch.testing.assert_close(scored.log_probability, drawn.log_probability, atol=1e-4, rtol=1e-4)
    assert (drawn.log_probability < 0).all() and torch.isfinite(drawn.entropy).all()


def test_an_unfit_space_is_refused_with_those_that_fit() -> None:
    for find in (space, image_space, finite_space):
        with pytest.raises(UserError, match="unknown space 'x': choose one of nasbench201") as refusal:
            find("x")
        assert "\n" not in str(refusal.value)
    for name, each in SPACES.items():
        assert space(name) is each and each.name == name
        for find, kind in ((image_space, ImageSpace), (finite_space, FiniteSpace), (recurrent_space, RecurrentSpace)):
            if not isinstance(each, kind):
                fits = next(other.name for other in SPACES.values() if isinstance(other, kind))
                with pytest.raises(UserError, match=f"given the space '{name}', but .*: choose one of {fits}"):
                    find(name)


def test_networks_and_pipelines_are_searched_and_pipelines_see_larger_images() -> None:
    for name, each in SPACES.items():
        if each is PIPELINE or isinstance(each, ImageSpace):
            assert searched_space(name) is each and (each.up_to is None) == (each is not PIPELINE)
        else:
            with pytest.raises(UserError, match=f"given the space '{name}', but .*: choose one of pipeline, nas"):
                searched_space(name)
