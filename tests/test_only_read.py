"""Homes and databases that may only be read: what looks works there; what writes says in one line why not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from cli_world import answer, run
from records_world import says

from databases.errors import UserError
from databases.kept import kept as keep_or_make
from databases.records.record import Record
from databases.records.store import Store
from metad2a.cli.options import open_store
from metad2a.search.run_state import State, write_state
from metad2a.search.runs import runs_folder
from metad2a.service import tokens
from metad2a.service.tables import open_database

pytestmark = pytest.mark.usefixtures("home")

ANY = Record("digits", "nasbench201", "a", "tiny", 0, "own", 90.0)


@contextmanager
def only_read(folder: Path) -> Iterator[None]:
    """Nothing in the folder may be written in the block, by another user where root heeds no permissions."""
    inside = [folder, *folder.rglob("*")]
    before = {each: each.stat().st_mode for each in inside}
    root = os.geteuid() == 0
    for each in inside:
        each.chmod(0o555 if each.is_dir() else 0o444)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for each, mode in before.items():
            each.chmod(mode)


@pytest.fixture(name="folder")
def folder_fixture() -> Iterator[Path]:
    """One that everybody may look into, as none of pytest's is."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(name="kept")
def kept_fixture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a run, records and a token."""
    home = folder / "home"
    monkeypatch.setenv("METAD2A_HOME", str(home))
    write_state(runs_folder() / "toy", State({}, []))
    with Store(home / "database.db") as store:
        store.add([ANY])
    database = open_database(str(home / "database.db"))
    tokens.create(database, "somebody")
    database.engine.dispose()
    return home


LOOKING = [
    *(("runs",), ("predict", "toy", "x.png"), ("export", "toy", "--output", "{out}/model"), ("info",)),
    *(("device", "list"), ("database", "info"), ("database", "export", "{out}/all.csv.gz"), ("token", "list")),
]


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_commands_that_only_look_say_the_same_in_a_home_that_may_only_be_read(
    words: tuple[str, ...], kept: Path, folder: Path
) -> None:
    (folder / "out").mkdir()
    (folder / "out").chmod(0o777)
    asked = [each.format(out=folder / "out") for each in words]
    expected = run(*asked)
    for made in (folder / "out").iterdir():
        made.unlink()
    with only_read(kept):
        found = run(*asked)
    assert (found.exit_code, found.stdout, found.stderr) == (expected.exit_code, expected.stdout, expected.stderr)
    assert "write" not in found.stderr


def test_recommend_answers_where_it_can_keep_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keeps(task: object, *, cache: Path, **_: object) -> None:
        found = keep_or_make(cache, ("x",), lambda: {"a": np.ones(2)}, "a")
        raise UserError(f"answered {found['a'].tolist()}")

    monkeypatch.setattr("metad2a.recommend.pipelines.recommend_pipelines", keeps)
    run("recommend", "sklearn:digits")
    (kept / "features" / "x.npz").unlink()
    with only_read(kept):
        assert "answered [1.0, 1.0]" in run("recommend", "sklearn:digits").stderr
    assert not list((kept / "features").iterdir())


def test_an_empty_home_that_may_only_be_read_holds_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(folder / "none" / "home"))
    with only_read(folder):
        assert "No run yet" in run("runs").stdout and "0 tasks, 0 records" in run("database", "info").stdout
        assert run("device", "list").exit_code == 0 and answer("token", "list") == {"tokens": []}
    assert not (folder / "none").exists()


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_the_same_where_no_service_was_opened_yet(words: tuple[str, ...], folder: Path, home: Path) -> None:
    write_state(runs_folder() / "toy", State({}, []))
    with Store(home / "database.db") as store:
        store.add([ANY])
    place = folder / "home"
    shutil.copytree(home, place)
    place.chmod(0o755)
    (folder / "out").mkdir()
    (folder / "out").chmod(0o777)
    with pytest.MonkeyPatch.context() as patch, only_read(place):
        patch.setenv("METAD2A_HOME", str(place))
        assert "write" not in run(*(each.format(out=folder / "out") for each in words)).stderr


@pytest.mark.parametrize(
    "words",
    [("search", "sklearn:digits"), ("database", "import", "records"), ("token", "create", "x"), ("retrain",)],
    ids=" ".join,
)
@pytest.mark.parametrize("database", [None, "sqlite:///{home}/database.db?mode=ro"])
def test_commands_that_write_say_in_one_line_that_they_may_not(
    words: tuple[str, ...], database: str | None, kept: Path
) -> None:
    where = () if database is None else ("--database", database.format(home=kept))
    with only_read(kept):
        result = run(*where, *words)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert "you may write to" in result.stderr


@pytest.mark.parametrize("url", ["sqlite:///{place}?mode=ro", "sqlite:///file:{place}?mode=ro&uri=true"])
def test_a_database_with_mode_ro_is_read_and_who_writes_is_refused_before_any_work(url: str, tmp_path: Path) -> None:
    place = tmp_path / "odd %25 name.db"
    with Store(tmp_path / "odd % name.db") as store:
        store.add([ANY])
    with Store(url.format(place=place)) as store:
        assert store.records() == [ANY]
        with pytest.raises(UserError, match="is only read"):
            store.add([ANY])
    with pytest.raises(UserError, match="is only read"):
        open_store(url.format(place=place))


def test_mode_ro_makes_nothing_and_is_told_of_what_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        Store(f"sqlite:///{tmp_path}/none/new.db?mode=ro")
    assert "give a file that is there" in says(error) and not list(tmp_path.iterdir())
    with closing(sqlite3.connect(tmp_path / "empty.db")) as other:
        other.execute("VACUUM")
    with pytest.raises(UserError, match="holds nothing of metad2a yet"):
        Store(f"sqlite:///{tmp_path}/empty.db?mode=ro")


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite:///{place}?nonsense=1", "sqlite:///{place}?mode=rw", "sqlite:///{place}?mode=ro&uri=true"),
        *("sqlite:///{place}?timeout=abc", "sqlite+aiosqlite:///{place}", "postgresql://127.0.0.1:1/x?nonsense=1"),
    ],
)
def test_what_would_not_be_heeded_behind_a_url_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        Store(url.format(place=tmp_path / "records.db"))
    asked = url.partition("?")[2].partition("=")[0] or "aiosqlite"
    assert asked in says(error) and not list(tmp_path.iterdir())
