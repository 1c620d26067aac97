"""`metad2a retrain`: learns from what the database holds, and meets the champion; resumable.

From scratch, predictor and generator are meta-trained on the published tables and tasks. Otherwise the encoders of a
model at hand stay, and the surrogates of all recipes with measured tasks are learnt anew: seconds instead of minutes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from databases.errors import UserError
from databases.records.importers.own_table import size_of
from databases.records.recipe import PUBLISHED_SIZE, RECIPES, foreign_recipe
from databases.records.store import Store
from metad2a.champion import MODEL_NAME, Comparison, compare, current_champion
from metad2a.episodes import Episode, episodes
from metad2a.generator import Generator, GeneratorConfig, train_generator
from metad2a.held_out import leave_one_source_out, own_episodes
from metad2a.lessons import lessons
from metad2a.meta_training import TABLE, TABLES_FIRST, THEN_TASKS, fresh, meta_train, remember
from metad2a.model_file import describe, save_model
from metad2a.process import KERNEL
from metad2a.recommend import MetaD2A, load
from metad2a.surrogates import FEW, Surrogate, learn_surrogates, published
from predictors import checkpoint
from predictors.meta import MetaConfig, MetaPredictor
from predictors.task_distance import KnownTasks

if TYPE_CHECKING:
    from metad2a.tracking import Run, Tracker

GENERATOR_STEPS = 400
Report = Callable[[str], None]
Module = TypeVar("Module", bound=nn.Module)
OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class RetrainResult:
    """What a retraining left.

    Attributes:
        path, weights: the file, and its sha256 (16 digits). header: of the file.
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
    start: MetaD2A | None = None,
    recipe: str = "tiny",
    seed: int = 0,
    on_progress: Report = lambda line: None,
) -> RetrainResult:
    """Learns, judges on held-out sources, saves, and becomes challenger; champion where it is better.

    Args:
        store: the measurements.
        images: folder of the image sources, from which the tasks' features come.
        output: the checkpoint to write.
        work: folder for finished stages, so that a killed run goes on.
        tracker: keeps parameters, curves and figures, and knows the champion.
        start: the model whose encoders stay; None meta-trains from scratch.
        recipe: the recipe whose tasks judge the model.
        seed: of weights and draws.
        on_progress: told one line at each stage.

    Raises:
        UserError: the database holds nothing to learn from, or ``start`` is for other features.
    """
    known = episodes(store, images=images, cache=work / "features")
    _refuse(known, start, recipe)
    foreign = _foreign_recipes(store, known)
    on_progress(f"{len(known)} tasks, {sum(len(each.cells) for each in known)} architectures measured")
    parameters = {"seed": seed, "recipe": recipe, "tasks": len(known), "start": start.weights if start else "scratch"}
    folder = work / _digest(known, foreign, seed)
    with tracker.run("retrain", "meta-training", parameters=parameters) as run:
        if start is None:
            model = _predictor(work, known, foreign, seed, run, on_progress)
            surrogates = learn_surrogates(model, known, {})
            on_progress("generator")
            generator = _generator(folder, model, surrogates, known, seed, run)
            memory = remember(model, known)
        else:
            model, generator = _with_recipes(start, known, foreign)
            surrogates, memory = learn_surrogates(model, known, start.surrogates), start.memory
        on_progress("leave one source out")
        held_out = {
            name: leave_one_source_out(each.process, own_episodes(known, name), families=each.families)
            for name, each in surrogates.items()
        }
        header = describe(
            model, generator, surrogates, known, held_out, recipe=recipe, seed=seed, foreign=foreign, start=start
        )
        champion = current_champion(tracker)  # read before the new model may take the place of its file
        places = _places(known, surrogates, start)
        weights = save_model(output, model, generator, surrogates, places, memory, header)
        run.metrics({f"held_out_{name}": value for name, value in header["held_out"].items() if value is not None})
        on_progress("champion and challenger")
        result = RetrainResult(output, weights, header, header["held_out"]["tau"])
        return _meet(result, champion, own_episodes(known, recipe), tracker, run, folder)


def _refuse(known: Sequence[Episode], start: MetaD2A | None, recipe: str) -> None:
    if not known:
        raise UserError(
            "no task of the database has features: run `metad2a database build` or `database import table` first"
        )
    recipes = {*RECIPES, *(each.recipe for each in known)}
    if recipe not in recipes:
        raise UserError(f"no task was measured with the recipe {recipe!r}: choose one of {', '.join(sorted(recipes))}")
    if start is None and not any(len(each.cells) >= TABLE for each in known):
        raise UserError(
            f"the database holds no table of {TABLE:,} architectures on one task to learn from scratch: "
            "import NAS-Bench-201, or begin with the shipped model (--from shipped)"
        )
    width = known[0].features.features.shape[1]
    if start is not None and start.predictor.config.features != width:
        raise UserError(f"the model to begin with is for other features than {width} wide ones: use --from scratch")


def _meet(
    result: RetrainResult,
    champion: MetaD2A | None,
    own: Sequence[Episode],
    tracker: Tracker,
    run: Run,
    folder: Path,
) -> RetrainResult:
    """Registers the new model as challenger, compares it with the champion and promotes it where it is better."""
    comparison = None
    if champion is not None:
        comparison = compare(champion, load(result.path), own, recipe=result.header["recipe"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "comparison.json").write_text(json.dumps(comparison.to_json(), indent=1), encoding="utf-8")
        run.artifact(comparison.write(folder / "comparison.csv"), folder="comparison")
        run.artifact(folder / "comparison.json", folder="comparison")
        if comparison.difference is not None:
            found = comparison.difference
            run.metrics({"tau_difference": found.mean, "difference_low": found.low, "difference_high": found.high})
    version = run.register(result.path, MODEL_NAME, alias="challenger")
    promoted = version is not None and comparison is not None and comparison.better
    if promoted and version is not None:
        tracker.promote(MODEL_NAME, version)
    return replace(result, comparison=comparison, version=version, promoted=promoted)


def _foreign_recipes(store: Store, known: Sequence[Episode]) -> dict[str, tuple[int, int, int]]:
    """Size of the network for every recipe that is not metad2a's own."""
    names = sorted({each.recipe for each in known} - set(RECIPES))
    return {name: size_of(store.records(recipe=name)[0]) or PUBLISHED_SIZE for name in names}


def _with_recipes(
    start: MetaD2A, known: Sequence[Episode], foreign: Mapping[str, tuple[int, int, int]]
) -> tuple[MetaPredictor, Generator]:
    """The networks of ``start``, which begin with each new recipe as with the nearest known one."""
    new = sorted({each.recipe for each in known} - set(start.predictor.config.recipes))
    like = {n: start.nearest_recipe(RECIPES.get(n) or foreign_recipe(n, *foreign[n])) for n in new}
    if not like:
        return start.predictor, start.generator
    return start.predictor.with_recipes(like), start.generator.with_recipes(like)


def _predictor(
    work: Path,
    known: Sequence[Episode],
    foreign: Mapping[str, tuple[int, int, int]],
    seed: int,
    run: Run,
    report: Report,
) -> MetaPredictor:
    """Stage 1 on the tables, stage 2 on tables and tasks; what the surrogates learn is left to them."""
    config = MetaConfig(features=known[0].features.features.shape[1], recipes=(*RECIPES, *foreign))
    rest = [each for each in known if each.recipe in published() or not FEW <= len(each.cells) < TABLE]
    tables = [each for each in rest if len(each.cells) >= TABLE]
    folder = work / _digest(rest, foreign, seed)
    report("predictor, stage 1: tables")
    model = _stage(
        folder / "tables.safetensors",
        fresh(config, seed=seed),
        lambda each, told: meta_train(each, tables, TABLES_FIRST, seed=seed, on_step=told),
        run,
    )
    report("predictor, stage 2: tasks")
    return _stage(
        folder / "predictor.safetensors",
        model,
        lambda each, told: meta_train(each, rest, THEN_TASKS, seed=seed, on_step=told),
        run,
    )


def _generator(
    folder: Path,
    model: MetaPredictor,
    surrogates: Mapping[str, Surrogate],
    known: Sequence[Episode],
    seed: int,
    run: Run,
) -> Generator:
    config = GeneratorConfig(features=model.config.features, recipes=model.config.recipes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(config)
    taught = lessons(model, surrogates, known, seed=seed)
    return _stage(
        folder / "generator.safetensors",
        generator,
        lambda each, told: train_generator(each, taught, steps=GENERATOR_STEPS, seed=seed, on_step=told),
        run,
    )


def _stage(path: Path, model: Module, train: Callable[[Module, OnStep], Module], run: Run) -> Module:
    """The trained model of a stage, from disk where that was finished before; the loss is tracked either way."""
    name, losses = f"loss_{path.stem}", list[float]()
    if path.is_file():
        tensors, header = checkpoint.load(path)
        model.load_state_dict(tensors)
        run.curves({name: header["loss"]})
        return model.eval()

    def told(step: int, loss: float) -> None:
        losses.append(loss)
        run.metrics({name: loss}, step=step)

    model = train(model, told)
    checkpoint.save(path, model.state_dict(), {"stage": path.stem, "loss": losses})
    return model


def _places(known: Sequence[Episode], surrogates: Mapping[str, Surrogate], start: MetaD2A | None) -> KnownTasks | None:
    """Where the surrogates' tasks lie; None where too few sources tell what is far."""
    measured = [each for each in known if each.recipe in surrogates and len(each.cells) >= FEW]
    first = {each.features.name: each for each in reversed(measured)}
    own = [each for each in measured if first[each.features.name] is each]
    tasks, sources = [each.features for each in own], [each.family for each in own]
    if start is not None:
        return start.known.with_tasks(tasks, sources)
    return KnownTasks.learn(tasks, sources) if len(set(sources)) > 2 else None


def _digest(known: Sequence[Episode], foreign: Mapping[str, object], seed: int) -> str:
    """Names what was learnt from and what learnt, so that a changed database or network starts anew."""
    width = known[0].features.features.shape[1]
    networks = MetaPredictor(MetaConfig(width)), Generator(GeneratorConfig(width))
    weights = [name for each in networks for name in each.state_dict()]
    settings = [seed, str(TABLES_FIRST), str(THEN_TASKS), str(KERNEL), GENERATOR_STEPS, *weights, *RECIPES, *foreign]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for each in known:
        digest.update(each.recipe.encode() + each.cells.tobytes() + each.accuracy.tobytes() + each.by_seed.tobytes())
        digest.update(each.features.features.tobytes())
    return digest.hexdigest()[:16]
