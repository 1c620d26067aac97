"""A meta-model from scratch: networks meta-trained on published tables and tasks, in stages that a killed run keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from torch import nn

from databases.errors import Say
from databases.hosting import lent
from databases.records.episodes import Episode, Known
from databases.records.recipe import RECIPES
from metad2a.generate.generator import Generator, GeneratorConfig, train_generator
from metad2a.generate.lessons import lessons
from metad2a.retrain.held_out import Values
from metad2a.retrain.meta_training import TABLES_FIRST, THEN_TASKS, fresh, meta_train, remember
from metad2a.train.loop import Epoch, OnEpoch
from predictors import checkpoint
from predictors.meta import MetaConfig, MetaPredictor
from predictors.surrogates import KERNEL, Surrogate, learn_surrogates, published_recipes

if TYPE_CHECKING:
    from metad2a.runtime.tracking import Run

GENERATOR_STEPS = 400
METHOD = 1  # raised whenever something else would be learnt from the same episodes: kept stages are then not used
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a retraining makes; ``memory``: recipe -> (classes,) what its table says beyond the predictor."""

    predictor: MetaPredictor
    generator: Generator
    surrogates: Mapping[str, Surrogate]
    memory: Mapping[str, Values]


def learn(
    work: Path,
    known: Sequence[Episode],
    foreign: Mapping[str, tuple[int, int, int]],
    seed: int,
    run: Run,
    say: Say,
) -> Learnt:
    """Meta-trains predictor and generator; ``work`` keeps finished stages, ``say`` is told one line at each."""
    predictor = _predictor(work, known, foreign, seed, run, say)
    surrogates = learn_surrogates(predictor, known, {})
    say("generator")
    generator = _generator(work / digest(known, foreign, seed), predictor, surrogates, known, seed, run)
    return Learnt(predictor, generator, surrogates, remember(predictor, Known.of(known).tables))


def _predictor(
    work: Path,
    known: Sequence[Episode],
    foreign: Mapping[str, tuple[int, int, int]],
    seed: int,
    run: Run,
    say: Say,
) -> MetaPredictor:
    """Stage 1 on the tables, stage 2 on tables and tasks; what the surrogates learn is left to them."""
    config = MetaConfig(features=known[0].features.features.shape[1], recipes=(*RECIPES, *foreign))
    rest = [each for each in known if each.recipe in published_recipes() or each.table or each.few]
    tables = Known.of(rest).tables
    folder = work / digest(rest, foreign, seed)
    say("predictor, stage 1: tables")
    model = _stage(
        folder / "tables.safetensors",
        fresh(config, seed=seed),
        lambda each, kept, told: meta_train(each, tables, TABLES_FIRST, seed=seed, checkpoint=kept, on_epoch=told),
        run,
    )
    say("predictor, stage 2: tasks")
    return _stage(
        folder / "predictor.safetensors",
        model,
        lambda each, kept, told: meta_train(each, rest, THEN_TASKS, seed=seed, checkpoint=kept, on_epoch=told),
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
    with lent(seed=seed):
        generator = Generator(config)
    taught = lessons(model, surrogates, known, seed=seed)
    return _stage(
        folder / "generator.safetensors",
        generator,
        lambda each, kept, told: train_generator(
            each, taught, steps=GENERATOR_STEPS, seed=seed, checkpoint=kept, on_epoch=told
        ),
        run,
    )


def _stage(path: Path, model: Module, train: Callable[[Module, Path, OnEpoch], Module], run: Run) -> Module:
    """The trained model of a stage, from disk where that was finished before; the loss is tracked either way.

    One that was killed goes on inside of the stage.
    """
    name, losses = f"loss_{path.stem}", list[float]()
    if path.is_file():
        tensors, header = checkpoint.load(path)
        model.load_state_dict(tensors)
        run.curves({name: header["loss"]})
        return model.eval()

    def told(step: Epoch) -> None:
        losses.append(step.loss)
        run.metrics({name: step.loss}, step=step.number)

    kept = path.with_suffix(".training")
    model = train(model, kept, told)
    checkpoint.save(path, model.state_dict(), {"stage": path.stem, "loss": losses})
    kept.unlink(missing_ok=True)
    return model


def digest(known: Sequence[Episode], foreign: Mapping[str, object], seed: int) -> str:
    """Names what was learnt from and what learnt, so that a changed database or network starts anew."""
    settings = [seed, str(TABLES_FIRST), str(THEN_TASKS), str(KERNEL), GENERATOR_STEPS, METHOD, *RECIPES, *foreign]
    found = hashlib.sha256(json.dumps(settings).encode())
    for each in known:
        found.update(each.recipe.encode() + each.cells.tobytes() + each.accuracy.tobytes() + each.by_seed.tobytes())
        found.update(each.features.features.tobytes())
    return found.hexdigest()[:16]
