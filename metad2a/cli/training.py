"""`metad2a search` and `train`: real trainings, kept in run folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from databases.usual import AUTOMATIC, DEFAULT_SEARCHER, DEFAULT_SPACE, SEARCHED_SPACE, TRAINING_RECIPE, USUAL_TRAININGS
from metad2a.cli import pipeline, process
from metad2a.cli.folders import check_output_folder, copied
from metad2a.cli.options import (
    Also,
    AnySpace,
    Budget,
    Data,
    DatabaseUrl,
    Executor,
    Groups,
    Json,
    MaxFlops,
    MaxLatency,
    MaxParams,
    Model,
    NoTracking,
    On,
    Output,
    SearchBudget,
    Seed,
    Target,
    check_meaning,
    duration,
    open_store,
    open_tracker,
    read_images,
)
from metad2a.cli.output import Reporter, console, print_json, reporting, table
from metad2a.cli.pipeline import Augment, Baseline
from metad2a.cli.recommend import compact
from metad2a.cli.runs import files_of, print_files, told_of_card
from metad2a.cli.tracked import drawn
from metad2a.recommend.amounts import amount
from metad2a.reports.words import percent, short, span
from metad2a.retrain.open_model import open_model

if TYPE_CHECKING:
    from metad2a.export.export import Exported
    from metad2a.search.result import SearchProgress, SearchResult
    from metad2a.search.run_state import Trained

Space = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="NAME",
        help="Search space, such as nasbench201, mobilenetv3 or enas-micro.",
        show_default=DEFAULT_SPACE,
    ),
]
Recipe = Annotated[str, typer.Option("--recipe", metavar="tiny|shallow|small|standard", help="How to train.")]


# long, since an option is a line, and its help stands beside it
def search(
    context: typer.Context,
    data: Data,
    train: Annotated[
        int | None,
        typer.Option(
            "--train",
            min=1,
            help="How many networks to train at most.",
            show_default=f"as many as --budget allows; without it {USUAL_TRAININGS}",
        ),
    ] = None,
    budget: SearchBudget = None,
    recipe: Recipe = TRAINING_RECIPE,
    searcher: Annotated[
        str | None,
        typer.Option(
            "--searcher",
            metavar="NAME",
            help="What asks what comes next, such as zero-shot or random.",
            show_default=f"{DEFAULT_SEARCHER}; of pipelines as many as promise most compete",
        ),
    ] = None,
    space: AnySpace = SEARCHED_SPACE,
    also: Also = None,
    augment: Augment = AUTOMATIC,
    baseline: Baseline = False,
    stop_early: Annotated[
        bool, typer.Option("--stop-early/--train-all", help="Give trainings up whose learning curve is hopeless.")
    ] = True,
    max_params: MaxParams = None,
    max_flops: MaxFlops = None,
    target: Target = None,
    max_latency: MaxLatency = None,
    prefer: pipeline.Preference = "accuracy",
    groups: Groups = AUTOMATIC,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Trainings that go on at once.")] = 1,
    executor: Executor = "processes",
    seed: Seed = 0,
    on: On = AUTOMATIC,
    model: Model = None,
    output: Output = None,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
    json: Json = False,
) -> None:
    """Find, train, test and export the network that fits your images, in the seconds of --budget (60 by default).

    Probes of pretrained networks on your images give a working model in seconds; then what promises most is
    fine-tuned in the time that is left, and validation chooses. Given again, the same command goes on where it was
    stopped, and a larger budget goes on further. The confusion matrix is also written beside the network, as
    confusion.csv and a picture, with a sheet of pictures that were taken for another class.

    In another --space, such as nasbench201, networks of that space are trained from scratch: recommended ones first,
    then those that promise most improvement a second, given all trainings so far, as many as there is time for. With
    the last of the time the best is trained once more, on validation images too. Under the recipes tiny and shallow
    the order of the recommended ones depends on the images; under small and standard it is the same for all.
    """
    from databases.architectures.spaces.pipeline import PipelineSpace, searched_space
    from metad2a.search.controllers import check_searcher

    seconds = duration(budget)
    check_meaning(context, space)
    parameters, flops = amount(max_params, "--max-params"), amount(max_flops, "--max-flops")
    chosen = searched_space(space)
    if isinstance(chosen, PipelineSpace):
        from metad2a.search.pipelines.asking import check_asks

        check_asks(searcher)
        other, most = pipeline.only_one(also), (parameters, flops, max_latency)
        options = pipeline.SearchOptions(
            augment, baseline, groups, other, most, prefer, database, searcher, no_tracking=no_tracking, json=json
        )
        pipeline.search(data, options, seconds=seconds, seed=seed, output=output)
        return
    check_output_folder(output, network=True, data=data)
    searcher = searcher or DEFAULT_SEARCHER
    check_searcher(searcher)
    with open_store(database) as store, reporting("Reading the images ...") as reporter:
        from metad2a.recommend.limits import Limits
        from metad2a.runtime.place import Place
        from metad2a.search.limited import check_limits
        from metad2a.search.search import check_training
        from metad2a.search.search import search as run
        from metad2a.train.augment import check_augment

        check_augment(augment)
        limits = Limits(parameters, flops, max_latency, target)
        check_limits(limits, chosen, check_training(recipe, seconds, on))
        asked = open_model(model)
        task = read_images(data, reporter, seed=seed, groups=groups, seconds=seconds)
        reporter.now("Ranking the architectures ...")
        result = run(
            asked,
            task,
            train=train,
            seconds=seconds,
            recipe=recipe,
            searcher=searcher,
            space=chosen.name,
            stop_early=stop_early,
            augment=augment,
            limits=limits,
            seed=seed,
            store=store,
            tracker=open_tracker(no_tracking),
            place=Place(on, workers, executor),
            begun=process.started,
            draw=drawn,
            on_progress=lambda each: _tell(reporter, each),
            on_death=lambda death: reporter.line(str(death)),
        )
    _answer(result, copied(result.exported, output), json=json)


def train(
    data: Data,
    architecture: Annotated[
        str,
        typer.Option("--architecture", metavar="STRING", help="As recommend --space nasbench201 prints it."),
    ],
    space: Space = None,
    recipe: Recipe = TRAINING_RECIPE,
    augment: Augment = AUTOMATIC,
    groups: Groups = AUTOMATIC,
    seed: Seed = 0,
    budget: Budget = None,
    on: On = AUTOMATIC,
    output: Output = None,
    database: DatabaseUrl = None,
    no_tracking: NoTracking = False,
    json: Json = False,
) -> None:
    """Train, test and export one architecture. Given again, the same command goes on where it was stopped."""
    from databases.architectures.space import image_space

    seconds, chosen = duration(budget), image_space(space or DEFAULT_SPACE).parse(architecture)
    check_output_folder(output, network=True, data=data)
    with open_store(database) as store, reporting("Reading the images ...") as reporter:
        from metad2a.search.search import check_training, train_one
        from metad2a.train.augment import check_augment

        check_augment(augment)
        check_training(recipe, seconds, on)
        result = train_one(
            read_images(data, reporter, seed=seed, groups=groups, seconds=seconds),
            chosen,
            store=store,
            recipe=recipe,
            seconds=seconds,
            seed=seed,
            augment=augment,
            tracker=open_tracker(no_tracking),
            on=on,
            begun=process.started,
            on_progress=lambda each: _tell(reporter, each),
        )
    _answer(result, copied(result.exported, output), json=json)


def _tell(reporter: Reporter, each: SearchProgress) -> None:
    """One event of a search, on stderr."""
    of = "" if each.count is None else f" of {each.count}"
    name = f"{each.number}{of}: {compact(each.architecture)}"
    if each.event == "epoch" and each.epoch is not None:
        loss = f"loss {each.epoch.train_loss:.3f}"
        text = f"Training {name}, epoch {each.epoch.epoch} of {each.epoch.epochs}, {loss}"
        reporter.now(text, done=each.epoch.epoch, total=each.epoch.epochs)
    elif each.event == "started":
        if each.number == 1 and each.expected:  # 0: no time is left
            reporter.line(f"a training takes about {span(each.expected)} on this machine")
        reporter.now(f"Training {name}", done=0, total=1)
    elif each.event == "again":
        reporter.line(f"Training the best once more, on validation images too: {span(each.expected)}")
    elif each.event == "tested":
        reporter.now("Testing and exporting the best ...")
    elif each.trained is not None:
        took = f"in {span(each.trained.seconds)}"
        before = f"given up {took} before: hopeless" if each.trained.stopped else "known from before"
        how = {"trained": took, "stopped": f"given up {took}: hopeless"}.get(each.event, before)
        reporter.line(f"{name}: validation {percent(each.trained.valid_accuracy)}, {how}")


def _answer(result: SearchResult, exported: Exported, *, json: bool) -> None:
    if json:
        print_json(_plain(result, exported))
        return
    to = console()
    rows = [_row(each, best=each.architecture == result.best) for each in result.trained]
    headings = ("", "Architecture", ">Expected", ">Validation", ">Epochs", ">Time", ">Parameters", ">FLOPs")
    to.print(table("Trained networks", headings, rows))
    why = ", the best by validation" if len(result.trained) > 1 else ""
    to.print(f"{result.best}{why}", soft_wrap=True)
    to.print(
        f"validation {percent(result.valid_accuracy)}; test {percent(result.test_accuracy)}, "
        "on images that chose nothing"
    )
    to.print(f"{span(result.seconds)} in all; run {result.folder.name}", soft_wrap=True)
    for note in result.notes:
        to.print(f"Note: {note}", soft_wrap=True)
    print_files(exported)


def _row(each: Trained, *, best: bool) -> tuple[str, ...]:
    return (
        "*" if best else "",
        compact(each.architecture),
        percent(each.expected_accuracy),
        percent(each.valid_accuracy),
        f"{each.epochs} ({each.fate})" if each.fate else str(each.epochs),
        span(each.seconds),
        short(each.parameters),
        short(each.flops),
    )


def _plain(result: SearchResult, exported: Exported) -> dict[str, Any]:
    """The JSON of a search or a training."""
    from dataclasses import asdict

    trained = [{**asdict(each), "architecture": str(each.architecture)} for each in result.trained]
    return {
        "run": result.folder.name,
        **told_of_card(exported),
        "trained": trained,
        "seconds": result.seconds,
        "resumed": result.resumed,
        "stopped_by": result.stopped_by,
        "notes": list(result.notes),
        **files_of(exported),
    }
