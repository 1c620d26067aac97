"""Fine-tuning: it learns, keeps what is frozen, mirrors only where the classes stay, and survives."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pipeline_world import arrows, random_base, stripes
from torch import nn

from databases.datasets.task import TRAIN, VALIDATION
from databases.errors import UserError
from metad2a.train import finetune as module
from metad2a.train import pipeline
from metad2a.train.augment import Augment, augmented, choose, judge
from metad2a.train.bases import open_base
from metad2a.train.finetune import Tuning, finetune
from metad2a.train.loop import Epoch
from metad2a.train.probe import percent_right, probe


def test_it_learns_on_a_copy_of_what_it_begins_with() -> None:
    task = stripes(90)
    begin = probe(random_base(), task, resolution=32).classifier
    head = begin.network.get_submodule("classifier")
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)  # the probe is perfect here, so that there would be nothing to learn
    nn.init.zeros_(head.bias)
    before = [value.clone() for value in begin.network.state_dict().values()]
    tuned = finetune(begin, task, Tuning(learning_rate=0.02, steps=12))
    assert tuned.complete and tuned.steps == 12 and tuned.valid_loss < 0.8 * np.log(task.classes)
    after = begin.network.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    images, labels = task.part(VALIDATION)
    assert tuned.valid_accuracy == percent_right(tuned.classifier.logits(images), labels)


def test_what_is_frozen_stays_with_its_statistics() -> None:
    task = stripes(40)
    begin = probe(random_base(), task, resolution=32).classifier
    ended = finetune(begin, task, Tuning(layers="half", steps=3)).classifier
    whole = finetune(begin, task, Tuning(layers="all", steps=3)).classifier
    first, last = "stem.0.0.weight", "classifier.weight"
    ours, theirs, kept = (each.network.state_dict() for each in (begin, ended, whole))
    assert torch.equal(ours[first], theirs[first]) and not torch.equal(ours[last], theirs[last])
    assert torch.equal(ours["stem.0.1.running_mean"], theirs["stem.0.1.running_mean"])
    assert not torch.equal(ours[first], kept[first])
    assert not torch.equal(ours["stem.0.1.running_mean"], kept["stem.0.1.running_mean"])


def test_the_seconds_that_are_given_are_kept() -> None:
    task = stripes(40)
    begin = probe(random_base(), task, resolution=32).classifier
    tuned = finetune(begin, task, Tuning(seconds=0.3))
    assert tuned.complete and tuned.steps >= 1 and tuned.seconds >= 0.3


def test_a_schedule_that_begins_late_still_ends_by_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    task = stripes(40)
    begin = probe(random_base(), task, resolution=32).classifier
    monkeypatch.setattr(module, "freeze", lambda *given, **options: time.sleep(0.2))  # as long images are prepared
    tuned = finetune(begin, task, Tuning(seconds=0.5), deadline=time.monotonic() + 0.5)
    assert tuned.complete and 0.1 <= tuned.seconds < 0.5


def test_a_killed_training_ends_like_one_that_was_not(tmp_path: Path) -> None:
    task = stripes(40)
    begin = probe(random_base(), task, resolution=32).classifier
    whole = finetune(begin, task, Tuning(steps=4))
    parts = finetune(begin, task, Tuning(steps=4), checkpoint=tmp_path / "one", on_epoch=lambda epoch: False)
    assert not parts.complete
    ended = finetune(begin, task, Tuning(steps=4), checkpoint=tmp_path / "one")
    np.testing.assert_allclose(ended.classifier.logits(task.images), whole.classifier.logits(task.images), atol=1e-5)


@pytest.mark.parametrize(
    ("share", "parts", "seen"), [(1e9, (TRAIN,), True), (0.0, (TRAIN,), False), (1e9, (TRAIN, VALIDATION), False)]
)
def test_accuracy_on_the_way_is_told_and_changes_nothing(
    share: float, parts: tuple[int, ...], seen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_SHARE", share)
    task, told = stripes(40), list[Epoch]()
    begin = probe(random_base(), task, resolution=32).classifier
    tuning = Tuning(steps=40, batch=8, parts=parts)
    unseen = finetune(begin, task, tuning)
    watched = finetune(begin, task, tuning, on_epoch=told.append, checkpoint=tmp_path / "kept")
    accuracies = [each.valid_accuracy for each in told if each.valid_accuracy is not None]
    assert (2 <= len(accuracies) <= 10) if seen else accuracies == []
    assert told[-1].progress == 1 and told[-1].valid_accuracy is None  # the end is judged by all of them
    np.testing.assert_array_equal(watched.classifier.logits(task.images), unseen.classifier.logits(task.images))


SHORT = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
]


@pytest.mark.parametrize("problem", SHORT, ids=lambda each: type(each).__name__)
def test_short_memory_halves_the_batch(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(network: nn.Module, given: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        if len(given[1]) > room:
            raise problem
        return nn.functional.cross_entropy(network(given[0]), given[1])

    task, room = stripes(40), 8
    begin = probe(random_base(), task, resolution=32).classifier
    monkeypatch.setattr(module, "_loss", loss)
    assert finetune(begin, task, Tuning(steps=2)).batch <= 8
    room = 0
    with pytest.raises(UserError, match="no memory"):
        finetune(begin, task, Tuning(steps=2))


def test_what_is_no_want_of_memory_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    task = stripes(40)
    begin = probe(random_base(), task, resolution=32).classifier
    monkeypatch.setattr(module, "_loss", lambda network, given: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        finetune(begin, task, Tuning(steps=2))


def test_mirroring_is_found_to_keep_stripes_and_to_swap_arrows() -> None:
    base = random_base()
    for task, flip in ((stripes(), True), (arrows(), False)):
        found, said = choose("auto", base, probe(base, task, resolution=32).classifier, task)
        assert found == Augment(shift=True, flip=flip), said
    assert "'left' is taken for 'right'" in said or "'right' is taken for 'left'" in said


def test_a_probe_that_tells_the_classes_badly_does_not_decide_on_mirroring(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = random_base()
    for weight in blind.network.parameters():
        torch.nn.init.zeros_(weight)
    opened = "metad2a.train.pipeline.open_base"
    monkeypatch.setattr(opened, lambda name, **given: blind if name == "own" else open_base(name, **given))
    hooks = arrows()
    hooks.images[:] = 0
    hooks.images[:, 10:12] = 255
    hooks.images[hooks.labels == 0, :, 3:5] = 255
    hooks.images[hooks.labels == 1, :, 11:13] = 255
    alone = pipeline.choose_augment("auto", hooks, judges=pipeline.cheap_probes(hooks, pipeline.JUDGES[:1]))
    assert not alone[0].flip and "too little to show" in alone[1], "it takes each for the same, mirrored or not"
    found, said = pipeline.choose_augment("auto", hooks)
    assert not found.flip and "is taken for" in said


def test_one_pair_of_classes_that_swap_is_enough_to_forbid_mirroring() -> None:
    labels = np.repeat(np.arange(20), 10)
    plain = np.eye(20, dtype=np.float32)[labels]
    swapped = np.eye(20, dtype=np.float32)[np.where(labels == 3, 4, labels)]
    names = tuple("abcdefghijklmnopqrst")
    assert judge(plain, plain, labels, names)[0]
    allowed, why = judge(plain, swapped, labels, names)
    assert not allowed and "'d' is taken for 'e'" in why


@pytest.mark.parametrize(("right", "count", "flip"), [(17, 32, False), (4, 6, False), (30, 32, True), (12, 100, False)])
def test_a_probe_no_better_than_chance_does_not_show_that_mirroring_keeps_classes(
    right: int, count: int, flip: bool
) -> None:
    classes = 2 if count < 100 else 10
    labels = np.arange(count) % classes
    told = np.eye(classes, dtype=np.float32)[np.where(np.arange(count) < right, labels, (labels + 1) % classes)]
    allowed, why = judge(told, told, labels, tuple("abcdefghij"[:classes]))
    assert allowed == flip and ("too little to show" in why) != flip
    if not flip:
        assert f"of {count} validation images, of which one class has {100 // classes}.0%" in why


def test_what_is_asked_is_done() -> None:
    base, task = random_base(), stripes(30)
    probed = probe(base, task, resolution=32).classifier
    asked = {each: choose(each, base, probed, task)[0] for each in ("none", "shift", "flip")}
    assert asked == {"none": Augment(shift=False), "shift": Augment(), "flip": Augment(flip=True)}
    with pytest.raises(UserError, match="'turn': choose one of auto, none, shift, flip"):
        choose("turn", base, probed, task)


def test_shifts_repeat_the_edge_and_mirror_half() -> None:
    images = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).repeat(200, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    moved = augmented(images, Augment(), generator)
    assert moved.shape == images.shape and set(moved[:, 0, 4, 4].tolist()) == {27, 28, 29, 35, 36, 37, 43, 44, 45}
    mirrored = augmented(images, Augment(shift=False, flip=True), generator)[:, 0, 0, 0]
    assert set(mirrored.tolist()) == {0, 7} and 60 < int((mirrored == 7).sum()) < 140
    assert torch.equal(augmented(images, Augment(shift=False), generator), images)
