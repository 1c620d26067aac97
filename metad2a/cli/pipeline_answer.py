"""What `metad2a search` answers in the space of pipelines: tables for people, and JSON values."""

from __future__ import annotations

from dataclasses import asdict
from shlex import quote
from typing import TYPE_CHECKING, Any

from databases.errors import in_a_line
from metad2a.cli.output import console, table
from metad2a.reports.words import percent, short, span

if TYPE_CHECKING:
    from pathlib import Path

    from databases.datasets.task import Task
    from metad2a.cli.tables import FittedTable
    from metad2a.export.export import Exported
    from metad2a.search.pipelines.search import PipelineResult

MOST_CLASSES = 20  # that are told one by one
MATRIX, NONE = "Rows: true class; columns: taken for", "·"


def tell(result: PipelineResult, exported: Exported, task: Task) -> None:
    """All of it for people."""
    to = console()
    headings = ("", "Pipeline", ">Validation", ">Passes", ">Time", ">Parameters", ">FLOPs")
    rows = [
        (
            "*" if str(each.architecture) == str(result.best) else "",
            str(each.architecture),
            percent(each.valid_accuracy),
            str(each.epochs),
            span(each.seconds),
            short(each.parameters),
            short(each.flops),
        )
        for each in result.trained
    ]
    to.print(table("Trained pipelines", headings, rows))
    alone = len(result.members) == 1
    named = " and ".join(map(str, result.members)) + (", the best by validation" if alone else ", their mean")
    to.print(named, soft_wrap=True)
    valid, test = percent(result.valid_accuracy), percent(result.test_accuracy)
    to.print(f"validation {valid}, which chose; test {test}, on images that chose nothing")
    found = result.report
    to.print(
        f"macro F1 {found.macro_f1:.3f}; log-loss {found.loss:.3f} calibrated by the temperature "
        f"{result.temperature:.2f}, {found.loss_uncalibrated:.3f} without",
        soft_wrap=True,
    )
    to.print(f"{found.megabytes:.1f} MB of weights; {found.milliseconds:.1f} ms an image here")
    _by_class(result, task)
    _confusion(result, task)
    if result.rivals:
        to.print(beside(result))
    run = result.folder.name
    to.print(f"{span(result.seconds)} in all; run {run}", soft_wrap=True)
    for note in result.notes:
        to.print(f"Note: {note}", soft_wrap=True)
    to.print(f"Written: {exported.weights} and {exported.program.name}, which loads it:", soft_wrap=True)
    for line in _uses(run, exported.folder):
        to.print(f"    {line}", soft_wrap=True, markup=False)


def _uses(run: str, folder: Path) -> tuple[str, ...]:
    """The lines that use the model."""
    return (
        f"metad2a predict {run} PICTURES",
        f"cd {quote(str(folder))}",
        "python model.py PICTURE",
        "python  # with torch and Pillow alone",
        ">>> import model, PIL.Image",
        ">>> model.load().predict(PIL.Image.open('PICTURE'))",
    )


def beside(result: PipelineResult) -> FittedTable:
    """What the same seconds give without a choice, and ours."""
    others = len(result.members) - 1
    name = f"ours: {result.best}" + (f" and {others} more" if others else "")
    ours = (name, result.valid_accuracy, result.test_accuracy, result.seconds)
    rivals = [(each.name, each.valid_accuracy, each.test_accuracy, each.seconds) for each in result.rivals]
    rows = [(name, percent(valid), percent(test), span(took)) for name, valid, test, took in (*rivals, ours)]
    return table("In the same seconds", ("", ">Validation", ">Test", ">Time"), rows)


def _by_class(result: PipelineResult, task: Task) -> None:
    """Accuracy of each class, and what it was taken for."""
    names, confusion = [*map(in_a_line, task.class_names)], result.report.confusion
    if not confusion.sum():
        return
    wrong = confusion.copy()
    for index in range(len(names)):
        wrong[index, index] = 0
    rows = []
    for index, name in enumerate(names):
        worst = int(wrong[index].argmax())
        mistaken = f"{names[worst]} ({wrong[index, worst]})" if wrong[index, worst] else ""
        rows.append((name, str(confusion[index].sum()), percent(result.report.recall[index]), mistaken))
    if len(rows) > MOST_CLASSES:
        rows = sorted(rows, key=lambda row: float(row[2].rstrip("%")) if row[2] != "-" else 101.0)[:MOST_CLASSES]
    title = "Test images by class" if len(rows) == len(names) else f"Test images of the {len(rows)} classes told worst"
    console().print(table(title, ("Class", ">Images", ">Right", "Most often taken for"), rows))


def _confusion(result: PipelineResult, task: Task) -> None:
    """The whole matrix, where it is legible here."""
    names, confusion = [*map(in_a_line, task.class_names)], result.report.confusion
    if not confusion.sum():
        return
    rows = [(name, *(str(each or NONE) for each in row)) for name, row in zip(names, confusion.tolist(), strict=True)]
    told, to = table(MATRIX, ("", *(f">{name}" for name in names)), rows), console()
    if told.fits(to.width):
        to.print(told)


def plain(result: PipelineResult, exported: Exported, task: Task) -> dict[str, Any]:
    """What a search tells as JSON values."""
    trained = [{**asdict(each), "architecture": str(each.architecture)} for each in result.trained]
    report = {**asdict(result.report), "confusion": result.report.confusion.tolist()}
    del report["taken"], report["places"]
    return {
        "run": result.folder.name,
        "architecture": str(result.best),
        "valid_accuracy": result.valid_accuracy,
        "test_accuracy": result.test_accuracy,
        "temperature": result.temperature,
        "classes": list(task.class_names),
        "report": report,
        "rivals": [asdict(each) for each in result.rivals],
        "trained": trained,
        "seconds": result.seconds,
        "resumed": result.resumed,
        "notes": list(result.notes),
        "weights": str(exported.weights),
        "program": str(exported.program),
    }
