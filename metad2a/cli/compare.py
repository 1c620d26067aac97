"""`metad2a compare`: searchers against each other on a table of measured architectures."""

from __future__ import annotations

from typing import Annotated

import typer

from databases.errors import UserError, unknown
from metad2a.cli.folders import check_output_folder
from metad2a.cli.options import (
    DatabaseUrl,
    Json,
    NoTracking,
    Output,
    Seed,
    Workers,
    open_to_read,
    open_tracker,
)
from metad2a.cli.output import reporting
from metad2a.cli.reproduce import answer
from metad2a.runtime.home import database_path, home, shared_folder


# long, since an option is a line, and its help stands beside it
def compare(
    benchmark: Annotated[str, typer.Option("--benchmark", help="Benchmark with its own space.")] = "nasbench201",
    dataset: Annotated[str, typer.Option("--dataset", help="One of the benchmark's datasets.")] = "cifar10",
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="TASK", help="Any task of the database instead.", show_default="none"),
    ] = None,
    recipe: Annotated[str, typer.Option("--recipe", help="How the table's networks were trained.")] = "nasbench201",
    space: Annotated[
        str | None, typer.Option("--space", help="Space of the table.", show_default="the benchmark's")
    ] = None,
    searchers: Annotated[str, typer.Option("--searchers", help="all, or names such as evolution,area.")] = "all",
    predictor: Annotated[
        str | None,
        typer.Option(
            "--predictor",
            metavar="NAME",
            help="Tell searchers this predictor's scores, not validation values: meta-predictor, naswot, synflow, "
            "parameters or flops.",
            show_default="none",
        ),
    ] = None,
    budgets: Annotated[str, typer.Option("--budgets", help="Numbers of look-ups to report at.")] = "10,30,100,300",
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Paired seeds; a verdict needs 20.")] = 20,
    seed: Seed = 0,
    workers: Workers = 2,
    output: Output = None,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
    json: Json = False,
) -> None:
    """Compare searchers on a benchmark: accuracy and regret at each budget, one figure, one run a searcher.

    Random search, and evolution that is told wrong values, stand beside all. With --predictor no searcher sees a
    measured value: what it would take by the predictor's scores is judged by the test values. Written to --output, by
    default to compare/TASK in the home folder (TASK-NAME with a predictor).
    """
    from metad2a.compare.predicted_table import check_predictor, predicted

    steps, names = whole_numbers(budgets), [each.strip() for each in searchers.split(",")]
    task, space = table or f"{benchmark}/{dataset}", space or space_of(benchmark)
    if predictor is not None:
        check_predictor(predictor)
    name = task if predictor is None else f"{task}/{predictor}"
    folder = output or home() / "compare" / name.replace("/", "-")
    check_output_folder(folder, "report.json", "tables.md", "figure.png", "figure.svg")
    with open_to_read(database) as store, reporting("Reading the table ...") as reporter:
        from databases.records.benchmark_table import read_table
        from metad2a.compare.comparison import compare as run
        from metad2a.compare.comparison import entries, track_comparison
        from metad2a.reports.publish import write_report
        from metad2a.search.controllers import NEEDS
        from metad2a.search.controllers.controller import Setting

        found = read_table(store, task, recipe=recipe, name=space)
        setting = Setting(found.task, recipe, database or str(database_path()), shared_folder())
        if predictor is not None:
            found = predicted(found, predictor, setting)
        chosen, left_out = entries(names, setting, space)
        for each, reason in left_out.items():
            reporter.line(f"left out: {each}: {reason}")
        for entry in chosen:
            if entry.searcher in NEEDS and not entry.options:
                reporter.line(
                    f"{entry.label}: nothing predicts the accuracies of {found.task!r} here, its prior is flat"
                )
        reporter.now("Searching ...")
        report = run(found, chosen, budgets=steps, seeds=seeds, seed=seed, workers=workers, say=reporter.line)
    told: dict[str, object] = {"task": task, "recipe": recipe, "budgets": budgets, "seeds": seeds, "seed": seed}
    if predictor is not None:
        told["predictor"] = predictor
    files = write_report(report, folder)
    track_comparison(report, open_tracker(no_tracking), folder, parameters=told)
    answer(report, folder, files, json=json, left_out=left_out)


def space_of(benchmark: str) -> str:
    """The space of a benchmark; raises `UserError` that lists the known ones."""
    from databases.records.benchmark_table import BENCHMARKS

    if benchmark not in BENCHMARKS:
        raise unknown("benchmark", benchmark, BENCHMARKS, more=", or name any task with --table and --space")
    return BENCHMARKS[benchmark]


def whole_numbers(text: str) -> list[int]:
    """10,30 -> [10, 30]."""
    parts = [each.strip() for each in text.split(",")]
    if not all(each.isdecimal() and int(each) for each in parts):
        raise UserError(f"--budgets {text!r}: give whole numbers from 1, such as 10,30,100")
    return [int(each) for each in parts]
