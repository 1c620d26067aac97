"""The set encoder sees sets: no order of images or classes, no neighbours in the batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import WIDTH, task

from databases.datasets.features import TaskFeatures
from predictors.set_encoder import SetEncoder, SetTransformer, collate

torch.manual_seed(0)
ENCODER = SetEncoder(features=WIDTH, width=16).eval()


def encode(*tasks: TaskFeatures) -> torch.Tensor:
    with torch.inference_mode():
        vectors: torch.Tensor = ENCODER(collate(tasks))
    return vectors


def shuffled(given: TaskFeatures, seed: int, *, classes: bool) -> TaskFeatures:
    """The same task with its images in another order, and its classes numbered anew."""
    rng = np.random.default_rng(seed)
    count = int(given.labels.max()) + 1
    labels = (rng.permutation(count) if classes else np.arange(count))[given.labels]
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return replace(given, features=given.features[order], labels=labels[order])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6), per_class=st.integers(1, 7), renumber=st.booleans())
def test_the_order_of_images_and_classes_does_not_matter(
    seed: int, classes: int, per_class: int, renumber: bool
) -> None:
    one = task(seed, classes=classes, per_class=per_class)
    torch.testing.assert_close(encode(shuffled(one, seed, classes=renumber)), encode(one), atol=1e-4, rtol=1e-4)


def test_which_image_is_of_which_class_matters() -> None:
    one = task(per_class=6)
    mixed = replace(one, features=one.features[np.random.default_rng(0).permutation(len(one.labels))])
    assert not torch.allclose(encode(one), encode(mixed), atol=1e-3)


def test_a_task_is_encoded_alike_alone_and_among_others() -> None:
    tasks = [task(1, classes=2, per_class=1), task(2, classes=7, per_class=9), task(3)]
    torch.testing.assert_close(encode(*tasks), torch.cat([encode(each) for each in tasks]), atol=1e-4, rtol=1e-4)


def test_images_and_statistics_are_both_read() -> None:
    one = task()
    assert not torch.allclose(encode(one), encode(replace(one, features=one.features + 1)), atol=1e-3)
    assert not torch.allclose(encode(one), encode(replace(one, statistics=one.statistics + 1)), atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), per_class=st.integers(1, 30))
def test_drawing_keeps_every_class_and_one_to_twenty_images_of_it(seed: int, per_class: int) -> None:
    tasks = [task(seed, classes=4, per_class=per_class), task(seed + 1, classes=2, per_class=25)]
    batch = collate(tasks, np.random.default_rng(seed))
    counts = np.bincount(batch.of_class.numpy())
    assert len(counts) == 6
    assert counts.min() >= 1
    assert counts.max() <= 20
    assert batch.of_task.tolist() == [0, 0, 0, 0, 1, 1]
    assert (batch.of_class.diff() >= 0).all()
    for number, features in zip(batch.of_class.tolist(), batch.features.numpy(), strict=True):
        source, label = (tasks[0], number) if number < 4 else (tasks[1], number - 4)
        assert (source.features[source.labels == label] == features).all(1).any()


def test_the_set_transformer_is_that_of_torch_geometric() -> None:
    from torch_geometric.nn import SetTransformerAggregation

    ours, theirs = SetTransformer(16, 4).eval(), SetTransformerAggregation(16, heads=4, layer_norm=True).eval()
    blocks = {"among": "encoders.0.mab", "pool": "pma.mab", "after": "decoders.0.mab"}
    layers = {"attention": "attn", "straight": "lin", "norms.0": "layer_norm1", "norms.1": "layer_norm2"}
    names = {f"{x}.{a}": f"{y}.{b}" for x, y in blocks.items() for a, b in layers.items()} | {"before": "pma.lin"}
    state = {"pma.seed": ours.seed[None]}
    for here, there in names.items():
        of_module = ours.get_submodule(here).state_dict()
        state |= {f"{there}.{name}": value for name, value in of_module.items()}
    theirs.load_state_dict(state)
    of, x = torch.tensor([0, 0, 0, 1, 2, 2]), torch.randn(6, 16)
    torch.testing.assert_close(ours(x, of, 3), theirs(x, of, dim_size=3), atol=1e-5, rtol=1e-5)
