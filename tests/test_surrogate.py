"""The surrogate: exact, honest about what it does not know, and aware of the dataset where it pays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_up import CLASSES, CONFIG, episode, predictor, task

from databases.architectures.space import finite_space
from predictors import task_process as surrogate
from predictors.embedding import Embedding
from predictors.scale import to_percent
from predictors.surrogates import learn_process, pack_process, unpack_process
from predictors.task_process import Kernel, MeasuredTask, TaskProcess

KERNEL = Kernel(looks_at=(0,))
CELLS = np.arange(12)
SPACE = finite_space("nasbench201")


def embed(cells: np.ndarray) -> np.ndarray:
    units: np.ndarray = np.eye(12)[cells] * 4
    return units


def tasks(kinds: list[float], seed: int = 0) -> list[MeasuredTask]:
    """Tasks whose first statistic says which of two opposite orders holds; the second says the level."""
    rng = np.random.default_rng(seed)
    found = []
    for kind in kinds:
        level = rng.normal()
        logits = level + 0.3 * kind * (CELLS - 5.5) / 3 + rng.normal(0, 0.02, 12)
        found.append(MeasuredTask(np.array([kind, level]), CELLS, logits, np.ones(12)))
    return found


def test_reads_from_the_dataset_which_order_holds() -> None:
    process = TaskProcess(tasks([1.0, -1.0] * 6), embed, KERNEL)
    for kind in (1.0, -1.0):
        mean = process.predict([kind, 0.0], CELLS).mean
        assert np.corrcoef(mean, kind * CELLS)[0, 1] > 0.9


def test_without_the_dataset_both_kinds_get_the_same_order() -> None:
    blind = TaskProcess(tasks([1.0, -1.0, 1.0] * 4), embed, KERNEL).average_only()
    orders = [np.argsort(blind.predict([kind, 0.0], CELLS).mean).tolist() for kind in (1.0, -1.0)]
    assert orders[0] == orders[1]


def test_predicts_levels_from_the_statistics() -> None:
    process = TaskProcess(tasks([1.0, -1.0] * 8), embed, KERNEL)
    low, high = (process.predict([1.0, level], CELLS).mean.mean() for level in (-1.0, 1.0))
    assert high - low > 1.0


def test_a_cell_nobody_measured_is_less_certain() -> None:
    known = [MeasuredTask(each.statistics, CELLS[:8], each.logits[:8], np.ones(8)) for each in tasks([1.0] * 6)]
    std = TaskProcess(known, embed, KERNEL).predict([1.0, 0.0], CELLS).std
    assert std[8:].min() > std[:8].max()


def test_leaving_tasks_out_equals_never_having_seen_them() -> None:
    given = tasks([1.0, -1.0, 1.0, -1.0, 1.0])
    left = TaskProcess(given, embed, KERNEL).without([1, 3]).predict([1.0, 0.2], CELLS)
    fresh = TaskProcess([given[i] for i in (0, 2, 4)], embed, KERNEL).predict([1.0, 0.2], CELLS)
    np.testing.assert_array_equal(left.mean, fresh.mean)
    np.testing.assert_array_equal(left.std, fresh.std)


def test_statistics_far_outside_do_not_run_away() -> None:
    process = TaskProcess(tasks([1.0, -1.0] * 6), embed, KERNEL)
    near, far = (process.predict([1.0, level], CELLS).mean for level in (10.0, 1e6))
    np.testing.assert_allclose(near, far)


def test_packed_into_a_checkpoint_it_says_the_same() -> None:
    own = [episode(task(i, at=0.3 * i), range(10 * i, 10 * i + 6), [50 + i + j for j in range(6)]) for i in range(4)]
    model = predictor(CONFIG)
    process = learn_process(model, own)
    read = unpack_process({name: torch.as_tensor(value) for name, value in pack_process(process).items()}, model)
    assert read is not None
    asked = np.arange(40)
    np.testing.assert_allclose(
        read.predict(own[0].features.statistics, asked).mean,
        process.predict(own[0].features.statistics, asked).mean,
    )
    assert unpack_process({}, model) is None


def test_what_another_version_packed_is_told_by_a_key_error() -> None:
    own = [episode(task(i), range(6), [50.0 + j for j in range(6)]) for i in range(2)]
    model = predictor(CONFIG)
    packed = {name: torch.as_tensor(value) for name, value in pack_process(learn_process(model, own)).items()}
    with pytest.raises(KeyError, match="center"):
        unpack_process({**packed, "center": packed["center"][:-1]}, model)


def test_cells_are_alike_by_vector_and_by_what_describes_them() -> None:
    model = predictor(CONFIG)
    both, vectors = Embedding.of_space(model)(np.arange(50)), model.encode_many(CLASSES[:50])
    assert both.shape == (50, vectors.shape[1] + len(SPACE.graph_numbers(CLASSES[0])))


def test_each_class_is_encoded_once_and_in_the_order_asked() -> None:
    embedding = Embedding.of_space(predictor(CONFIG))
    both = embedding(np.array([7, 3, 7]))
    np.testing.assert_array_equal(both[0], both[2])
    np.testing.assert_allclose(both[1], embedding(np.array([3]))[0])


def test_a_measured_task_follows_its_own_order_where_no_statistic_tells_it() -> None:
    one, other = tasks([1.0, -1.0])
    kinds = {1.0: np.array([0.0, one.statistics[1]]), -1.0: np.array([0.0, other.statistics[1] + 3])}
    half = [
        MeasuredTask(kinds[kind], CELLS[::2], each.logits[::2], np.ones(6))
        for kind, each in zip(kinds, (one, other), strict=True)
    ]

    def smooth(cells: np.ndarray) -> np.ndarray:
        return np.asarray(cells, dtype=float)[:, None] / 3

    ties = {}
    for weight in (0.0, 1.0):
        process = TaskProcess(half, smooth, Kernel(looks_at=(0,), task=weight))
        means = {kind: process.predict(place, CELLS[1::2]).mean for kind, place in kinds.items()}
        ties[weight] = [np.corrcoef(mean, kind * CELLS[1::2])[0, 1] for kind, mean in means.items()]
    assert min(ties[1.0]) > 0.9 > 0.0 > min(ties[0.0])


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_variance_of_a_prediction_is_the_joint_one_with_the_noise_of_a_training(weight: float) -> None:
    places = np.random.default_rng(0).normal(size=(12, 3))
    known = [MeasuredTask(each.statistics, CELLS[:8], each.logits[:8], np.ones(8)) for each in tasks([1.0, -1.0] * 3)]
    process = TaskProcess(known, lambda cells: places[cells], Kernel(looks_at=(0,), task=weight))
    at = known[0].statistics
    _, level_variance, log_scale = process._level_of(process._standardise(at))
    of_deviation = np.diag(process.covariance(at, CELLS)) + process.kernel.noise
    assert np.ptp(of_deviation) > 0.1
    np.testing.assert_allclose(
        process.predict(at, CELLS).std ** 2, level_variance + np.exp(2 * log_scale) * of_deviation
    )


def test_a_trend_over_some_cells_reaches_others_that_are_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [MeasuredTask(each.statistics, CELLS[:8], each.logits[:8], np.ones(8)) for each in tasks([1.0] * 6)]

    def far(cells: np.ndarray) -> np.ndarray:
        return 3 * (np.asarray(cells, dtype=np.float64)[:, None] - 5.5)

    unmeasured = CELLS[9:]
    mean = TaskProcess(known, far, KERNEL).predict([1.0, 0.0], unmeasured).mean
    assert (np.diff(mean) > 0.03).all()  # of 0.1 in truth
    monkeypatch.setattr(surrogate, "LINEAR", 0.0)
    np.testing.assert_allclose(
        np.diff(TaskProcess(known, far, KERNEL).predict([1.0, 0.0], unmeasured).mean), 0, atol=1e-3
    )


def test_the_noise_between_seeds_is_a_share_of_the_spread_and_in_points_what_it_is_worth_at_the_level() -> None:
    given = tasks([1.0, -1.0] * 8)
    process = TaskProcess(given, embed, Kernel(looks_at=(0,), average=0.0, own=0.0, product=0.0))  # levels alone
    spread = np.mean([each.logits.std() for each in given])
    for place in (-1.0, 0.0, 1.0):
        at = [1.0, place]
        noise, level = process.seed_noise(at), process.predict(at, CELLS[:1]).mean[0]
        assert noise == pytest.approx(process.kernel.seed_noise * spread, rel=0.1)
        slope = (to_percent(level + 1e-4) - to_percent(level - 1e-4)) / 2e-4
        assert process.seed_noise_in_points(at) == pytest.approx(slope * noise, rel=1e-6)
