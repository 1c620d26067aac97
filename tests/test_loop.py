"""The training loop: complete by steps or seconds, resumable, averaged."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from databases.errors import UserError
from metad2a.train.averaging import Average
from metad2a.train.loop import Diverged, Epoch, Loop, Loss, cosine, in_turn

X = torch.arange(24.0).view(12, 2) / 24
Y = X @ torch.tensor([1.0, -2.0])


def made(**options: Any) -> Loop:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    return Loop(network, optimiser, **{"steps": 17, "schedule": cosine(0.1), "average": Average(0.8), **options})


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
    return torch.cat([value.flatten().float() for each in (loop.network, loop.result) for value in each.buffers()])


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


def test_what_was_planned_stays_unless_there_is_time_for_more(tmp_path: Path) -> None:
    for steps, ended in ((17, 5), (11, 9), (17, 17)):
        loop = made(steps=steps, checkpoint=tmp_path / "c.pt", every=0.0)
        with suppress(KeyboardInterrupt):
            loop.run(batches, killed_at(ended, loop))
        assert loop.steps == 17
    again = made(steps=18, checkpoint=tmp_path / "c.pt")
    assert (again.step, again.steps) == (0, 18)


def test_steps_that_there_was_no_time_for_are_begun_anew_where_there_is(tmp_path: Path) -> None:
    def late(network: nn.Module, chosen: Tensor) -> Tensor:
        time.sleep(0.02)
        return killed_at(5, loop)(network, chosen)

    for steps, begins_at in ((1000, 0), (999, 5), (1000, 0)):
        loop = made(steps=steps, checkpoint=tmp_path / "c.pt", every=0.0)
        assert loop.step == begins_at
        with suppress(KeyboardInterrupt):
            loop.run(batches, late, deadline=time.monotonic() + 1.0, fit=True)
        assert loop.hurried


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
    again = Loop(loop.network, loop.optimiser, steps=17, average=Average(0.8), checkpoint=tmp_path / "c.pt")
    assert again.progress == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_passes_that_are_drawn_in_turn_are_drawn_again_where_it_was_killed(tmp_path: Path) -> None:
    def passes() -> Iterator[Sequence[Tensor]]:
        shuffle = torch.Generator().manual_seed(0)
        while True:
            yield torch.randperm(len(Y), generator=shuffle).split(3)

    whole = made()
    assert whole.run(in_turn(whole, passes()), loss)
    for step in (2, 4, 9, 17):
        loop = made(checkpoint=tmp_path / "c.pt", every=0.0)
        with suppress(KeyboardInterrupt):
            loop.run(in_turn(loop, passes()), killed_at(step, loop))
    assert torch.equal(weights(loop), weights(whole))


def test_a_scheduler_of_torchs_goes_on_too(tmp_path: Path) -> None:
    def one_cycle(checkpoint: Path | None = None) -> Loop:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
        optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=17)
        return Loop(network, optimiser, steps=17, schedule=cycle, checkpoint=checkpoint, every=0.0)

    whole = one_cycle()
    assert whole.run(batches, loss)
    for step in (5, 17):
        loop = one_cycle(tmp_path / "c.pt")
        with suppress(KeyboardInterrupt):
            loop.run(batches, killed_at(step, loop))
    assert all(map(torch.equal, loop.network.parameters(), whole.network.parameters()))


def test_a_training_that_lags_behind_its_deadline_gets_a_shorter_schedule() -> None:
    rates = []

    def slow(network: nn.Module, chosen: Tensor) -> Tensor:
        rates.append(loop.optimiser.param_groups[0]["lr"])
        time.sleep(0.005)
        return loss(network, chosen)

    loop = made(steps=10_000, schedule=cosine())
    assert loop.run(batches, slow, deadline=time.monotonic() + 0.3, fit=True)
    assert loop.hurried and loop.step < 100 and loop.progress == 1
    assert rates[-1] < 0.1 * rates[0] and rates == sorted(rates, reverse=True)


def test_a_training_in_time_keeps_its_schedule() -> None:
    loop, whole = made(), made()
    assert loop.run(batches, loss, deadline=time.monotonic() + 600, fit=True) and whole.run(batches, loss)
    assert not loop.hurried and torch.equal(weights(loop), weights(whole))
    late = made()
    assert not late.run(batches, loss, deadline=time.monotonic() - 1, fit=True) and not late.hurried


def test_a_loss_may_leave_its_own_gradients() -> None:
    def own(network: nn.Module, chosen: Tensor) -> Tensor:
        value = loss(network, chosen)
        value.backward()
        return value.detach()

    plain, left = made(), made()
    for loop, each in ((plain, loss), (left, own)):
        loop.run(batches, each)
    assert torch.equal(weights(plain), weights(left))


def test_gradients_that_are_not_finite_end_it_before_they_are_taken() -> None:
    def bad(network: nn.Module, chosen: Tensor) -> Tensor:
        return loss(network, chosen) / (0.0 if loop.step == 3 else 1.0)

    loop = made(gradient_norm=1.0, finite=True)
    with pytest.raises(Diverged):
        loop.run(batches, bad)
    assert loop.step == 3 and all(each.isfinite().all() for each in loop.network.parameters())


def test_the_last_steps_alone_are_averaged() -> None:
    seen: list[Tensor] = []

    def kept(network: nn.Module, chosen: Tensor) -> Tensor:
        seen.append(next(network.parameters()).detach().clone())
        return loss(network, chosen)

    loop = made(average=Average(last=0.5), steps=8)
    assert loop.result is loop.network  # nothing is averaged yet
    loop.run(batches, kept)
    after = [*seen[5:], next(loop.network.parameters()).detach()]
    torch.testing.assert_close(next(loop.result.parameters()), torch.stack(after).mean(0))


def test_an_epoch_without_a_batch_is_an_error() -> None:
    with pytest.raises(ValueError, match="without a batch"):
        made().run(lambda generator, first: [], loss)


def test_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="no checkpoint of this training"):
        made(checkpoint=tmp_path / "c.pt")
