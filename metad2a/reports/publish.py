"""A report becomes files and an MLflow run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from metad2a.reports.panels import panels
from metad2a.reports.report import Report, Table, Verdict
from metad2a.runtime.files import write_folder
from metad2a.runtime.tracking import Run, Tracker

MOST_METRICS = 500
ESCAPED = "\\|"  # a bar that ends no cell
HOLDS, FAILS, TOO_SHORT = "holds", "FAILS", "too short to tell"


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
    unsure = sum(outcome(each, report) == TOO_SHORT for each in report.verdicts)
    run.metrics(
        {**numbers, "verdicts_that_hold": held, "verdicts_too_short_to_tell": unsure, "verdicts": len(report.verdicts)}
    )
    for name in ("report.json", "tables.md", "figure.png", "figure.svg"):
        if (folder / name).exists():
            run.artifact(folder / name)


def verdict_table(report: Report) -> Table:
    """The claims, what was asked and what was reached."""
    rows = tuple((outcome(each, report), each.claim, each.target, each.reached) for each in report.verdicts)
    return Table("Verdicts", ("", "Claim", "Asked", "Reached"), rows)


def outcome(verdict: Verdict, report: Report) -> str:
    """In a word or a few; a claim that a short run could neither show nor refute has not failed."""
    if verdict.holds:
        return HOLDS
    return TOO_SHORT if verdict.open and report.short else FAILS


def summary(report: Report) -> str:
    """How many of the verdicts hold, which do not, and which this run is too short to tell."""
    claims: dict[str, list[str]] = {FAILS: [], TOO_SHORT: []}
    for each in report.verdicts:
        claims.setdefault(outcome(each, report), []).append(each.claim)
    if HOLDS in claims and len(claims[HOLDS]) == len(report.verdicts):
        return f"All {len(report.verdicts)} verdicts hold."
    words = {FAILS: "verdicts FAIL", TOO_SHORT: "cannot be told by so short a run"}
    told = [
        f"{len(claims[said])} of {len(report.verdicts)} {how}: {'; '.join(claims[said])}."
        for said, how in words.items()
        if claims[said]
    ]
    return " ".join(told)


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of a table in Markdown; a heading that begins with ``>`` is aligned to the right."""
    rule = ["---:" if each.startswith(">") else "---" for each in headings]
    for line in chain([[each.lstrip(">") for each in headings], rule], rows):
        yield f"| {' | '.join(str(cell).replace('|', ESCAPED) for cell in line)} |"


def aligned(lines: Iterable[str]) -> Iterator[str]:
    """The lines of such a table with its columns padded to one width; an `ESCAPED` bar ends no cell."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = ("-" * width if cell == "---" else cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"| {' | '.join(padded)} |"


def markdown(report: Report) -> str:
    """All tables and verdicts as Markdown."""
    parts = [f"# {report.system}", f"{report.source}. {report.setting}"]
    parts += [_markdown(each) for each in (*report.tables, *([verdict_table(report)] if report.verdicts else []))]
    return "\n\n".join([*parts, *([summary(report)] if report.verdicts else [])]) + "\n"


def _markdown(table: Table) -> str:
    return "\n".join([f"## {table.title}", "", *markdown_table(table.headings, table.rows)])


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every single number with its path in words as MLflow takes them; lists (single seeds) are left to the JSON."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _numbers(each, f"{name}/{key}" if name else str(key))
    elif isinstance(value, int | float):
        yield re.sub(r"[^\w./-]+", "_", name).lower()[:250], float(value)
