"""`metad2a pretrain`: bases whose weights other networks inherit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from databases.errors import Say, UserError, did_you_mean
from databases.usual import AUTOMATIC
from metad2a.cli.folders import check_output_file
from metad2a.cli.options import Data, Groups, Json, NoTracking, On, Seed, given, named, open_tracker
from metad2a.cli.output import print_json, reporting
from metad2a.runtime.home import home

if TYPE_CHECKING:
    from databases.architectures.supernets.pretrained import Family, Stages
    from metad2a.supernets.images import Images
    from metad2a.supernets.make import Job, Made
    from metad2a.train.together import Together

FAMILY_HELP = "residual, mobilenetv3 or lite0: the network that learns."
OF_TRAINING = {"output", "begin", "part", "family", "subnets"}  # options that mean something else than --evaluate
SLICE_HELP = "Train a slice: blocks a stage, kernel and expansion at most, such as 4,3,6; or a subnet."
SUBNETS_HELP = "Random subnets learn, taught by the base that --begin holds, so that its slices are worth more."
SIDES_HELP = "Resolutions, of which the last is validated; 0.6, 0.2 and 0.2 of the time, or equal shares."


# long, since an option is a line, and its help stands beside it
def pretrain(
    context: typer.Context,
    data: Data,
    family: Annotated[str, typer.Option("--family", metavar="NAME", help=FAMILY_HELP)] = "residual",
    hours: Annotated[float, typer.Option("--hours", help="Wall time of all calls together.")] = 2.0,
    sides: Annotated[str, typer.Option("--sides", metavar="PIXELS,...", help=SIDES_HELP)] = "32,40,48",
    batch: Annotated[int, typer.Option("--batch", min=2, help="Images a step, of all processes.")] = 128,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="At its highest.")] = 0.2,
    part: Annotated[str | None, typer.Option("--slice", metavar="least|BLOCKS,...", help=SLICE_HELP)] = None,
    begin: Annotated[
        Path | None,
        typer.Option("--begin", metavar="FILE", help="Begin with these weights, grown or cut."),
    ] = None,
    subnets: Annotated[bool, typer.Option("--subnets", help=SUBNETS_HELP)] = False,
    evaluate: Annotated[
        str | None,
        typer.Option("--evaluate", metavar="NAME|FILE", help="Train nothing; print the accuracy at each resolution."),
    ] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Started by torchrun, one thread each.")] = 1,
    groups: Groups = AUTOMATIC,
    seed: Seed = 0,
    on: On = AUTOMATIC,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="File of weights to write.")] = None,
    no_tracking: NoTracking = False,
    json: Json = False,
) -> None:
    """Pretrain a base on a large set of images, for --hours; killed and given again, it goes on.

    Weights and optimiser are kept every three minutes. Several processes share each batch (gloo; NCCL and bfloat16
    where they have CUDA); --processes 2 starts them here, torchrun anywhere. Where no images are for validation a tenth
    is taken, of folders and zips without a search for near copies: --groups tells what belongs together. ImageNet at
    224 px on a machine of eight GPUs, from folders train/CLASS and val/CLASS:

    torchrun --nproc-per-node 8 -m metad2a pretrain IMAGENET --family lite0 --hours 20 --sides 128,160,224
    --batch 1024 --learning-rate 0.5
    """
    from metad2a.train.together import started_by_torchrun, together
    from metad2a.train.torch_place import usable_place

    _refuse_training(context, evaluate)
    if processes > 1 and not started_by_torchrun():
        return _again(processes)
    shares = _sides(sides)
    check_output_file(output, option="--output", data=data)
    with together(usable_place(on)) as here, reporting("Reading the images ...") as reporter:
        from metad2a.supernets import make
        from metad2a.supernets.images import open_images

        job = _job(family, hours, shares, batch, learning_rate, seed, part=part, begin=begin, subnets=subnets)
        images = open_images(data, max(shares), home() / "pretrain", here, groups=groups)
        for note in images.notes if here.first else ():
            reporter.line(f"note: {note}")
        if evaluate is not None:
            found = make.evaluate(make.read_base(evaluate), images, shares, here)
            return _tell_accuracies(evaluate, images, found, json=json) if here.first else None
        done = _run(job, images, output, here, reporter.line if here.first else _silent, no_tracking)
    if here.first:
        _tell(done, json=json)


def _refuse_training(context: typer.Context, evaluate: str | None) -> None:
    """Refuses options that would be lost beside --evaluate."""
    for option in () if evaluate is None else given(context):
        if option.name in OF_TRAINING:
            name = named(context, option)
            raise UserError(f"given {name} with --evaluate, which trains and writes nothing: leave it out")


def _silent(line: str) -> None:
    pass


def _job(
    family: str,
    hours: float,
    sides: tuple[int, ...],
    batch: int,
    learning_rate: float,
    seed: int,
    *,
    part: str | None,
    begin: Path | None,
    subnets: bool,
) -> Job:
    from metad2a.supernets.make import KNOWN, Job, plan_for
    from metad2a.supernets.pretrain import PretrainPlan

    if family not in KNOWN:
        raise UserError(f"--family {family!r}: {did_you_mean(family, KNOWN)}give one of {', '.join(KNOWN)}")
    if not 0 < hours < math.inf or not 0 < learning_rate < math.inf:
        raise UserError(f"--hours {hours:g} --learning-rate {learning_rate:g}: give numbers above zero")
    shares = (0.6, 0.2, 0.2) if len(sides) == 3 else (1 / len(sides),) * len(sides)
    plan = PretrainPlan(hours=hours, sides=sides, shares=shares, batch=batch, learning_rate=learning_rate, seed=seed)
    if subnets and begin is None:
        raise UserError("given --subnets, which a trained base teaches: give --begin with its weights")
    plan = plan_for(KNOWN[family], plan)
    return Job(KNOWN[family], plan, None if part is None else _slice(part, KNOWN[family]), begin, subnets)


def _slice(text: str, family: Family) -> Stages:
    """The least there is, what is within three limits, or a subnet as its space writes it."""
    if "x" in text:
        from databases.architectures.spaces.subnets import Subnets

        space = Subnets(family)
        return space.stages(space.parse(text))
    try:
        depth, kernel, expansion = (0, 0, 0) if text == "least" else (float(piece) for piece in text.split(","))
    except ValueError:
        depth = kernel = expansion = math.nan
    if not all(0 <= each < math.inf for each in (depth, kernel, expansion)) or depth % 1 or kernel % 1:
        ways = f"least; blocks a stage, kernel and expansion at most, such as 4,3,6; or a subnet of {family.name}"
        raise UserError(f"--slice {text!r}: give {ways}")
    return family.slice(depth=int(depth), kernel=int(kernel), expansion=expansion)


def _sides(text: str) -> tuple[int, ...]:
    pieces = text.split(",")
    if not all(piece.strip().isdecimal() and 8 <= int(piece) <= 1024 for piece in pieces):
        raise UserError(f"--sides {text!r}: give pixels from 8 to 1024, such as 32,40,48")
    return tuple(int(piece) for piece in pieces)


def _again(processes: int) -> None:
    """The same command, in so many processes of torchrun."""
    import sys

    from torch.distributed.run import main

    main(["--standalone", f"--nproc-per-node={processes}", "-m", "metad2a", *sys.argv[1:]])


def _run(job: Job, images: Images, output: Path | None, here: Together, say: Say, no_tracking: bool) -> Made:
    from metad2a.supernets.make import make

    tracker = open_tracker(no_tracking or not here.first)
    target = output or home() / "pretrain" / f"{job.family.name}.safetensors"
    name = f"pretrain {job.family.name} on {images.name}"
    with tracker.run(name, "training", parameters={"hours": job.plan.hours, "sides": job.plan.sides}) as run:
        return make(
            job,
            images,
            folder=home() / "pretrain",
            output=target,
            processes=here,
            say=say,
            on_point=lambda point: run.metrics(
                {"loss": point.loss, "accuracy": point.accuracy, "seconds": point.seconds}, step=point.epoch
            ),
        )


def _tell(done: Made, *, json: bool) -> None:
    assert done.accuracy is not None
    if json:
        print_json({"weights": str(done.path), "accuracy": done.accuracy, "epochs": done.epochs, "sha256": done.digest})
    else:
        print(f"{done.accuracy:.1f}% of the validation images after {done.epochs} epochs; weights in {done.path}")


def _tell_accuracies(name: str, images: Images, found: dict[int, float], *, json: bool) -> None:
    if json:
        print_json({"name": name, "images": len(images.held), "accuracy": found})
        return
    for side, percent in found.items():
        print(f"{name}: {percent:.2f}% of {len(images.held):,} validation images of {images.name} at {side} px")
