"""databases <- predictors <- metad2a: imports go one way, and the lower floors stay silent."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"databases": {"predictors", "metad2a"}, "predictors": {"metad2a"}, "metad2a": set[str]()}


def imports(node: ast.AST) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]} if node.level == 0 else set()
    return {alias.name.partition(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()


def test_floors_import_downwards_stay_silent_and_leave_mlflow_to_tracking() -> None:
    files = [(floor, path) for floor in FORBIDDEN for path in (ROOT / floor).rglob("*.py")]
    assert {floor for floor, _ in files} == set(FORBIDDEN)
    for floor, path in files:
        only_tracking = set() if path == ROOT / "metad2a/runtime/tracking.py" else {"mlflow"}
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            assert not imports(node) & (FORBIDDEN[floor] | only_tracking), f"{where} imports against the floors"
            if floor != "metad2a" and isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") != "print", f"{where} prints"
