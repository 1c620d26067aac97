"""Every mistake on the command line gets one line and exit status 2."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_world import CELLS, OF_CELLS, FakeModel, run
from rich.panel import Panel
from rich.text import Text
from typer.testing import Result

from databases.datasets.groups import check_way
from databases.errors import UserError
from databases.records.record import Record, TaskEntry
from databases.records.store import Store
from metad2a import __version__
from metad2a.cli import folders, output
from metad2a.cli.guard import guarded
from metad2a.cli.output import console, reporting, table
from metad2a.recommend.model import SHIPPED
from metad2a.runtime.home import DATABASE

pytestmark = pytest.mark.usefixtures("home")

ARGUMENTS = {  # command line -> words of the one line that answers it
    "recomend DATA": "choose one of recommend, search, train",
    "database": "choose one of build, info",
    "database import everything": "choose one of nasbench201, metad2a, table, records",
    "recommend": "Missing argument",
    "recommend DATA --groups tracks": "given the groups 'tracks' for arrays; allowed are auto, none",
    "recommend DATA more": "unexpected extra argument",
    "recommend DATA --tip 3": "--top",
    "recommend DATA --top 0": "--top '0': give a whole number from 1, or all",
    "recommend DATA --top": "--top",
    "recommend DATA --space nasbench201 --candidates some": "'generator', 'all', 'both'",
    "recommend DATA --space nasbench201 --recipe big": "tiny, shallow, small, standard",
    "recommend DATA --seed -1": "--seed",
    "recommend DATA --seed x": "--seed",
    "recommend DATA --seed 99999999999": "--seed",
    "recommend DATA --max-flops 3km": "300k or 1.5M",
    "recommend DATA --max-params 0": "300k or 1.5M",
    "recommend nowhere": "a folder of class folders",
    "recommend sklearn:iris": "sklearn:digits",
    "recommend DATA --space nasbench201 --model DATA": "meta-model",
    "recommend DATA --space nasbench201 --model nowhere": "meta-model",
    "recommend DATA --output DATA": "name a folder",
    "recommend nowhere --output DATA/new": "cannot be made in 'DATA' (Not a directory): name a place",
    "search DATA --budget 10": "90s, 10m or 1h30m",
    "search DATA --budget 0s": "90s, 10m or 1h30m",
    "search DATA --space nasbench201 --train 0": "--train",
    "train DATA --architecture conv": "write it like '|nor_conv_3x3~0|",
    "train DATA --architecture CELL --recipe metad2a": "tiny, shallow, small, standard",
    "train DATA --architecture CELL --on abacus": "'auto' and 'cpu'",
    "train nowhere --architecture CELL --recipe big": "unknown recipe 'big'",  # before the images are read
    "search nowhere --space nasbench201 --recipe metad2a": "only others measured",
    "search nowhere --space nasbench201 --on abacus": "'auto' and 'cpu'",
    "search nowhere --searcher area": "given the searcher 'area' with the space 'pipeline'",  # before images
    "search nowhere --searcher oracle": "surrogate",
    "search DATA --recipe tiny": "in spaces of networks only: leave it out, or give --space nasbench201",
    "search DATA --train-all": "given --train-all with the space 'pipeline'",
    "search DATA --stop-early": "given --stop-early with the space 'pipeline'",
    "recommend DATA --recipe tiny": "in spaces of networks only: leave it out, or give --space nasbench201",
    "recommend DATA --device pixel2": "latencies of cells, which foretell those of pretrained networks",
    "search DATA --also timm:a --also timm:b": "given --also 2 times",
    "search nowhere --also weights.pth": "'weights.pth', which is no file; allowed are timm:NAME",  # before images
    "search DATA --space enas-micro --baseline": "in the space pipeline only: leave it out, or give --space pipe",
    "recommend DATA --space nasbench201 --budget 9s": "in the space pipeline only: leave it out",
    "recommend DATA --space enas-micro": "what can be recommended are pipeline and nasbench201",
    "recommend DATA --max-latency fast": "give a time above zero with its unit",
    "search nowhere --space nasbench201 --searcher oracle": "surrogate",
    "search nowhere --space nasbench201 --model DATA": "meta-model",
    "recommend nowhere --space nasbench201 --recipe big --model SHIPPED": "tiny, shallow, small, standard",
    "recommend nowhere --space nasbench201 --max-latency 15ms --model SHIPPED": "needs a device",
    "export nothing --output out": "unknown run 'nothing'",
    "database import nasbench201 nowhere": "accuracy.csv.gz",
    "database import nasbench201 DATA": "NAS-Bench-201",
    "database import records DATA": "DATA",
    "database import metad2a DATA": "DATA is no folder; give the folder that holds metad2a_meta_train.csv.gz, ",
    "database info --database DATA": "not a database",
    "database info --database mysql://x/y": "sqlite",
    "database build --recipe big": "choose one of tiny, shallow, small, standard",
    "database import table nowhere": "cannot be read",
    "database import table DATA": "not a CSV table",
    "database export NEW --source onw": "no records of the source 'onw'",
    "database export DATA/new": "FILE 'DATA/new' cannot be made in 'DATA' (Not a directory)",
    "retrain --from nowhere": "no meta-model at nowhere",
    "retrain --output .": "is a folder",
    "retrain --from nowhere --output DATA/new": "--output 'DATA/new' cannot be made in 'DATA' (Not a directory)",
}


def refused(result: Result) -> str:
    """The one line on stderr of a command that was refused."""
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize("line", ARGUMENTS)
def test_a_mistake_in_the_command_line_is_told_in_one_line(line: str, data: str) -> None:
    known = {"DATA": data, "DATA/new": f"{data}/new", "NEW": f"{data}.new", "CELL": CELLS[0], "SHIPPED": str(SHIPPED)}
    words = [known.get(word, word) for word in line.split()]
    assert ARGUMENTS[line].replace("DATA", data) in refused(run(*words, *(["--json"] if len(words) > 2 else [])))


def _empty(folder: Path) -> Path:
    return folder


def _one_class(folder: Path) -> Path:
    from PIL import Image

    (folder / "only").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8)).save(folder / "only" / f"{number}.png")
    return folder


def _climbing_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "data.zip", "w") as file:
        file.writestr("../a/1.png", b"")
    return folder / "data.zip"


def _pickled(folder: Path) -> Path:
    np.savez(folder / "data.npz", x=np.array([{}], dtype=object), y=np.zeros(1))
    return folder / "data.npz"


def _not_a_number(folder: Path) -> Path:
    np.savez(folder / "data.npz", x=np.full((4, 8, 8), np.nan), y=np.arange(4) % 2)
    return folder / "data.npz"


@pytest.mark.parametrize("make", [_empty, _one_class, _climbing_zip, _pickled, _not_a_number])
def test_unusable_data_are_told_in_one_line(make: Callable[[Path], Path], tmp_path: Path, home: Path) -> None:
    (tmp_path / "given").mkdir()
    refused(run("recommend", str(make(tmp_path / "given")), *OF_CELLS))
    assert not home.exists()


def test_impossible_limits_reach_the_user_as_they_are(
    model: FakeModel, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UserError("no candidate is that small:\nthe smallest has 5 parameters")

    monkeypatch.setattr(model, "recommend", refuse)
    assert "that small: the smallest has 5" in refused(run("recommend", data, *OF_CELLS, "--max-params", "2"))


def test_a_recipe_that_the_database_alone_knows_leads_to_retraining(data: str, home: Path, tmp_path: Path) -> None:
    hint = "; the database has records of it: run metad2a retrain, then add --model challenger\n"
    before = run("recommend", data, *OF_CELLS, "--recipe", "mine").stderr
    assert "unknown recipe 'mine'" in before and hint not in before and not (home / DATABASE).exists()
    for place, first in ((home / DATABASE, []), (tmp_path / "other.db", ["--database", str(tmp_path / "other.db")])):
        with Store(place) as store:
            store.add_task(TaskEntry("table/leaves", "leaves"))
            store.add([Record("table/leaves", "nasbench201", "a", "mine", 0, "table:mine", valid_accuracy=10.0)])
        told = run(*first, "recommend", data, *OF_CELLS, "--recipe", "mine")
        assert told.exit_code == 2 and told.stderr.startswith("error: unknown recipe 'mine'")
        assert told.stderr.endswith(hint) and told.stderr.count("\n") == 1
        place.unlink()
    assert hint not in run("recommend", data, *OF_CELLS, "--recipe", "yours").stderr


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "newer.db"
    Store(place).close()
    connection = sqlite3.connect(place)
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    assert "upgrade metad2a" in refused(run("database", "info", "--database", str(place)))


def test_an_unusable_home_is_refused(home: Path) -> None:
    home.write_text("a file")
    assert "METAD2A_HOME" in refused(run("database", "info"))


def test_retrain_tries_whether_its_file_can_be_written_before_it_begins(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    folder = tmp_path / "new"
    assert "(File name too long)" in refused(run("retrain", "--output", str(folder / ("m" * 300))))
    monkeypatch.setattr(folders, "NamedTemporaryFile", forbid)  # the tests may run as root, who may write anywhere
    line = refused(run("retrain", "--output", str(folder / "model.safetensors")))
    assert f"cannot be made in {str(tmp_path)!r} (Permission denied): name a place" in line
    assert not folder.exists() and not (home / DATABASE).exists()


def test_a_full_disk_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.bin")

    assert guarded(fill) == 2
    assert capsys.readouterr().err == (
        "error: cannot write model.bin (No space left on device): make room there or name another folder\n"
    )


def test_a_reader_that_is_gone_ends_a_command_quietly() -> None:
    def printing() -> None:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            sys.exit(1)  # as typer and rich do

    assert guarded(printing) == 141
    with pytest.raises(SystemExit):
        guarded(lambda: sys.exit(1))


def test_our_own_mistakes_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: 1 / 0)


def test_an_interruption_says_how_to_go_on(model: FakeModel, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "recommend", stop)
    result = run("search", data, *OF_CELLS, "--recipe", "quick", "--no-tracking")
    assert result.exit_code == 130 and "the same command again to go on" in result.stderr
    nothing_kept = run("recommend", data, *OF_CELLS)
    assert nothing_kept.exit_code == 130 and nothing_kept.stderr.strip() == "interrupted"


def test_a_command_into_a_pipe_is_not_silent_for_long_though_its_work_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "SECONDS_BETWEEN_LINES", 0.1)
    with reporting("Reading the images ...") as reporter:
        time.sleep(0.5)
        reporter.now("Testing ...")
        time.sleep(0.5)
    told = capsys.readouterr().err
    assert re.search(r"Reading the images \.\.\. \d\.\d s so far\n", told) and "Testing ..." in told
    time.sleep(0.3)
    assert capsys.readouterr().err == ""  # nothing is said once it is over


def test_a_slip_of_the_pen_is_answered_with_what_was_meant() -> None:
    assert "did you mean search? choose one of recommend" in run("serch", "x").stderr
    assert "did you mean --space? metad2a search knows" in run("search", "x", "--spce", "y").stderr
    assert "did you mean" not in run("abracadabra").stderr
    for line, meant in (
        ("compare --benchmark nasbench", "nasbench201"),
        ("pretrain x --family residul", "residual"),
        ("pretrain sklearn:digits --evaluate residul", "residual"),
        ("retrain --from champoin", "champion"),
    ):
        assert f"did you mean {meant}? " in run(*line.split()).stderr, line
    with pytest.raises(UserError, match=r"did you mean folder\? choose one"):
        check_way("folde")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("--version")
    assert result.exit_code == 0 and result.stdout == f"metad2a {__version__}\n"


def test_what_a_class_is_called_gives_the_terminal_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[2Jb\u202ec\x9b"
    console().print(evil, "plain 猫")
    console().print(table(None, ("Class",), [(evil,)]))
    console().print(Panel(Text(evil)))  # whatever it is that holds the name
    with reporting("...") as reporter:
        reporter.line(evil)

    def refuse() -> None:
        raise UserError(f"given {evil}")

    assert guarded(refuse) == 2
    told = "".join(capsys.readouterr())
    assert not {"\x1b", "\u202e", "\x9b"} & set(told)
    assert told.count("a\ufffd[2Jb\ufffdc\ufffd") == 5 and "plain 猫" in told
