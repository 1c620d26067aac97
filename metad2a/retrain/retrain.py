"""`metad2a retrain`: learns from what the database holds, and meets the champion; resumable.

From scratch, predictor and generator are meta-trained on the published tables and tasks. Otherwise the encoders of a
model at hand stay, and the surrogates of all recipes with measured tasks are learnt anew: seconds instead of minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databases.errors import Say, UserError, count, did_you_mean
from databases.files import write_files
from databases.records.episodes import TABLE, Episode, Known, episodes, held_out_families, own_episodes
from databases.records.importers.own_table import size_of
from databases.records.recipe import PUBLISHED_SIZE, RECIPES, foreign_recipe
from databases.records.store import Store
from databases.usual import MEASURING_RECIPE
from metad2a.recommend.model import MetaD2A, load
from metad2a.retrain import from_scratch
from metad2a.retrain.champion import MODEL_NAME, Comparison, compare, current_champion, register
from metad2a.retrain.from_scratch import Learnt, digest
from metad2a.retrain.held_out import HeldOut, leave_one_source_out
from metad2a.retrain.may_teach import may_teach
from metad2a.retrain.model_file import header_of, save_model
from metad2a.runtime.files import written_file
from predictors.surrogates import Surrogate, learn_surrogates
from predictors.task_distance import KnownTasks

if TYPE_CHECKING:
    from metad2a.runtime.tracking import Run, Tracker


@dataclass(frozen=True)
class RetrainResult:
    """What a retraining left.

    Attributes:
        path, weights: the file, and the first 16 hex digits of its sha256. header: of the file.
        held_out_tau: on held-out own tasks. comparison: with the champion, None where there is none.
        version: in MLflow's registry, None where nothing is tracked. promoted: whether it is champion now.
    """

    path: Path
    weights: str
    header: dict[str, Any]
    held_out_tau: float | None
    comparison: Comparison | None = None
    version: str | None = None
    promoted: bool = False


def retrain(
    store: Store,
    *,
    images: Path | None,
    output: Path,
    work: Path,
    tracker: Tracker,
    cache: Path | None = None,
    start: MetaD2A | None = None,
    recipe: str = MEASURING_RECIPE,
    seed: int = 0,
    on_progress: Say = lambda line: None,
) -> RetrainResult:
    """Learns, judges on held-out sources, saves, and becomes challenger; champion where it is better.

    Args:
        store: the measurements.
        images: folder of the image sources, from which the tasks' features come.
        output: the checkpoint to write.
        work: folder for finished stages, so that a killed run goes on.
        cache: folder of features that other commands keep too; None: one below ``work``.
        tracker: keeps parameters, curves and figures, and knows the champion.
        start: the model whose encoders stay; None meta-trains from scratch.
        recipe: the recipe whose tasks judge the model.
        seed: of weights and draws.
        on_progress: told one line at each stage.

    Raises:
        UserError: the database holds nothing to learn from, or ``start`` is for other features.
    """
    known = episodes(store, images=images, usable=may_teach, cache=cache or work / "features")
    _refuse(known, start, recipe)
    foreign = _foreign_recipes(store, known)
    cells = sum(len(each.cells) for each in known)
    on_progress(f"{count(len(known), 'task')}, {count(cells, 'architecture')} measured")
    parameters = {"seed": seed, "recipe": recipe, "tasks": len(known), "start": start.weights if start else "scratch"}
    folder = work / digest(known, foreign, seed)
    with tracker.run("retrain", "meta-training", parameters=parameters) as run:
        if start is None:
            learnt = from_scratch.learn(work, known, foreign, seed, run, on_progress)
        else:
            learnt = _continued(start, known, foreign)
        on_progress("leave one source out")
        held_out = _held_out(learnt.surrogates, known)
        header = header_of(learnt, known, held_out, recipe=recipe, seed=seed, foreign=foreign, start=start)
        champion = current_champion(tracker)  # read before the new model may take the place of its file
        with written_file(output) as draft:
            weights = save_model(draft, learnt, _places(known, learnt.surrogates, start), header)
        run.metrics({f"held_out_{name}": value for name, value in header["held_out"].items() if value is not None})
        on_progress("champion and challenger")
        result = RetrainResult(output, weights, header, header["held_out"]["tau"])
        return _meet(result, champion, known, tracker, run, folder)


def _refuse(known: Sequence[Episode], start: MetaD2A | None, recipe: str) -> None:
    if not known:
        raise UserError(
            "no task of the database has features: run `metad2a database build` or `database import table` first"
        )
    measured = {each.recipe for each in known}
    if recipe not in {*RECIPES, *measured}:
        meant = did_you_mean(recipe, [*RECIPES, *measured])
        told = f"{meant}choose one of {', '.join(sorted(measured))}"
        raise UserError(f"no task was measured with the recipe {recipe!r}: {told}")
    if start is None and not Known.of(known).tables:
        raise UserError(
            f"the database holds no table of {TABLE:,} architectures on one task to learn from scratch: "
            "import NAS-Bench-201, or begin with the shipped model (--from shipped)"
        )
    width = known[0].features.features.shape[1]
    if start is not None and start.predictor.config.features != width:
        raise UserError(f"the model to begin with is for other features than {width} wide ones: use --from scratch")


def _held_out(surrogates: Mapping[str, Surrogate], known: Sequence[Episode]) -> dict[str, list[HeldOut]]:
    """Recipe -> its tasks, each predicted without its family."""
    return {
        name: leave_one_source_out(each.process, own_episodes(known, name), families=each.families)
        for name, each in surrogates.items()
    }


def _meet(
    result: RetrainResult,
    champion: MetaD2A | None,
    known: Sequence[Episode],
    tracker: Tracker,
    run: Run,
    folder: Path,
) -> RetrainResult:
    """Registers the new model as challenger, compares it with the champion and promotes it where it is better."""
    comparison = None
    if champion is not None:
        recipe = result.header["recipe"]
        comparison = compare(champion, load(result.path), own_episodes(known, recipe), recipe=recipe)
        comparison = replace(comparison, others=_judges(known, recipe))
        write_files({folder / "comparison.json": json.dumps(comparison.to_json(), indent=1).encode()})
        run.artifact(comparison.write(folder / "comparison.csv"), folder="comparison")
        run.artifact(folder / "comparison.json", folder="comparison")
        if comparison.difference is not None:
            found = comparison.difference
            run.metrics({"tau_difference": found.mean, "difference_low": found.low, "difference_high": found.high})
    version = register(run, result.path, alias="challenger")
    promoted = version is not None and comparison is not None and comparison.better
    if promoted and version is not None:
        tracker.promote(MODEL_NAME, version)
    return replace(result, comparison=comparison, version=version, promoted=promoted)


def _judges(known: Sequence[Episode], but: str) -> tuple[str, ...]:
    """The users' recipes with tasks that can be held out, ``but`` one."""
    names = sorted({each.recipe for each in known} - {*RECIPES, but})
    return tuple(name for name in names if held_out_families(own_episodes(known, name)))


def _foreign_recipes(store: Store, known: Sequence[Episode]) -> dict[str, tuple[int, int, int]]:
    """Size of the network for every recipe that is not metad2a's own."""
    names = sorted({each.recipe for each in known} - set(RECIPES))
    return {name: size_of(store.records(recipe=name)[0]) or PUBLISHED_SIZE for name in names}


def _continued(start: MetaD2A, known: Sequence[Episode], foreign: Mapping[str, tuple[int, int, int]]) -> Learnt:
    """The networks of ``start``, which begin with each new recipe as with the nearest known one; new surrogates."""
    new = sorted({each.recipe for each in known} - set(start.predictor.config.recipes))
    like = {n: start.nearest_recipe(RECIPES.get(n) or foreign_recipe(n, *foreign[n])) for n in new}
    predictor = start.predictor.with_recipes(like) if like else start.predictor
    generator = start.generator.with_recipes(like) if like else start.generator
    return Learnt(predictor, generator, learn_surrogates(predictor, known, start.surrogates), start.memory)


def _places(known: Sequence[Episode], surrogates: Mapping[str, Surrogate], start: MetaD2A | None) -> KnownTasks | None:
    """Where the surrogates' tasks lie; None where too few sources tell what is far."""
    measured = [each for each in known if each.recipe in surrogates and not each.few]
    first = {each.features.name: each for each in reversed(measured)}
    own = [each for each in measured if first[each.features.name] is each]
    tasks, sources = [each.features for each in own], [each.family for each in own]
    if start is not None:
        return start.known.with_tasks(tasks, sources)
    return KnownTasks.learn(tasks, sources) if len(set(sources)) > 2 else None
