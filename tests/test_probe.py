"""Probes: logistic regression on frozen features, HOG, and a cache that is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pipeline_world import random_base, stripes

from databases.architectures.networks.hog import BINS, HOGNetwork
from databases.datasets.task import TEST, TRAIN, VALIDATION
from databases.errors import UserError
from metad2a.train import logistic
from metad2a.train.bases import open_base
from metad2a.train.probe import features, percent_right, probe, refit


def blobs(count: int, *, seed: int = 0, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.array([[0, 0], [3, 0], [0, 3]], dtype=np.float32)
    found = centres[labels] + rng.normal(0, spread, (count, 2))
    return (100 + 5 * found).astype(np.float32), labels.astype(np.int64)


def test_the_regression_finds_what_scikit_learn_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    x, y = blobs(300)
    ours = logistic.fit(x, y, 3, penalty=0.01)
    scaled = (x - x.mean(0)) / (x.std(0) + logistic.SPREAD)
    theirs = LogisticRegression(C=1 / (0.01 * len(y)), tol=1e-8, max_iter=500).fit(scaled, y)
    found = torch.softmax(torch.from_numpy(ours.logits(x)), 1).numpy()
    np.testing.assert_allclose(found, theirs.predict_proba(scaled), atol=0.01)


def test_it_begins_where_it_ended_on_other_images_and_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    (x, y), (more, truth) = blobs(200), blobs(300)
    before = logistic.fit(3 * x + 1, y, 3, penalty=0.01)
    from_nothing, from_there = (logistic.fit(more, truth, 3, penalty=0.01, begin=each) for each in (None, before))
    np.testing.assert_allclose(from_there.logits(more), from_nothing.logits(more), atol=0.05)
    monkeypatch.setattr(logistic, "_minimum", lambda x, y, weights, penalty: weights)  # stays where it begins
    stays = logistic.fit(more, truth, 3, penalty=0.01, begin=before)
    np.testing.assert_allclose(stays.logits(more), before.logits(more), rtol=1e-3, atol=1e-3)
    layer = torch.nn.Linear(2, 3)
    assert np.array_equal(logistic.of_layer(layer, 0.5).bias, layer.bias.detach())
    with pytest.raises(TypeError, match="allowed is a linear layer"):
        logistic.of_layer(torch.nn.Identity(), 0.5)


def test_validation_chooses_a_strong_penalty_for_noise_and_a_weak_one_for_signal() -> None:
    rng = np.random.default_rng(0)
    x, y = blobs(60, spread=0.2)
    noise = rng.normal(0, 1, (60, 40)).astype(np.float32)
    mixed = rng.integers(0, 3, 60)
    strong = logistic.fit(noise[:40], mixed[:40], 3, valid=(noise[40:], mixed[40:]))
    weak = logistic.fit(x[:40], y[:40], 3, valid=(x[40:], y[40:]))
    assert strong.penalty > weak.penalty


def test_hog_tells_directions_apart_and_has_the_width_it_says() -> None:
    network = HOGNetwork(3, 1, 16, 4)
    rows, columns = np.mgrid[:16, :16]
    waves = torch.from_numpy(np.stack([rows, columns]) * 0.7).sin().float()[:, None]
    found = network.features(waves).reshape(2, BINS, 4, -1).sum(dim=(2, 3))
    assert network.features(waves).shape == (2, network.width)
    assert found.argmax(1).tolist() == [BINS // 2, 0]  # gradients point down, and to the right
    np.testing.assert_allclose(network.features(waves), network.features(7 * waves), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_probe_is_a_working_network_of_its_blueprint(channels: int) -> None:
    task = stripes(channels=channels)
    probed = probe(random_base(channels), task, resolution=32)
    plain = probed.classifier.blueprint.build().eval()
    plain.load_state_dict(probed.classifier.network.state_dict())
    images, labels = task.part(TEST)
    logits = probed.classifier.logits(images)
    assert percent_right(logits, labels) > 80
    with torch.inference_mode():
        ready = probed.classifier.normalised(probed.classifier.resized(images))
        np.testing.assert_allclose(plain(ready), logits, atol=1e-4, rtol=1e-4)
    asked, truth = task.part(VALIDATION)
    assert probed.valid_accuracy == percent_right(probed.classifier.logits(asked), truth)


def test_hog_is_probed_like_any_base_and_refitted_on_more_images() -> None:
    task = stripes()
    base = open_base("hog", channels=3, resolution=32)
    probed = probe(base, task, resolution=32)
    images, labels = task.part(TEST)
    assert percent_right(probed.classifier.logits(images), labels) > 80
    again = refit(base, task, begin=probed.classifier, penalty=probed.head.penalty)
    assert not np.allclose(again.logits(images), probed.classifier.logits(images), atol=1e-3)
    assert percent_right(again.logits(images), labels) > 80


def test_features_are_computed_once_and_kept_apart_by_image_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, base = stripes(30), open_base("hog", channels=3, resolution=32)
    first = features(base, task, TRAIN, resolution=32, cache=tmp_path)
    mirrored = features(base, task, TRAIN, resolution=32, cache=tmp_path, mirrored=True)
    assert not np.allclose(first, mirrored)
    monkeypatch.setattr("metad2a.train.classifier.Classifier.features", None)
    np.testing.assert_array_equal(features(base, task, TRAIN, resolution=32, cache=tmp_path), first)
    with pytest.raises(TypeError):
        features(base, stripes(30, seed=1), TRAIN, resolution=32, cache=tmp_path)


def test_a_probe_leaves_the_random_state_and_the_threads_of_its_host() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    probe(open_base("hog", channels=3, resolution=32), stripes(30), resolution=32)
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(UserError, match="'vgg'; known are hog, own, lite0"):
        open_base("vgg", channels=3, resolution=32)


def test_short_memory_probes_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(network: HOGNetwork, images: torch.Tensor) -> torch.Tensor:
        if len(images) > room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return whole(network, images)

    whole, room, task, base = HOGNetwork.features, 7, stripes(30), open_base("hog", channels=3, resolution=32)
    expected = base.at(32).features(task.images)
    monkeypatch.setattr(HOGNetwork, "features", limited)
    np.testing.assert_allclose(base.at(32).features(task.images), expected, atol=1e-5)
    room = 0
    with pytest.raises(UserError, match="no memory for a single image"):
        base.at(32).features(task.images)
