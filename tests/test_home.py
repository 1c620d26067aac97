"""Where files go, what ``import metad2a`` offers, and the words when something is in the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import metad2a
from databases.errors import UserError
from metad2a.runtime.home import home, shared_data


def test_home_is_made_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "a" / "b"))
    assert home() == tmp_path / "a" / "b"
    assert home().is_dir()


def test_an_unwritable_home_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(UserError, match=r"file/home.*set METAD2A_HOME"):
        home()


def test_absent_development_data_are_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAD2A_SHARED", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"nothing.*METAD2A_SHARED"):
        shared_data()
    (tmp_path / "nothing").mkdir()
    assert shared_data() == tmp_path / "nothing"


def test_import_is_light_and_offers_the_public_names() -> None:
    code = "import sys, metad2a; metad2a.UserError; sys.exit('numpy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert all(getattr(metad2a, name) for name in metad2a.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        metad2a.nothing  # noqa: B018


def test_another_package_called_databases_is_named(tmp_path: Path) -> None:
    intruder = tmp_path / "databases"
    intruder.mkdir()
    (intruder / "__init__.py").touch()
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import metad2a"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 1
    assert str(intruder) in answer.stderr and "pip uninstall databases" in answer.stderr
