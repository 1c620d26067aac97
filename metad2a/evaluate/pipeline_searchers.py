"""What searchers lose on measured pipelines: a look-up, no training, on sources that nothing was learnt from.

As `metad2a search --space pipeline --searcher` begins: all are told of a task's probes, then ask for fine-tunings of
those that were measured there. They see validation accuracies; after so many fine-tunings the best by validation, a
probe too, is what they have, and its loss is how far its test accuracy is below the best of all. The generator learns
the best fine-tunings of the other sources' tasks; it draws half of the candidates, which the predictor orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from databases.datasets.features import TaskFeatures
from databases.datasets.sampler import TaskSpec, build_task
from databases.errors import Say, UserError
from databases.hosting import lent
from metad2a.build.subnets import without_probes
from metad2a.evaluate.pipeline_worlds import (
    AFTER,
    ALL,
    ALWAYS,
    BAYESIAN,
    BOTH,
    DRAWN,
    ELSEWHERE,
    EVOLUTION,
    LEARNING,
    OTHERS,
    RANDOM,
    RANKED,
    REINFORCE,
    WRONG,
    Drawn,
    Losses,
    World,
    taught_generator,
    without_z,
)
from metad2a.evaluate.regret import Measured
from metad2a.reports.report import Part, Table, Verdict, judged, not_refuted, with_interval
from metad2a.runtime.home import features_folder
from predictors.metrics import bootstrap_interval
from predictors.outcome import OutcomeModel

MAIN = 3  # fine-tunings after which claims are judged: about what a minute has time for
SEEDS, OF_SOURCE, FOLDS = 20, 2, 5  # of a search; tasks of a source that are searched; of sources, for generators


def parts(
    tasks: Sequence[Measured], learnt: Mapping[str, OutcomeModel], images: Path | None, say: Say
) -> Iterator[Part]:
    """What every searcher has lost after some fine-tunings, and whether z knows its task."""
    seen, why = _features(tasks, images)
    worlds = [World(each, learnt[each.source], seen.get(each.entry.key)) for each in tasks]
    worlds = [each for each in worlds if len(each.tuned) >= max(AFTER)]
    sources = [*dict.fromkeys(each.task.source for each in worlds)]
    if len(sources) < FOLDS:
        needed = f"not judged: {max(AFTER)} fine-tunings on tasks of {FOLDS} sources are needed"
        yield Part(Table("Searchers on measured pipelines", ("",), ((needed,),)))
        return
    lost, liked, groups = dict[str, list[Losses]](), list[float](), list[str]()
    with lent(threads=1):
        for fold in range(FOLDS):
            held = sources[fold::FOLDS]
            others = [each for each in worlds if each.task.source not in held]
            generator = None if why else taught_generator(others)
            for world in (each for source in held for each in _of(worlds, source)):
                groups.append(world.task.source)
                ways = dict(without_z(world, others))
                if generator is not None:
                    drawn = Drawn(world, others, generator)
                    ways |= drawn.ways()
                    liked.append(drawn.preference())
                for name, way in ways.items():
                    seeds = 1 if name in ALWAYS else SEEDS
                    lost.setdefault(name, []).append(np.mean([world.lost(way(seed)) for seed in range(seeds)], axis=0))
                lost.setdefault(ALL, []).append(np.full(len(AFTER), world.lost_by(world.tuned)))
            say(f"{', '.join(held)}: searched by what learnt of others")
    yield losses(lost, groups, why)
    if liked:
        yield _knows(liked, groups)


def _of(worlds: Sequence[World], source: str) -> list[World]:
    """The tasks of a source that are searched: those with the most to choose from."""
    mine = [each for each in worlds if each.task.source == source]
    return sorted(mine, key=lambda each: -len(each.tuned))[:OF_SOURCE]


def _features(tasks: Sequence[Measured], images: Path | None) -> tuple[dict[str, TaskFeatures], str]:
    """What a generator sees of the tasks, by their keys; else why it is not judged."""
    found = dict[str, TaskFeatures]()
    if images is None:
        return found, "there is no folder of image sources"
    for each in sorted(tasks, key=lambda each: each.entry.name):  # a source is read once
        if "classes" not in each.entry.spec:
            return {}, f"{each.entry.name} was not drawn from an image source"
        try:
            task = build_task(TaskSpec.from_json(each.entry.spec), images)
        except UserError as problem:
            return {}, str(problem)
        if task.fingerprint != each.entry.key:
            return {}, f"the images of {each.entry.name} are others than those that were measured"
        found[each.entry.key] = without_probes(task, features_folder())
    return found, ""


def losses(lost: Mapping[str, Sequence[Losses]], groups: Sequence[str], why: str) -> Part:
    """The table; ``lost`` holds (len(AFTER),) for each task, by way, and ``why`` a generator was not judged."""
    values, main = {name: np.array(each) for name, each in lost.items()}, AFTER.index(MAIN)
    figures = dict[str, dict[str, Any]]()
    for name, each in values.items():
        after = {f"after {count}": bootstrap_interval(each[:, i], groups).to_json() for i, count in enumerate(AFTER)}
        more = bootstrap_interval(each[:, main] - values[RANKED][:, main], groups).to_json()
        figures[name] = {**after, f"above the ranking after {MAIN}": more}
    lines = [
        (name, *(with_interval(each[f"after {count}"], ".2f") for count in AFTER)) for name, each in figures.items()
    ]
    if why:
        lines.append((f"{DRAWN}: not judged, since {why}", *("" for _ in AFTER)))
    title = (
        f"Searchers on measured pipelines, points below the best: {len(groups)} tasks of {len(set(groups))} sources, "
        f"{SEEDS} seeds"
    )
    table = Table(title, ("who asks", *(f">after {count}" for count in AFTER)), tuple(lines))
    return Part(table, tuple(_claims(values, groups)), figures)


def _claims(values: Mapping[str, Losses], groups: Sequence[str]) -> Iterator[Verdict]:
    def more(theirs: str, ours: str, after: int = MAIN) -> dict[str, float]:
        place = AFTER.index(after)
        return bootstrap_interval(values[theirs][:, place] - values[ours][:, place], groups).to_json()

    claim = "after {} fine-tunings the {} loses less than: {}"
    for rival in (RANDOM, EVOLUTION, REINFORCE, BAYESIAN, ELSEWHERE):
        yield judged(claim.format(MAIN, RANKED, rival), "> 0", more(rival, RANKED), above=0)
    last = AFTER[-1]
    yield judged(claim.format(last, LEARNING, RANKED), "> 0", more(RANKED, LEARNING, last), above=0)
    if BOTH in values:
        for ours, rival in ((BOTH, RANDOM), (BOTH, WRONG), (DRAWN, OTHERS)):
            yield judged(claim.format(MAIN, ours, rival), "> 0", more(rival, ours), above=0)
        for rival in (EVOLUTION, RANKED):
            told = f"after {MAIN} fine-tunings the {BOTH} loses no more than: {rival}"
            yield not_refuted(told, "not < 0", more(rival, BOTH), below=0)


def _knows(liked: Sequence[float], groups: Sequence[str]) -> Part:
    found = bootstrap_interval(liked, groups).to_json()
    title = "Log probability of a held-out task's best fine-tunings by its own z, above other sources' z"
    claim = judged("the right z is better than other sources'", "> 0", found, above=0)
    return Part(Table(title, (">difference",), ((with_interval(found),),)), (claim,), {"difference": found})
