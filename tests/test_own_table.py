"""A user's own benchmark: a plain table with images or features beside it, and every mistake in it in one line."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_world import run
from test_class_folders import make

from databases.datasets.ready_features import from_text, read_features, to_text
from databases.errors import UserError
from databases.records.episodes import episodes
from databases.records.importers.own_table import import_table
from databases.records.store import Store
from metad2a.retrain.may_teach import may_teach

pytestmark = pytest.mark.usefixtures("home")

CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
OTHER = CELL.replace("skip_connect", "none")
HEAD = ("task", "architecture", "recipe", "value", "seed", "features")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store("sqlite://") as opened:
        yield opened


def features(path: Path, *, width: int = 192, **more: object) -> Path:
    rng = np.random.default_rng(0)
    arrays = {"features": rng.normal(size=(30, width)), "labels": np.repeat(["a", "b", "c"], 10), **more}
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def table(folder: Path, *rows: tuple[object, ...], head: tuple[str, ...] = HEAD, name: str = "mine.csv") -> Path:
    """A table in a folder that also holds the features ``a.npz``."""
    features(folder / "a.npz")
    path = folder / name
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as text:
        csv.writer(text).writerows([head, *rows])
    return path


def row(**cells: object) -> tuple[object, ...]:
    usual = {"task": "leaves", "architecture": CELL, "recipe": "mine", "value": 81.5, "seed": 0, "features": "a.npz"}
    return tuple({**usual, **cells}.values())


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz"])
def test_a_table_becomes_tasks_and_records_and_adds_nothing_when_read_again(
    tmp_path: Path, store: Store, name: str
) -> None:
    rows = [row(), row(seed=1, value=80, features=""), row(architecture=OTHER, features=""), row(task="bark")]
    path = table(tmp_path, *rows, rows[0], name=name)
    assert import_table(store, path) == 4 and import_table(store, path) == 0
    assert {(r.task, r.recipe, r.source, r.seed, r.valid_accuracy) for r in store.records(task="table/leaves")} == {
        ("table/leaves", "mine", "table:mine", 0, 81.5),
        ("table/leaves", "mine", "table:mine", 1, 80.0),
    }
    assert [(each.name, each.source) for each in store.tasks()] == [("bark", "bark"), ("leaves", "leaves")]


def test_the_mark_of_a_spreadsheet_before_a_table_is_no_part_of_it(tmp_path: Path, store: Store) -> None:
    assert import_table(store, _rewritten(tmp_path, str, "utf-8-sig")) == 1


def test_what_predictors_need_is_in_the_database_alone(tmp_path: Path, store: Store) -> None:
    import_table(store, table(tmp_path, row(), row(architecture=OTHER, value=70, features="")))
    (tmp_path / "a.npz").unlink()
    (found,) = episodes(store, images=None, usable=may_teach)
    assert found.features.features.shape == (30, 192) and found.features.labels.max() == 2
    assert (found.recipe, found.family, sorted(found.accuracy)) == ("mine", "leaves", [70.0, 81.5])
    later = table(tmp_path, row(seed=5, features=""), name="later.csv")
    assert import_table(store, later) == 1  # the task is known, so its features need not be named again


def test_images_may_stand_beside_the_table_in_any_form(tmp_path: Path, store: Store) -> None:
    images = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1)).astype(np.uint8)
    np.savez(tmp_path / "photos.npz", x=images, y=np.arange(24) % 3)
    head = (*HEAD[:5], "images", "source", "channels", "cells", "resolution")
    path = table(tmp_path, (*row()[:5], "photos.npz", "plants", 8, 3, 16), head=head)
    assert import_table(store, path) == 1
    (found,) = episodes(store, images=None, usable=may_teach)
    assert found.family == "plants" and np.isfinite(found.features.features).all()
    extra = {"classes": 3, "train_images": 14, "channels": 8, "cells": 3, "resolution": 16}
    assert store.records()[0].extra == extra


def test_features_survive_as_text_and_carry_the_facts_given(tmp_path: Path) -> None:
    few = read_features(features(tmp_path / "few.npz"))
    many = read_features(features(tmp_path / "many.npz", train_images=np.array(30_000), channels=np.array(1)))
    assert many.statistics[0] > few.statistics[0] and (few.statistics[3], many.statistics[3]) == (1, 0)
    again = from_text(to_text(many), name="n", source="s", fingerprint="f")
    assert (again.name, again.source, again.fingerprint) == ("n", "s", "f")
    np.testing.assert_allclose(again.features, many.features, atol=4e-3)
    np.testing.assert_array_equal(again.labels, many.labels)
    np.testing.assert_array_equal(again.statistics, many.statistics)
    with pytest.raises(UserError, match="damaged"):
        from_text(to_text(many)[:-40])


MISTAKES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no file": (lambda f: f / "nowhere.csv", "cannot be read"),
    "empty file": (lambda f: _empty(f), "no column 'task'"),
    "no rows": (lambda f: table(f), "has no rows"),
    "semicolons": (lambda f: _rewritten(f, lambda text: text.replace(",", ";")), "'task', only 'task;architecture;"),
    "other encoding": (lambda f: _rewritten(f, str, "utf-16"), "not a CSV table in UTF-8"),
    "no column": (lambda f: table(f, row()[:4], head=HEAD[:4]), "no column 'seed'"),
    "misspelt": (
        lambda f: table(f, (*row(), 8), head=(*HEAD, "chanels")),
        "unknown column 'chanels'; allowed are task, architecture, recipe, value, seed, images, features, source, "
        "groups, space, channels, cells, resolution; correct its name",
    ),
    "short row": (
        lambda f: table(f, row()[:3]),
        "line 2 has 3 cells, line 1 has 6; each row needs one for each column",
    ),
    "long row": (lambda f: table(f, (*row(), "", "")), "line 2 has 8 cells, line 1 has 6"),
    "twice": (lambda f: table(f, (*row(), 1), head=(*HEAD, "seed")), "has the column 'seed' twice"),
    "half seed": (lambda f: table(f, row(seed=0.5)), "seed must be a whole number"),
    "architecture": (lambda f: table(f, row(), row(architecture="resnet")), "line 3: 'resnet' is no architecture"),
    "not a number": (lambda f: table(f, row(value="good")), "line 2: value must be a number from 0 to 100, got 'good'"),
    "nan": (lambda f: table(f, row(value="nan")), "line 2: value must be a number from 0 to 100, got 'nan'"),
    "no value": (lambda f: table(f, row(value="")), "value must be a number"),
    "beyond percent": (lambda f: table(f, row(value=101)), "from 0 to 100"),
    "shares": (lambda f: table(f, row(value=0.8)), "multiply by 100"),
    "seed": (lambda f: table(f, row(seed="x")), "seed must be a whole number"),
    "endless seed": (
        lambda f: table(f, row(seed=2**63)),
        "a seed is a whole number from 0 to 9,223,372,036,854,775,807",
    ),
    "low seed": (lambda f: table(f, row(seed=-2)), "a seed is a whole number"),
    "no task": (lambda f: table(f, row(task="")), "task must be a name"),
    "published": (lambda f: table(f, row(recipe="nasbench201")), "published benchmark"),
    "no features": (lambda f: table(f, row(features="")), "neither images nor features"),
    "features missing": (lambda f: table(f, row(features="b.npz")), "which is no file"),
    "two files": (lambda f: table(f, row(), row(seed=1, features="b.npz")), "lines 2 and 3 name different features"),
    "other value": (lambda f: table(f, row(), row(value=80)), "line 3: value 80, but line 2 has 81.5"),
    "both": (lambda f: table(f, (*row(), "a.npz"), head=(*HEAD, "images")), "has images and features"),
    "no images": (lambda f: table(f, (*row()[:5], "gone"), head=(*HEAD[:5], "images")), "mine.csv, line 2: the task"),
    "size": (lambda f: table(f, (*row(), "8"), head=(*HEAD, "channels")), "three whole numbers"),
    "size in words": (lambda f: _sized(f, ("mine", "few")), "must be three whole numbers from 1, or all be left out"),
    "endless size": (lambda f: _sized(f, ("mine", "inf")), "must be three whole numbers"),
    "two sizes": (lambda f: _sized(f, ("mine", 8), ("mine", 16)), "differ from those of line 2"),
    "our size": (lambda f: _sized(f, ("tiny", 16)), "recipe 'tiny' of metad2a has another size"),
}


def _empty(folder: Path) -> Path:
    (folder / "mine.csv").touch()
    return folder / "mine.csv"


def _rewritten(folder: Path, change: Callable[[str], str], encoding: str = "utf-8") -> Path:
    path = table(folder, row())
    path.write_text(change(path.read_text(encoding="utf-8")), encoding=encoding)
    return path


def _sized(folder: Path, *recipes: tuple[str, object]) -> Path:
    rows = [(*row(recipe=name, seed=seed), channels, 3, 16) for seed, (name, channels) in enumerate(recipes)]
    return table(folder, *rows, head=(*HEAD, "channels", "cells", "resolution"))


def test_seeds_as_spreadsheets_write_them_are_whole_numbers(tmp_path: Path, store: Store) -> None:
    assert (
        import_table(store, table(tmp_path, row(seed="0.0"), row(seed="1."), row(seed=" 2 "), row(seed="-1.00"))) == 4
    )
    assert sorted(each.seed for each in store.records()) == [-1, 0, 1, 2]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(tmp_path: Path, store: Store, mistake: str) -> None:
    make, words = MISTAKES[mistake]
    with pytest.raises(UserError) as refusal:
        import_table(store, make(tmp_path))
    assert words in str(refusal.value) and "\n" not in str(refusal.value)
    assert store.tasks() == [] and store.records() == []


FEATURES: dict[str, tuple[dict[str, object], str]] = {
    "width": ({"width": 512}, r"given features (30, 512)"),
    "nan": ({"features": np.full((30, 192), np.nan)}, "NaN or infinity"),
    "too large": ({"features": np.full((30, 192), 1e300)}, "beyond 1e+15"),
    "too large for squares": ({"features": np.full((30, 192), -1e25, dtype=np.float32)}, "beyond 1e+15"),
    "labels": ({"labels": np.zeros(3)}, "one label"),
    "one class": ({"labels": np.zeros(30, dtype=int)}, "1 different labels"),
    "objects": ({"features": np.array([{}] * 30, dtype=object)}, "never Python objects"),
    "facts": ({"train_images": np.array(-1)}, "one number from 1"),
}


@pytest.mark.parametrize("mistake", FEATURES)
def test_unusable_features_are_refused(tmp_path: Path, store: Store, mistake: str) -> None:
    arrays, words = FEATURES[mistake]
    path = table(tmp_path, row())
    features(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError) as refusal:
        import_table(store, path)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)
    assert store.tasks() == []


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, store: Store) -> None:
    path = table(tmp_path, row())
    (tmp_path / "a.npz").write_text("no arrays")
    with pytest.raises(UserError, match="not a zip file or is damaged"):
        import_table(store, path)
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(UserError, match="without features and labels but with x"):
        import_table(store, path)


def test_what_the_database_knows_is_not_contradicted(tmp_path: Path, store: Store) -> None:
    import_table(store, table(tmp_path, row()))
    with pytest.raises(UserError, match=r"value 80, but the database has 81\.5 .*; to correct the database, write it"):
        import_table(store, table(tmp_path, row(value=80)))
    with pytest.raises(UserError, match="differ from those of the database"):
        import_table(store, _sized(tmp_path, ("mine", 8)))
    path = table(tmp_path, row(seed=3))
    features(tmp_path / "a.npz", features=np.random.default_rng(1).normal(size=(30, 192)))
    with pytest.raises(UserError, match="known with other images or features"):
        import_table(store, path)
    assert len(store.records()) == 1


def test_a_value_is_corrected_in_an_export_that_a_new_database_reads(tmp_path: Path, store: Store) -> None:
    import_table(store, table(tmp_path, row()))
    store.export_csv(tmp_path / "all.csv.gz")
    unpacked = tmp_path / "all.csv"
    unpacked.write_text(gzip.decompress((tmp_path / "all.csv.gz").read_bytes()).decode().replace(",81.5,", ",80,"))
    with Store(tmp_path / "new.db") as new:
        assert new.import_csv(unpacked) == 1 and new.records()[0].valid_accuracy == 80
        assert import_table(new, table(tmp_path, row(value=80))) == 0


def test_the_command_imports_and_refuses(tmp_path: Path) -> None:
    place = str(tmp_path / "database.db")
    told = run("database", "import", "table", str(table(tmp_path, row())), "--database", place)
    assert told.exit_code == 0 and "1 new records" in told.stdout
    refused = run("database", "import", "table", str(table(tmp_path, row(value="nan"))), "--database", place)
    assert refused.exit_code == 2 and refused.stderr.count("\n") == 1 and "line 2" in refused.stderr


def test_groups_of_images_are_named_in_a_column_and_notes_on_images_are_told(tmp_path: Path, store: Store) -> None:
    ways = [f"{name}/{place}" for name in ("cat", "dog") for place in ("in", "out")]
    make(tmp_path / "pets", *ways, count=10)
    head = ("task", "architecture", "recipe", "value", "seed", "images", "groups")
    cells = ("pets", CELL, "mine", 81.5, 0, "pets")
    told: list[str] = []
    with pytest.raises(UserError, match="give the column groups with folder if 'cat', 'dog' are the classes"):
        import_table(store, table(tmp_path, (*cells, ""), head=head))
    assert import_table(store, table(tmp_path, (*cells, "folder"), head=head), say=told.append) == 1
    assert any("pets: took folders of the same name in several classes as one group" in note for note in told)
    (tmp_path / "groups.csv").write_text(
        "\n".join(["file,group", *(f"{way}/{at}.png,{at}" for way in ways for at in range(10))])
    )
    with pytest.raises(UserError, match="give the column groups with folder"):
        import_table(store, table(tmp_path, (*cells, "groups.csv"), head=head))
    with pytest.raises(UserError, match="has groups but no images"):
        import_table(store, table(tmp_path, (*row(), "folder"), head=(*HEAD, "groups")))
