"""The training loop: complete by steps or seconds, resumable, averaged."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from databases.errors import UserError
from metad2a.train.loop import Epoch, Loop, Loss, cosine

X = torch.arange(24.0).view(12, 2) / 24
Y = X @ torch.tensor([1.0, -2.0])


def made(**options: Any) -> Loop:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    return Loop(network, optimiser, **{"steps": 17, "schedule": cosine(0.1), "average": 0.8, **options})


def batches(generator: torch.Generator, first: int) -> Sequence[Tensor]:
    order: Sequence[Tensor] = torch.randperm(len(Y), generator=generator).split(3)
    return order[first:]


def loss(network: nn.Module, chosen: Tensor) -> Tensor:
    return nn.functional.mse_loss(network(X[chosen]).squeeze(1), Y[chosen])


def killed_at(step: int, loop: Loop) -> Loss[Tensor]:
    def until(network: nn.Module, chosen: Tensor) -> Tensor:
        if loop.step >= step:
            raise KeyboardInterrupt
        return loss(network, chosen)

    return until


@pytest.fixture(autouse=True)
def _own_random() -> Iterable[None]:
    with torch.random.fork_rng(devices=[]):
        yield


def weights(loop: Loop) -> Tensor:
    assert loop.average is not None
    return torch.cat([value.flatten().float() for each in (loop.network, loop.average) for value in each.buffers()])


def test_one_that_was_killed_ends_as_if_never_killed(tmp_path: Path) -> None:
    whole = made()
    assert whole.run(batches, loss)
    epochs: list[Epoch] = []
    for step in (2, 4, 9, 17):  # within an epoch, at its end, within another
        loop = made(checkpoint=tmp_path / "c.pt", every=0.0)
        with suppress(KeyboardInterrupt):
            loop.run(batches, killed_at(step, loop), on_epoch=epochs.append)
    assert loop.progress == 1
    assert torch.equal(weights(loop), weights(whole))
    assert [epoch.number for epoch in epochs] == [1, 1, 2, 3, 4, 5]  # told once more where its end was not yet saved


def test_complete_training_is_not_begun_again(tmp_path: Path) -> None:
    made(checkpoint=tmp_path / "c.pt").run(batches, loss)
    again = made(checkpoint=tmp_path / "c.pt")
    before = weights(again).clone()
    assert again.run(batches, loss)
    assert torch.equal(weights(again), before)


def test_passed_deadline_leaves_it_incomplete() -> None:
    loop = made()
    assert not loop.run(batches, loss, deadline=time.monotonic() - 1)
    assert loop.step == 0


def test_seconds_of_all_lives_count(tmp_path: Path) -> None:
    first = made(steps=None, seconds=0.05, checkpoint=tmp_path / "c.pt")
    assert first.run(batches, loss)
    second = made(steps=None, seconds=0.05, checkpoint=tmp_path / "c.pt")
    assert second.seconds >= 0.05
    assert second.run(batches, loss)
    assert second.step == first.step


def test_learning_rate_follows_the_schedule() -> None:
    rates = []

    def seen(network: nn.Module, chosen: Tensor) -> Tensor:
        rates.append(loop.optimiser.param_groups[0]["lr"])
        return loss(network, chosen)

    loop = made(steps=10, schedule=cosine(0.2))
    loop.run(batches, seen)
    assert rates == pytest.approx([0.1 * cosine(0.2)(step / 10) for step in range(10)])
    assert max(rates) == pytest.approx(0.1) and rates[-1] < 0.01


def test_epoch_callback_stops_it() -> None:
    loop = made(steps=100)
    assert not loop.run(batches, loss, on_epoch=lambda epoch: False)
    assert loop.step == math.ceil(len(Y) / 3)


def test_time_of_a_run_that_failed_counts() -> None:
    loop = made(steps=None, seconds=60.0)
    with suppress(KeyboardInterrupt):
        loop.run(batches, killed_at(2, loop))
    before = loop.seconds
    assert before > 0 and loop.seconds == before  # the clock stands still between runs
    loop.run(batches, loss, deadline=time.monotonic() + 0.02)
    assert loop.seconds >= before + 0.02


def test_random_numbers_of_the_host_stay_as_they_were(tmp_path: Path) -> None:
    loop, before = made(checkpoint=tmp_path / "c.pt"), torch.get_rng_state()
    loop.run(batches, loss)
    again = Loop(loop.network, loop.optimiser, steps=17, average=0.8, checkpoint=tmp_path / "c.pt")
    assert again.progress == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_without_a_batch_is_an_error() -> None:
    with pytest.raises(ValueError, match="without a batch"):
        made().run(lambda generator, first: [], loss)


def test_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="no checkpoint of this training"):
        made(checkpoint=tmp_path / "c.pt")
