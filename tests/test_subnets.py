"""Subnets of a pretrained base: the space, what a block costs, and rows measured without any training."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from cli_world import answer, run
from PIL import Image

from databases.architectures.catalogue import Catalogue
from databases.architectures.networks import cost
from databases.architectures.space import finite_space
from databases.architectures.spaces.subnets import LITE0_SUBNETS, MOBILENETV3_SUBNETS, RESIDUAL_SUBNETS, Subnets
from databases.architectures.supernets.families import open_family
from databases.errors import UserError
from databases.records.store import Store
from metad2a.build import subnets as build
from metad2a.build.subnets import build_subnets, cut_accuracy, fold_name, task_features, task_spec
from metad2a.runtime.executors import EXECUTORS
from metad2a.runtime.place import ALONE
from predictors.metrics import tau_at_matched_cost

EVERY = (RESIDUAL_SUBNETS, MOBILENETV3_SUBNETS, LITE0_SUBNETS)


@pytest.mark.parametrize("chosen", EVERY, ids=lambda each: each.name)
def test_every_walk_is_a_slice_of_the_base_and_the_base_is_one(chosen: Subnets) -> None:
    rng = np.random.default_rng(0)
    for each in (chosen.sample(rng) for _ in range(20)):
        assert chosen.family.check(chosen.stages(each)) == chosen.stages(each)
        assert chosen.of(chosen.stages(each)) == each
    assert chosen.stages(chosen.base) == chosen.family.stages
    with pytest.raises(UserError, match="stages"):
        chosen.of(chosen.family.stages[:-1])


def test_there_are_as_many_as_the_choices_allow() -> None:
    assert RESIDUAL_SUBNETS.size == (3 + 3**2) ** 4
    assert MOBILENETV3_SUBNETS.size == (9**2 + 9**3 + 9**4) ** 5  # of Once-for-All


@pytest.mark.parametrize("chosen", EVERY[::2], ids=lambda each: each.name)
def test_costs_of_blocks_add_up_to_that_of_the_network(chosen: Subnets) -> None:
    each = chosen.sample(np.random.default_rng(3))
    network = cost.with_zeros(cost.without_weights(chosen.blueprint(each, classes=7).build))
    classifier = sum(value.numel() for value in network.get_submodule("classifier").parameters())
    assert chosen.flops(each, resolution=32) == cost.multiply_adds(network, (3, 32, 32)) - classifier
    assert chosen.flops(each, resolution=32) < chosen.flops(chosen.base, resolution=32)


def test_a_catalogue_lists_small_spaces_and_numbers_large_ones_as_they_are_met() -> None:
    nasbench = finite_space("nasbench201")
    drawn = nasbench.sample(np.random.default_rng(0))
    assert Catalogue("nasbench201").number(drawn) == nasbench.class_number(drawn)
    listed = Catalogue("residual-subnets")
    assert (
        len(listed) == RESIDUAL_SUBNETS.size and listed[listed.number(RESIDUAL_SUBNETS.base)] == RESIDUAL_SUBNETS.base
    )
    met, rng = Catalogue("mobilenetv3-subnets"), np.random.default_rng(0)
    first, second = (MOBILENETV3_SUBNETS.sample(rng) for _ in range(2))
    assert len(met) == 0
    assert met.add([first, second, first]).tolist() == [0, 1, 0] and met.architectures == (first, second)


@pytest.mark.parametrize("name", ["residual-subnets", "mobilenetv3-subnets"])
def test_more_drawn_begin_with_those_that_were_drawn_before(name: str) -> None:
    few, more = (Catalogue(name).some(count, np.random.default_rng(1)) for count in (5, 9))
    assert more[:5] == few and len(set(more)) == 9


def test_tau_counts_only_pairs_that_cost_the_same() -> None:
    true, price = [1.0, 2.0, 3.0, 4.0], [10.0, 10.1, 20.0, 20.2]
    assert tau_at_matched_cost([1, 2, 0, 1], true, price) == 1.0  # wrong between the two prices only
    assert tau_at_matched_cost([2, 1, 5, 6], true, price) == 0.0
    assert tau_at_matched_cost([1, 1, 1, 1], true, price) == 0.0
    assert np.isnan(tau_at_matched_cost([1, 2], [1, 2], [1.0, 2.0]))


def test_a_task_has_classes_of_one_fold_and_no_class_is_in_two() -> None:
    of_fold: dict[int, set[int]] = {}
    for spec, fold in (task_spec(index) for index in range(40)):
        assert build.FEWEST <= len(spec.classes) <= build.MOST
        of_fold.setdefault(fold, set()).update(spec.classes)
    assert len(of_fold) == build.FOLDS and sum(map(len, of_fold.values())) == len(set.union(*of_fold.values()))


def test_a_cut_head_only_answers_with_its_classes() -> None:
    logits = np.array([[9.0, 1.0, 2.0], [9.0, 3.0, 2.0], [9.0, 0.0, 5.0]], dtype=np.float32)
    assert cut_accuracy(logits, np.array([1, 1, 2]), (1, 2)) == pytest.approx(200 / 3)
    assert cut_accuracy(logits, np.array([0, 1, 2]), (0, 2)) == 50.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two training and two held-out pictures of each class of the residual base, each class of a colour."""
    names = open_family("residual").card["classes"]
    labels, train = np.repeat(np.arange(len(names)), 4), np.tile([True, True, False, False], len(names))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (len(names), 1, 1, 3))[labels] + rng.integers(-20, 21, (len(labels), 8, 8, 3))
    x = x.clip(0, 255).astype(np.uint8)
    encoded = []
    for each in x:
        file = io.BytesIO()
        Image.fromarray(each).save(file, "PNG")
        encoded.append(file.getvalue())
    ends = np.cumsum([len(each) for each in encoded])
    blobs = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    named = np.array(names)
    np.savez(tmp_path / f"{build.IMAGES}.npz", blobs=blobs, ends=ends, labels=labels, train=train, names=named)
    parts = {"x_train": x[train], "y_train": labels[train], "x_test": x[~train], "y_test": labels[~train]}
    np.savez(tmp_path / f"{build.SOURCE}.npz", **parts, class_names=named)
    return tmp_path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements in this process, which no other one has to begin for."""
    monkeypatch.setitem(EXECUTORS, "processes", lambda function, jobs, **options: map(function, jobs))


def test_rows_are_measured_once_and_more_subnets_join_them(folder: Path, here: None) -> None:
    with Store(folder / "rows.db") as store:
        built = build_subnets(store, folder, space="residual-subnets", tasks=3, subnets=2, place=ALONE)
        assert (built.done, built.known, built.left) == (6, 0, 0)
        rows = store.records(space="residual-subnets")
        again = build_subnets(store, folder, space="residual-subnets", tasks=3, subnets=3, place=ALONE)
        assert (again.done, again.known, again.left) == (3, 6, 0)
        assert set(rows) <= set(store.records(space="residual-subnets"))
        entries = store.tasks()
    recipe = f"inherited-32px-{open_family('residual').digest[:6]}"
    assert {each.recipe for each in rows} == {recipe} and str(RESIDUAL_SUBNETS.base) in {
        each.architecture for each in rows
    }
    assert {each.source for each in entries} == {fold_name(fold) for fold in range(3)}
    for each in entries:
        seen = task_features(each, folder)
        assert seen is not None and seen.fingerprint == each.key and seen.labels.max() + 1 == each.statistics["classes"]


def test_the_command_measures_subnets_of_another_family_by_the_same_code(
    folder: Path, here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(folder / "home"))
    asked = ("--space", "mobilenetv3-subnets", "--tasks", "2", "--per-task", "1", "--images", str(folder))
    assert answer("database", "build", *asked) == {"measured": 2, "known": 0, "left": 0}
    assert answer("database", "build", *asked) == {"measured": 0, "known": 2, "left": 0}


@pytest.mark.parametrize(
    ("space", "option", "value"),
    [("pipeline", "--per-task", "3"), ("pipeline", "--recipe", "small"), ("residual-subnets", "--judged", "1")],
)
def test_an_option_that_says_nothing_of_what_is_measured_is_refused(
    folder: Path, here: None, space: str, option: str, value: str
) -> None:
    told = run("database", "build", "--space", space, option, value, "--images", str(folder))
    assert told.exit_code == 2 and option in told.stderr and "leave it out" in told.stderr


def test_a_base_that_learnt_other_classes_is_refused(folder: Path) -> None:
    with Store(folder / "rows.db") as store:
        with pytest.raises(UserError, match="no pretrained base"):
            build_subnets(store, folder, space="nasnet", tasks=1, subnets=1)
        file = folder / f"{build.IMAGES}.npz"
        with np.load(file) as found:
            arrays = {**found, "names": found["names"][::-1]}
        np.savez(file, **arrays)
        with pytest.raises(UserError, match="other classes"):
            build_subnets(store, folder, space="residual-subnets", tasks=1, subnets=1)
        with pytest.raises(UserError, match="no image source"):
            build_subnets(store, folder / "nowhere", space="residual-subnets", tasks=1, subnets=1)
        assert store.tasks() == []
