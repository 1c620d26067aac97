"""Training repeats by seed, keeps its deadline, averages the last weights and learns what can be learnt."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from databases.architectures.networks.cells import CellNetwork
from databases.architectures.space import Architecture, image_space
from databases.datasets.task import TEST, TRAIN, VALIDATION, Task, split
from databases.errors import UserError
from databases.records.recipe import Recipe
from metad2a.train import loop
from metad2a.train import train as training
from metad2a.train.batches import batches
from metad2a.train.inference import accuracy, normalisation, predictions, prepare
from metad2a.train.loop import Loop, Loss
from metad2a.train.train import train
from metad2a.train.training import Progress, Training

TOY = Recipe("toy", channels=4, cells=1, resolution=8, epochs=4, batch=16, learning_rate=0.05, average=0.25)
CELL = Architecture("nasbench201", (3, 1, 2, 3, 0, 4))


def stripes(*, images: int = 120, channels: int = 1) -> Task:
    """Noisy pictures with horizontal (class 0) or vertical (class 1) stripes."""
    rng, labels = np.random.default_rng(0), np.arange(images) % 2
    pattern = np.tile([0.0, 160.0], (8, 4))
    clean = np.where(labels[:, None, None] == 0, pattern.T, pattern)[..., None]
    noisy = np.clip(clean + rng.normal(40, 30, (images, 8, 8, channels)), 0, 255).astype(np.uint8)
    return Task("stripes", noisy, labels.astype(np.int64), split(labels), ("horizontal", "vertical"))


@dataclass(frozen=True)
class Step:
    images: Tensor
    weights: dict[str, Tensor]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps of every training: which images, and the weights after it."""
    seen: list[Step] = []
    take = Loop._step

    def spy(loop: Loop, batch: training.Batch, loss: Loss[training.Batch]) -> None:
        take(loop, batch, loss)
        seen.append(Step(batch[0], {name: each.clone() for name, each in loop.network.state_dict().items()}))

    monkeypatch.setattr(Loop, "_step", spy)
    return seen


def weights(done: Training) -> Tensor:
    return torch.cat([value.flatten() for value in done.network.state_dict().values()])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_task_that_can_be_learnt_is_learnt(channels: int) -> None:
    task = stripes(channels=channels)
    seen: list[Progress] = []
    done = train(task, CELL, recipe=TOY, on="cpu", on_epoch=seen.append)
    assert done.complete and done.valid_accuracy is not None and done.valid_accuracy > 90
    assert (accuracy(done, task, TEST) or 0) > 90
    assert seen == done.curve
    assert [(each.epoch, each.epochs) for each in seen] == [(epoch, 4) for epoch in (1, 2, 3, 4)]
    assert seen[-1].train_loss < seen[0].train_loss
    assert 0 < seen[0].seconds <= seen[-1].seconds <= done.seconds


def test_the_same_seed_gives_the_same_weights_and_disturbs_no_other_draw() -> None:
    task = stripes()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (train(task, CELL, recipe=replace(TOY, augment=True, epochs=2), seed=1, on="cpu") for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(weights(first), weights(second))
    other = train(task, CELL, recipe=replace(TOY, augment=True, epochs=2), seed=2, on="cpu")
    assert not torch.equal(weights(first), weights(other))


def test_a_training_that_was_killed_ends_with_the_same_weights_and_tells_all_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "EVERY", 0.0)
    recipe, take, told = replace(TOY, augment=True, average=0.5), Loop._step, list[Progress]()

    def trained(*, checkpoint: Path | None = None) -> Training:
        told.clear()
        listen = told.append
        options = {"checks": (0.25, 0.75), "seed": 3, "on": "cpu", "on_epoch": listen, "checkpoint": checkpoint}
        return train(stripes(channels=3), CELL, recipe=recipe, **options)  # type: ignore[arg-type]

    whole = trained()
    for at in (2, 5, 13):  # within an epoch, at its end, within the part that is averaged

        def dies(each: Loop, batch: training.Batch, loss: Loss[training.Batch], at: int = at) -> None:
            if each.step == at:
                raise KeyboardInterrupt
            take(each, batch, loss)

        monkeypatch.setattr(Loop, "_step", dies)
        with pytest.raises(KeyboardInterrupt):
            trained(checkpoint=tmp_path / "c.pt")
    monkeypatch.setattr(Loop, "_step", take)
    again = trained(checkpoint=tmp_path / "c.pt")
    assert torch.equal(weights(again), weights(whole))
    assert again.complete and again.curve == told
    assert [replace(each, seconds=0.0) for each in told] == [replace(each, seconds=0.0) for each in whole.curve]


def test_a_deadline_stops_training_after_the_step_that_passes_it(
    monkeypatch: pytest.MonkeyPatch, steps: list[Step]
) -> None:
    clock = itertools.count()  # a second passes at every look: at the start, before the epoch, after each step
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    done = train(stripes(), CELL, recipe=TOY, on="cpu", deadline=3)
    assert not done.complete and done.valid_accuracy is not None
    assert (len(steps), len(done.curve)) == (2, 1)  # of five steps an epoch


def test_a_deadline_that_has_passed_allows_no_step() -> None:
    done = train(stripes(), CELL, recipe=TOY, on="cpu", deadline=-math.inf)
    assert not done.complete and done.curve == []
    assert torch.isfinite(weights(done)).all()


def test_few_images_are_seen_often_enough() -> None:
    recipe = replace(TOY, least_steps=30)
    done = train(stripes(images=40), CELL, recipe=recipe, on="cpu")  # 24 images: two steps an epoch
    assert len(done.curve) == 15


@pytest.mark.parametrize(("average", "last"), [(0.0, 1), (0.25, 3), (1.0, 12)])
def test_the_result_is_the_mean_of_the_last_weights(steps: list[Step], average: float, last: int) -> None:
    done = train(stripes(images=80), CELL, recipe=replace(TOY, average=average), on="cpu")
    assert len(steps) == 12
    for name, value in done.network.state_dict().items():
        if value.is_floating_point():
            mean = torch.stack([step.weights[name] for step in steps[-last:]]).mean(0)
            torch.testing.assert_close(value, mean, rtol=1e-4, atol=1e-5)


def test_every_epoch_shows_each_image_once_in_an_order_of_its_seed(steps: list[Step]) -> None:
    for seed in (1, 2):
        train(stripes(images=80), CELL, recipe=replace(TOY, epochs=2), seed=seed, on="cpu")
    epochs = [torch.cat([step.images for step in steps[i : i + 3]]).tolist() for i in range(0, 12, 3)]
    assert all(sorted(epoch) == list(range(48)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_an_empty_validation_part_has_no_accuracy() -> None:
    task = stripes()
    task = replace(task, parts=np.where(task.parts == VALIDATION, TEST, task.parts).astype(np.uint8))
    assert train(task, CELL, recipe=replace(TOY, epochs=1), on="cpu").valid_accuracy is None


def test_accuracy_is_the_share_of_right_predictions() -> None:
    task = stripes()
    done = train(task, CELL, recipe=replace(TOY, epochs=1), on="cpu")
    images, labels = task.part(TRAIN)
    logits = predictions(done, images, batch=7)
    assert logits.shape == (len(labels), 2)
    assert accuracy(done, task, TRAIN) == pytest.approx(100 * np.mean(logits.argmax(1) == labels))


def test_images_are_brought_to_the_recipes_resolution() -> None:
    task = stripes()
    done = train(task, CELL, recipe=replace(TOY, resolution=16, epochs=1), on="cpu")
    assert (done.mean, done.scale) == normalisation(task.resized(16)) != normalisation(task)


def test_training_images_are_brought_to_mean_zero_and_variance_one() -> None:
    task = stripes(channels=3)
    images, _ = task.part(TRAIN)
    x = prepare(images, *normalisation(task), torch.device("cpu"))
    assert x.shape == (len(images), 3, 8, 8)
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(dim=(0, 2, 3), correction=0), torch.ones(3))


def test_training_holds_no_second_copy_of_the_images_and_none_in_floats() -> None:
    task = stripes(images=6_000, channels=3)
    quick = replace(TOY, epochs=1, batch=500)
    train(stripes(), CELL, recipe=quick, on="cpu")  # what is imported and cached at first is not counted
    tracemalloc.start()
    train(task, CELL, recipe=quick, on="cpu")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * task.images.nbytes
    stored = training._Images.of(task, (0.0,) * 3, (1.0,) * 3, torch.device("cpu")).stored
    assert isinstance(stored, torch.Tensor) and stored.dtype == torch.uint8
    assert np.shares_memory(stored.numpy(), task.images)


def test_images_that_cannot_be_written_train_alike() -> None:
    task, fixed = stripes(), stripes()
    fixed.images.flags.writeable = False  # such as those that joblib hands its workers
    assert torch.equal(*(weights(train(each, CELL, recipe=TOY, on="cpu")) for each in (task, fixed)))


def test_checks_tell_the_validation_accuracy_and_change_nothing() -> None:
    plain, told = train(stripes(), CELL, recipe=TOY, on="cpu"), list[Progress]()

    def listen(progress: Progress) -> None:
        told.append(progress)

    checked = train(stripes(), CELL, recipe=TOY, on="cpu", checks=(0.25, 0.5, 1.0), on_epoch=listen)
    assert [each.valid_accuracy is not None for each in told] == [True, True, False, False]
    assert checked.curve == told and torch.equal(weights(plain), weights(checked))


def test_a_listener_may_stop_a_training() -> None:
    stopped = train(stripes(), CELL, recipe=TOY, on="cpu", on_epoch=lambda progress: progress.epoch < 2)
    assert not stopped.complete and len(stopped.curve) == 2 and stopped.valid_accuracy is not None


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A device with room for so many images at a time."""
    room = [10**9]
    forward = CellNetwork.forward

    def limited(network: CellNetwork, images: Tensor) -> Tensor:
        if len(images) > room[0]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(network, images)

    monkeypatch.setattr(CellNetwork, "forward", limited)
    return room


def test_a_batch_that_does_not_fit_is_cut_and_training_goes_on(memory: list[int], steps: list[Step]) -> None:
    whole = train(stripes(), CELL, recipe=TOY, on="cpu")
    count = len(steps)
    memory[0] = 5
    cut = train(stripes(), CELL, recipe=TOY, on="cpu")
    assert (whole.parts, cut.parts, cut.complete) == (1, 4, True)
    assert len(steps) == 2 * count and all(
        torch.equal(a.images, b.images) for a, b in zip(steps[:count], steps[count:], strict=True)
    )
    assert (cut.valid_accuracy or 0) > 60
    np.testing.assert_allclose(predictions(cut, stripes().images), predictions(cut, stripes().images, batch=4))


def test_the_parts_of_a_batch_have_its_gradient() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    x, y = torch.rand(7, 1, 2, 2), torch.arange(7) % 3
    losses, gradients = [], []
    for parts in (1, 3):
        images = training._Images(torch.zeros(7, 2, 2, 1, dtype=torch.uint8), torch.arange(7), y, (0.0,), (1.0,))
        learning = training._Learning(network, TOY, images)
        learning.parts = parts
        losses.append(learning.gradients(network, x, y))
        gradients.append(torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None]))
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_no_room_for_one_image_is_a_user_error(memory: list[int]) -> None:
    memory[0] = 0
    with pytest.raises(UserError, match=r"no memory for a single image .* use --on cpu"):
        train(stripes(), CELL, recipe=TOY, on="cpu")


@pytest.mark.parametrize(("size", "name"), [(2, "nas-rl"), (3, "nas-rl"), (16, "mobilenetv3")])
def test_a_last_batch_of_one_image_is_trained_where_maps_are_one_pixel(size: int, name: str) -> None:
    task, tiny = stripes(images=81), replace(TOY, batch=size, epochs=1)
    assert len(task.part(TRAIN)[1]) == 49
    done = train(task, image_space(name).sample(np.random.default_rng(1)), recipe=tiny, on="cpu")
    assert done.complete and torch.isfinite(weights(done)).all()


@pytest.mark.parametrize(
    ("count", "size", "sizes"), [(33, 32, [31, 2]), (34, 32, [32, 2]), (3, 2, [3]), (5, 2, [2, 3])]
)
def test_only_a_rest_of_one_changes_how_batches_are_cut(count: int, size: int, sizes: list[int]) -> None:
    parts = batches(torch.arange(count), size)
    assert [len(each) for each in parts] == sizes and torch.cat(parts).tolist() == list(range(count))
    assert len(batches(torch.arange(3), 1)) == 3
