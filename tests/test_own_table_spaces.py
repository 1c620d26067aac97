"""A user's own table in every space: read, learnt from or kept with a word, and its mistakes in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_world import answer, run
from test_own_table import CELL, HEAD, table

from databases.architectures.space import SPACES, space
from databases.datasets.loading import load_task
from databases.errors import UserError
from databases.records.episodes import episodes
from databases.records.importers.own_table import import_table
from databases.records.store import Store
from metad2a.recommend.experience import experience
from metad2a.retrain.may_teach import may_teach

pytestmark = pytest.mark.usefixtures("home")

WITH_SPACE = (*HEAD, "space")
PROBED, TUNED, LITE = "own 32px probe whole", "own 48px all rate0.03 whole", "lite0 64px half rate0.01 whole"
PIPELINES = (
    *(("own 32px probe whole", "probe", 71.0), ("lite0 64px probe whole", "probe", 74.5), ("hog 64px", "probe", 33.0)),
    *((TUNED, "400-steps-anew", 78.5), (TUNED, "100-steps-anew", 74.0), (LITE, "100-steps", 76.0)),
)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store("sqlite://") as opened:
        yield opened


def in_space(architecture: str, recipe: str, where: str, *more: object, value: object = 81.5) -> tuple[object, ...]:
    return ("leaves", architecture, recipe, value, 0, "a.npz", where, *more)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_table_of_any_space_is_kept_under_its_space(name: str, tmp_path: Path, store: Store) -> None:
    recipe, told = "probe" if name == "pipeline" else "mine", list[str]()
    example = PROBED if name == "pipeline" else space(name).example
    path = table(tmp_path, in_space(example, recipe, name), head=WITH_SPACE)
    assert import_table(store, path, say=told.append) == 1 and import_table(store, path) == 0
    (record,) = store.records()
    assert (record.space, record.architecture) == (name, example) and record.extra["classes"] == 3
    assert space(name).ranked == (not told) and all(f"the space {name} are kept" in line for line in told)


def test_pipelines_of_a_table_tell_what_fine_tuning_adds_but_never_of_their_own_images(
    tmp_path: Path, store: Store
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3)).astype(np.uint8)
    np.savez(tmp_path / "photos.npz", x=images, y=np.arange(60) % 3)
    head = (*HEAD[:5], "images", "space")
    rows = [("leaves", *row, 0, "photos.npz", "pipeline") for row in PIPELINES]
    assert import_table(store, table(tmp_path, *rows, head=head)) == len(PIPELINES)
    assert episodes(store, images=None, usable=may_teach) == []  # they are no cells
    found = experience(store)
    assert (found.own, found.datasets) == (3, 1) and "3 of yours, of 1 dataset" in str(found)
    assert experience(store, load_task(tmp_path / "photos.npz")).own == 0
    (looked,) = {(each.extra["classes"], each.extra["train_images"]) for each in store.records()}
    assert looked == (3.0, float(np.count_nonzero(load_task(tmp_path / "photos.npz").parts == 0)))


MISTAKES: dict[str, tuple[tuple[object, ...], tuple[str, ...], str]] = {
    "no space": (in_space(CELL, "mine", "nasbench"), (), "'nasbench'"),
    "cell as pipeline": (in_space(CELL, "probe", "pipeline"), (), "is no architecture of the space 'pipeline'"),
    "pipeline as cell": (in_space(TUNED, "mine", ""), (), "is no architecture of the space 'nasbench201'"),
    "own name": (in_space(TUNED, "mine", "pipeline"), (), "give 400-steps-anew for 400 steps of training"),
    "other weights": (in_space(LITE, "100-steps-anew", "pipeline"), (), "give 400-steps for 400 steps of training"),
    "probe that is none": (in_space(TUNED, "probe", "pipeline"), (), "given the recipe 'probe' for the pipeline"),
    "probe of steps": (in_space(PROBED, "100-steps-anew", "pipeline"), (), "give probe"),
    "size": (in_space(PROBED, "probe", "pipeline", 8, 3, 16), ("channels", "cells", "resolution"), "say nothing of"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_a_space_is_told_in_one_line_and_nothing_is_written(
    mistake: str, tmp_path: Path, store: Store
) -> None:
    row, columns, words = MISTAKES[mistake]
    with pytest.raises(UserError) as refusal:
        import_table(store, table(tmp_path, row, head=(*WITH_SPACE, *columns)))
    assert words in str(refusal.value) and "line 2" in str(refusal.value) and "\n" not in str(refusal.value)
    assert store.tasks() == [] and store.records() == []


def test_retrain_of_pipelines_alone_says_whether_they_are_learnt_from(tmp_path: Path) -> None:
    place, rows = str(tmp_path / "mine.db"), [in_space(*row[:2], "pipeline", value=row[2]) for row in PIPELINES]
    file = table(tmp_path, *rows, head=WITH_SPACE)
    assert run("database", "import", "table", str(file), "--database", place).exit_code == 0
    asked = ("retrain", "--database", place, "--no-tracking")
    told = run(*asked)
    assert told.exit_code == 0 and "3 of yours, of 1 dataset" in told.stdout and "holds no cells" in told.stdout
    found = answer(*asked, "--json")["pipelines"]
    assert (found["own"], found["datasets"]) == (3, 1)
    assert found["used"] == (found["error_with"] <= found["error"])
