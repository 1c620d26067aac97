"""`reproduce mnms`: trials are counted with their floor, families share what they say, a small run shows every part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from databases.architectures.space import Architecture
from databases.errors import UserError
from metad2a.reproduce.demonstration import Context
from metad2a.reproduce.mnms import demonstration as mnms
from metad2a.reproduce.mnms import multitask
from metad2a.reproduce.mnms.demonstration import _neighbours, _speed, _speed_table, _speed_verdicts
from metad2a.reproduce.mnms.multitask import Job, Learnt
from metad2a.reproduce.mnms.task_families import APART, MADE_UP, NEW, REAL, STRANGER, Family, HeldTask, made_up, renamed
from metad2a.reproduce.policies import Followed
from predictors.metrics import spearman

CELL = Architecture("nasbench201", (0,) * 6)
CONTEXT = Context(fast=True, workers=1, say=lambda line: None)


def test_trials_are_counted_until_the_mean_is_there_with_one_update_as_the_floor() -> None:
    def at(trial: int, *, before: int = 0) -> Followed:
        return Followed(np.array([50.0] * trial + [96.0] * (61 - trial)), [CELL] * (60 - before))

    found = _speed([(at(40), at(0)), (at(40), at(20)), (at(40), at(10))])
    assert found.fresh == [40] * 3 and found.transferred == [10, 20, 10]
    assert found.fewer["mean"] == pytest.approx((4 * 2 * 4) ** (1 / 3))
    assert at(61).needed(95) == 61
    assert _speed([(at(40), at(0, before=14))]).transferred == [14]  # the draws before the search are trials


def test_a_search_that_is_cut_off_shows_no_count() -> None:
    never, soon = Followed(np.full(215, 50.0), [CELL] * 200), Followed(np.array([50.0] * 30 + [96.0] * 31), [CELL] * 60)
    (shown, *_) = _speed_table({HeldTask("tables", "a"): _speed([(never, soon)])}).rows
    assert shown[:3] == ("tables: a", "> 200", "30")


def test_made_up_tasks_are_alike_where_they_are_related() -> None:
    def likeness(related: bool) -> float:
        families = [made_up(seed, tasks=4, related=related) for seed in range(4)]
        return float(
            np.mean([spearman(each.held_out[0].test, known.test) for each in families for known in each.known])
        )

    assert likeness(True) > 0.4 > 0.15 > abs(likeness(False))
    first, again = made_up(3, tasks=2, related=True), made_up(3, tasks=2, related=True)
    assert np.array_equal(first.known[1].test, again.known[1].test)


def test_operations_renamed_keep_every_value_at_another_cell() -> None:
    table = made_up(0, tasks=1, related=True).known[0]
    other = renamed(table)
    assert sorted(other.test) == sorted(table.test) and abs(spearman(other.test, table.test)) < 0.3
    row = {each.walk: i for i, each in enumerate(table)}
    assert other.test[row[0, 1, 2, 3, 4, 0]] == table.test[row[2, 3, 4, 0, 1, 2]]


def test_a_control_is_judged_by_what_it_transfers() -> None:
    def searched(fresh: int, transferred: int) -> tuple[Followed, Followed]:
        found = [Followed(np.array([50.0] * n + [96.0] * (61 - n)), [CELL] * 60) for n in (fresh, transferred)]
        return found[0], found[1]

    near, far = _speed([searched(40, 10), searched(60, 10)]), _speed([searched(20, 10), searched(40, 20)])
    related, stranger = HeldTask("tables", NEW), HeldTask("tables", STRANGER)
    first, second, third = _speed_verdicts({related: near, stranger: far})
    assert first.holds and second.holds and "paired ratio" in second.target
    assert second.reached.startswith("2.4 [2.0, 3.0]")
    assert third.holds and third.target.startswith("less than 3 times")
    assert [each.holds for each in _speed_verdicts({related: far, stranger: near})[1:]] == [False] * 2


def test_embeddings_that_follow_the_tables_agree_with_them() -> None:
    tasks = made_up(0, tasks=5, related=True).known
    values = np.stack([each.test - each.test.mean() for each in tasks])
    nothing = np.zeros(5)
    runs = [Learnt({}, {}, nothing, nothing, values) for _ in range(3)]
    near = _neighbours(runs, Family(REAL, tasks, ()))
    assert near.agreement["mean"] > 0.9
    assert np.allclose(np.diag(near.cosine), 1)


def test_the_real_tasks_need_latencies() -> None:
    with pytest.raises(UserError, match="latencies of NAS-Bench-201 are needed: set METAD2A_SHARED"):
        mnms.run(replace(CONTEXT, fast=False))


def test_single_controllers_stand_beside_the_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multitask, "MOST", 20)
    family = made_up(0, tasks=2, related=True)
    _, found = multitask.train_controllers(Job(family, 0, 40, True))
    assert found.multi.shape == found.single.shape == (2,) and found.embeddings.shape == (2, 16)
    assert len(found.fresh["held out"].means) == 21 and (found.multi > 0).all()
    assert not np.array_equal(found.multi, found.single)


@pytest.mark.slow
def test_a_small_run_transfers_what_is_related() -> None:
    report = mnms.run(CONTEXT)
    assert "tables alone, nothing is trained" in report.setting
    times = {name.partition(":")[0]: of["times fewer"]["mean"] for name, of in report.figures["trials"].items()}
    assert times[MADE_UP] > 2 and times[MADE_UP] > times[APART]
    assert [each.holds for each in report.verdicts] == [True, True] and len(report.panels) == 2
