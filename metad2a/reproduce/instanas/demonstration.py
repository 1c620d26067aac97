"""InstaNAS: does a path for each image save time at equal accuracy, and what does each part of it do?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from databases.datasets.loading import load_task
from metad2a.reports.report import Curve, Panel, Report, Table, Verdict, judged, paired, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.instanas.paths import (
    ABLATIONS,
    DRAWN,
    EXCHANGED,
    MOBILE,
    OURS,
    POINTS,
    RANDOM,
    STATIC,
    TIMED,
    Job,
    Measured,
    Outcome,
    World,
    cheapest,
    matched,
)
from metad2a.reproduce.instanas.paths import (
    run as follow,
)
from metad2a.supernets.instance import InstanceRecipe
from predictors.metrics import bootstrap_interval

SOURCE = "Cheng, Lin, Juan, Wei, Sun, AAAI 2020"
SAVED = 30  # percent of the time
DIGITS, CIFAR = "digits", "CIFAR-10"


@dataclass(frozen=True)
class Size:
    """How much is run: paired seeds of the digits and of CIFAR-10, and the steps on each; the rest is of `Job`."""

    seeds: int
    photographs: int
    digits: InstanceRecipe
    cifar: InstanceRecipe
    timed: int = TIMED
    drawn: int = DRAWN


FULL = Size(
    seeds=5,
    photographs=5,
    digits=InstanceRecipe(pretraining=200, search=120, tuning=80),
    cifar=InstanceRecipe(pretraining=400, search=400, tuning=300),
)
FAST = Size(
    seeds=2,
    photographs=0,
    digits=InstanceRecipe(pretraining=8, search=2, tuning=3),
    cifar=FULL.cifar,
    timed=10,
    drawn=10,
)


def run(context: Context) -> Report:
    """All ways on the digits, the main ones on CIFAR-10."""
    size = FAST if context.fast else FULL
    digits = World(load_task("sklearn:digits", as_stored=True), 8, 8, ((1.0, 2, 1), (2.0, 2, 2), (3.0, 2, 1)))
    seeds = context.seeds(size.seeds)
    jobs = [Job(DIGITS, digits, seed, size.digits, timed=size.timed, drawn=size.drawn) for seed in seeds]
    if size.photographs:
        task = load_task(context.image_source("cifar10"), resolution=16, as_stored=True)
        photographs = World(task, 16, 8, ((1.0, 2, 1), (2.0, 2, 2), (4.0, 2, 2)))
        jobs += [Job(CIFAR, photographs, seed, size.cifar, ablate=False) for seed in seeds[: size.photographs]]
    done: dict[str, list[Outcome]] = {}
    for each in context.run(follow, jobs):
        done.setdefault(each.name, []).append(each)
        context.say(f"{each.name}, seed {each.seed}: {each.paths} paths, {each.ways[OURS].test:.1f}% right")
    found = {name: sorted(each, key=lambda one: one.seed) for name, each in done.items()}
    return Report(
        "instanas",
        SOURCE,
        _setting(size),
        tuple(_table(name, each) for name, each in found.items()),
        tuple(verdict for name, each in found.items() for verdict in _verdicts(name, each)),
        tuple(_panel(name, each) for name, each in found.items()),
        {name: _figures(each) for name, each in found.items()},
    )


def _setting(size: Size) -> str:
    return (
        f"{size.seeds} paired seeds; six layers of five modules; all ways from the same pretrained weights with equal "
        f"steps, static children chosen on validation images; milliseconds are the processor's for one image at a "
        f"time, the controller included; published on a whole CIFAR-10: 48.9% less than MobileNetV2"
    )


def _ways(found: list[Outcome]) -> dict[str, list[Measured]]:
    """Label -> what was measured of each seed."""
    kept = (OURS, MOBILE, RANDOM, EXCHANGED, *(label for label in ABLATIONS if label in found[0].ways))
    ways = {label: [each.ways[label] for each in found] for label in kept}
    return {**ways, STATIC: [cheapest(each.ways) for each in found]}


def _of(field: str, ways: list[Measured]) -> np.ndarray:
    return np.array([getattr(each, field) for each in ways])


def _saved(ways: dict[str, list[Measured]], than: str) -> dict[str, float]:
    """Percent of the time of a static child that InstaNAS saves."""
    share = 100 * (1 - _of("milliseconds", ways[OURS]) / _of("milliseconds", ways[than]))
    return bootstrap_interval(share).to_json()


def _table(name: str, found: list[Outcome]) -> Table:
    ways = _ways(found)
    rows = tuple(
        (
            label,
            f"{_of('test', each).mean():.1f}",
            f"{_of('milliseconds', each).mean():.2f}",
            f"{_of('modules', each).mean():.1f}",
            "" if label == OURS else with_interval(paired(_of("test", ways[OURS]), _of("test", each)), "+.1f"),
            with_interval(_saved(ways, label), "+.0f") if label in (MOBILE, STATIC) else "",
        )
        for label, each in ways.items()
    )
    headings = ("Way", ">Test accuracy", ">ms an image", ">Modules", ">InstaNAS above it [95%]", ">Time saved, % [95%]")
    return Table(f"{name}: a path for each image, and one for all", headings, rows)


def _verdicts(name: str, found: list[Outcome]) -> list[Verdict]:
    ways, verdicts = _ways(found), []
    for than in (STATIC, MOBILE):
        saved, points = _saved(ways, than), paired(_of("test", ways[OURS]), _of("test", ways[than]))
        verdicts.append(
            Verdict(
                f"{name}: less time at equal accuracy than the {than}"
                if than == STATIC
                else f"{name}: and than {than}",
                f"at least {SAVED}% less, and not {POINTS} points worse (means over seeds)",
                f"{with_interval(saved, '+.0f')}%, {with_interval(points, '+.1f')} points{_told(found, than)}",
                saved["low"] > 0 and saved["mean"] >= SAVED and points["mean"] >= -POINTS,
                open=True,  # paths are learnt: fewer epochs refute nothing
            )
        )
    harder = bootstrap_interval([each.difficulty for each in found], [each.seed for each in found]).to_json()
    verdicts.append(
        judged(f"{name}: harder images take dearer paths", "rank correlation's interval above 0", harder, above=0)
    )
    return verdicts


def _told(found: list[Outcome], than: str) -> str:
    """On how many seeds the rival is not as accurate."""
    less = sum(not matched(each.ways) for each in found) if than == STATIC else 0
    return f" (no static child was as accurate on {less} of {len(found)} seeds: the most accurate one)" if less else ""


def _figures(found: list[Outcome]) -> dict[str, object]:
    ways = _ways(found)
    fields = ("valid", "test", "milliseconds", "modules", "spent")
    return {
        "seeds": [each.seed for each in found],
        "ways": {label: {field: _of(field, each) for field in fields} for label, each in ways.items()},
        "saved": {than: _saved(ways, than) for than in (STATIC, MOBILE)},
        "above": {
            label: paired(_of("test", ways[OURS]), _of("test", each)) for label, each in ways.items() if label != OURS
        },
        "difficulty": [each.difficulty for each in found],
        "paths": [each.paths for each in found],
    }


def _panel(name: str, found: list[Outcome]) -> Panel:
    """Accuracy against time: a dot for each seed."""
    curves = []
    for label, each in _ways(found).items():
        order = np.argsort(_of("milliseconds", each))
        x, y = (tuple(map(float, _of(field, each)[order])) for field in ("milliseconds", "test"))
        curves.append(Curve(label, x, y, y, y))
    return Panel(name, "milliseconds an image", "test accuracy, %", tuple(curves), joined=False)


DEMONSTRATION = Demonstration("instanas", "InstaNAS: a network for each image", SOURCE, run)
