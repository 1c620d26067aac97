"""A report becomes files and an MLflow run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metad2a.reports.plots import panels
from metad2a.reports.report import Report, Table
from metad2a.runtime.files import write_folder
from metad2a.runtime.tracking import Run, Tracker

MOST_METRICS = 500


def write_report(report: Report, folder: Path) -> list[str]:
    """Writes report.json, tables.md and, where there are panels, figure.png and figure.svg; returns the names.

    Raises:
        UserError: the folder cannot be written; it is then left as it was.
    """

    def write(beside: Path) -> list[str]:
        text = json.dumps(report.to_json(), indent=1, allow_nan=False)
        (beside / "report.json").write_text(text + "\n", encoding="utf-8")
        (beside / "tables.md").write_text(markdown(report), encoding="utf-8")
        figures = ["figure.png", "figure.svg"] if report.panels else []
        for name in figures:
            panels(report.panels, beside / name, title=f"{report.system} ({report.source})")
        return ["tables.md", *figures, "report.json"]

    return write_folder(folder, write)


def track_report(report: Report, tracker: Tracker, folder: Path, *, parameters: dict[str, object]) -> None:
    """One run: the parameters, every figure of the report as a metric, and the folder's files."""
    with tracker.run(f"reproduce {report.system}", "evaluation", parameters=parameters) as run:
        log_report(report, run, folder)


def log_report(report: Report, run: Run, folder: Path) -> None:
    """Metrics and files of a report in a run."""
    numbers = dict(list(_numbers(report.to_json()["figures"]))[:MOST_METRICS])
    held = sum(each.holds for each in report.verdicts)
    run.metrics({**numbers, "verdicts_that_hold": held, "verdicts": len(report.verdicts)})
    for name in ("report.json", "tables.md", "figure.png", "figure.svg"):
        if (folder / name).exists():
            run.artifact(folder / name)


def verdict_table(report: Report) -> Table:
    """The claims, what was asked and what was reached."""
    rows = tuple(
        ("holds" if each.holds else "FAILS", each.claim, each.target, each.reached) for each in report.verdicts
    )
    return Table("Verdicts", ("", "Claim", "Asked", "Reached"), rows)


def summary(report: Report) -> str:
    """How many of the verdicts hold, and which do not."""
    failed = [each.claim for each in report.verdicts if not each.holds]
    if not failed:
        return f"All {len(report.verdicts)} verdicts hold."
    return f"{len(failed)} of {len(report.verdicts)} verdicts FAIL: {'; '.join(failed)}."


def markdown(report: Report) -> str:
    """All tables and verdicts as Markdown."""
    parts = [f"# {report.system}", f"{report.source}. {report.setting}"]
    parts += [_markdown(each) for each in (*report.tables, *([verdict_table(report)] if report.verdicts else []))]
    return "\n\n".join([*parts, *([summary(report)] if report.verdicts else [])]) + "\n"


def _markdown(table: Table) -> str:
    rule = ["---:" if each.startswith(">") else "---" for each in table.headings]
    lines = [[each.lstrip(">") for each in table.headings], rule, *table.rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join([f"## {table.title}", "", *(f"| {' | '.join(line)} |" for line in cells)])


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every single number with its path as MLflow takes it; lists (single seeds) are left to the JSON."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, f"{name}/{key}" if name else str(key))
    elif isinstance(value, int | float):
        allowed = "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in name)
        yield allowed[:250], float(value)
