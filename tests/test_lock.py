"""One process at a time; a lock is given back however its holder ends, and names the holder."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from metad2a.runtime.lock import Held, hold

ROOT = Path(__file__).parents[1]


def test_a_held_lock_names_its_holder_and_a_killed_holder_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, time; from pathlib import Path; from metad2a.runtime.lock import hold; "
        "lock = hold(Path(sys.argv[1]), patience=0); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE, cwd=ROOT) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        for _ in range(2):  # looking does not disturb what it says
            with pytest.raises(Held) as told:
                hold(path, patience=0)
            assert told.value.process == str(other.pid)
        other.kill()
        other.wait()
        hold(path, patience=0).release()
    hold(path, patience=1).release()


def test_no_module_locks_by_what_unix_alone_has() -> None:
    for floor in ("databases", "predictors", "metad2a"):
        for path in (ROOT / floor).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert "fcntl" not in names, path
