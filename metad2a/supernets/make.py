"""A base from its family to a file of weights: made or grown, pretrained, written with its card, and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from databases import checkpoint
from databases.architectures.supernets.families import FORM, LITE0, MOBILE, RESIDUAL, open_family, pretrained
from databases.architectures.supernets.inherit import enlarge, inherit
from databases.architectures.supernets.pretrained import Family, Pretrained, Stages
from databases.errors import Say, UserError
from databases.hosting import lent
from metad2a.runtime.files import written_file
from metad2a.runtime.lock import Held, hold
from metad2a.supernets.images import Images
from metad2a.supernets.pretrain import Point, PretrainPlan, accuracy, pretrain, read_curve, settle
from metad2a.supernets.weights import write_weights
from metad2a.train.foreign import refuse_not_finite
from metad2a.train.loop import Diverged
from metad2a.train.together import Together

KNOWN = {family.name: family for family in (RESIDUAL, MOBILE, LITE0)}
DEPTHWISE = {"weight_decay": 4e-5, "smoothing": 0.0, "average": 0.99}  # small kernels need less of each
ORIGIN = "give a file that `metad2a pretrain` wrote"


def plan_for(family: Family, plan: PretrainPlan) -> PretrainPlan:
    """The plan with the constants that suit the family."""
    return plan if family is RESIDUAL else replace(plan, **DEPTHWISE)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Job:
    """One pretraining: of which family, a slice or all of it, begun with the weights of a file or with none.

    Attributes:
        part: the stages of the slice that is trained; None: all of the base.
        subnets: whether random subnets of it learn, which it teaches.
    """

    family: Family
    plan: PretrainPlan
    part: Stages | None = None
    begin: Path | None = None
    subnets: bool = False

    @property
    def stages(self) -> Stages:
        """Those of the network that is trained."""
        return self.family.stages if self.part is None else self.part

    def network(self, classes: int) -> nn.Module:
        """The network, with fresh weights or those of a slice, grown and cut to what is trained."""
        with lent(seed=self.plan.seed):
            network = self.family.blueprint(self.stages, 3, classes).build()
            if self.begin is not None:
                base = self.family.blueprint(self.family.stages, 3, classes).build()
                enlarge(read_slice(self.begin, self.family, classes), base)
                inherit(base, network)
        return network

    def place(self, images: Images, folder: Path) -> Path:
        """The checkpoint of this job on these images."""
        told = {
            **asdict(self.plan),
            **({"subnets": True} if self.subnets else {}),
            "stages": self.stages,
            "images": [images.name, images.mark, len(images.train), images.names],
        }
        told["begin"] = None if self.begin is None else checkpoint.digest(self.begin)
        mark = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
        return folder / f"{self.family.name}-{images.name}-{mark}.pt"


@dataclass(frozen=True)
class Made:
    """What a pretraining came to; accuracy in percent on all validation images at the last resolution."""

    path: Path
    complete: bool
    accuracy: float | None
    epochs: int
    seconds: float
    digest: str | None = None


def make(
    job: Job,
    images: Images,
    *,
    folder: Path,
    output: Path,
    processes: Together,
    say: Say,
    on_point: Callable[[Point], None] = lambda point: None,
    deadline: float = float("inf"),
) -> Made:
    """Pretrains, goes on or reads what is done; writes the weights to ``output`` when it is complete."""
    network = job.network(len(images.names))  # reads what it begins with, and tells where that is none
    place, normalisation = job.place(images, folder), images.normalisation()
    place.parent.mkdir(parents=True, exist_ok=True)
    with _alone(place, processes):
        loop = pretrain(
            network,
            images,
            job.plan,
            normalisation=normalisation,
            checkpoint=place,
            processes=processes,
            say=say,
            on_point=on_point,
            subnets=(job.family, job.stages) if job.subnets else None,
            deadline=deadline,
        )
    if loop.progress < 1:
        return Made(output, False, None, loop.epoch, loop.seconds)
    settle(loop.result, images, job.plan, normalisation, processes.place)
    side = job.plan.sides[-1]
    percent = accuracy(loop.result, images, images.held, side, normalisation, processes)
    curve = [[point.epoch, round(point.loss, 3), round(point.accuracy, 2)] for point in read_curve(place)]
    found = {"accuracy": round(percent, 2), "side": side, "steps": loop.step, "epochs": loop.epoch}
    told = {"mean": normalisation[0], "scale": normalisation[1], "curve": curve, **found}
    digest = _written(output, loop.result, {**_origin(job, images), **told}) if processes.first else None
    return Made(output, True, percent, loop.epoch, loop.seconds, digest)


def _origin(job: Job, images: Images) -> dict[str, Any]:
    """What a card tells of where weights come from."""
    return {
        **asdict(job.plan),
        **{"family": job.family.name, "stages": job.stages, "data": images.name, "classes": images.names},
        **{"how": _how(job), "terms": f"those of {images.name}"},
    }


@contextmanager
def _alone(place: Path, processes: Together) -> Iterator[None]:
    """Nobody else goes on with the same checkpoint meanwhile; `Diverged` is told as what the user can mend."""
    lock = None
    try:
        lock = hold(place.with_suffix(".lock"), patience=0) if processes.first else None
        yield
    except Held as problem:
        raise UserError(f"process {problem.process} works on the same pretraining: wait for it, or end it") from None
    except Diverged:
        place.unlink(missing_ok=True)
        raise UserError("the loss is no finite number any more: give a lower --learning-rate") from None
    finally:
        if lock is not None:
            lock.release()


def _written(output: Path, network: nn.Module, card: dict[str, Any]) -> str:
    with written_file(output) as draft:
        return write_weights(draft, network, card)


def _how(job: Job) -> str:
    plan = job.plan
    begun = "" if job.begin is None else ", begun with weights that were trained before"
    begun += ", by random subnets that the base taught" if job.subnets else ""
    sides = ", ".join(map(str, plan.sides))
    return (
        f"for {plan.hours:g} hours at {sides} px (batches of {plan.batch}, learning rate {plan.learning_rate:g}){begun}"
    )


def read_slice(path: Path, family: Family, classes: int) -> nn.Module:
    """The network in a file of weights, which may be a slice of the family's base.

    Raises:
        UserError: it is another family's or tells other classes apart.
    """
    tensors, card = checkpoint.load(path, form=FORM, origin=ORIGIN)
    refuse_not_finite(tensors, str(path))
    if card["family"] != family.name or len(card["classes"]) != classes:
        has = f"{card['family']} for {len(card['classes'])} classes"
        raise UserError(f"{path} holds a {has}; allowed is {family.name} for {classes}; give such a file")
    network = family.blueprint(family.check(card["stages"]), 3, classes).build()
    network.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)
    return network


def read_base(name: str) -> Pretrained:
    """A family by its name, or the base in a file of weights, grown where the file holds a slice."""
    if not Path(name).is_file():
        return open_family(name)
    tensors, card = checkpoint.load(Path(name), form=FORM, origin=ORIGIN)
    refuse_not_finite(tensors, name)
    family = KNOWN[card["family"]]
    return pretrained(family, {key: value.float() for key, value in tensors.items()}, card)


def evaluate(base: Pretrained, images: Images, sides: tuple[int, ...], processes: Together) -> dict[int, float]:
    """Percent of all validation images that the base classifies rightly at each resolution.

    Raises:
        UserError: the base knows other classes.
    """
    names: Any = base.card.get("classes", ())
    if tuple(names) != images.names:
        raise UserError(f"{base.name} was not trained for the classes of {images.name}; give the data it learnt from")
    network = base.network().to(processes.place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    normalisation = base.normalisation()
    return {side: accuracy(network, images, images.held, side, normalisation, processes) for side in sides}
