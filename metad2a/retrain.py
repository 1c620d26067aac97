"""`metad2a retrain`: meta-trains predictor and generator on what the database holds; resumable."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from databases.architectures.spaces import finite_space
from databases.errors import UserError
from databases.records.store import Store
from metad2a.episodes import Episode, episodes
from metad2a.generator import Generator, GeneratorConfig, Lesson, train_generator
from metad2a.held_out import HeldOut, conformal_factors, leave_one_source_out, own_episodes, tau
from metad2a.meta_training import FEW, TABLE, TABLES_FIRST, THEN_TASKS, fresh, meta_train
from metad2a.process import learn, pack
from predictors import checkpoint
from predictors.memory import shrunk
from predictors.meta import RECIPE_NUMBER, MetaConfig, MetaPredictor, to_logit
from predictors.surrogate import TaskProcess
from predictors.task_distance import KnownTasks

if TYPE_CHECKING:
    from metad2a.tracking import NullTracker, Tracker

MODEL_NAME = "metad2a-meta-model"
GENERATOR_STEPS = 400
GOOD = 64  # architectures of a task that count as good
Report = Callable[[str], None]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RetrainResult:
    """What a retraining left: the file, its sha256 (16 digits), the header, and tau on held-out own tasks."""

    path: Path
    weights: str
    header: dict[str, Any]
    held_out_tau: float | None


def retrain(
    store: Store,
    *,
    images: Path | None,
    output: Path,
    work: Path,
    tracker: Tracker | NullTracker,
    recipe: str = "tiny",
    seed: int = 0,
    on_progress: Report = lambda line: None,
) -> RetrainResult:
    """Trains on the tables, then on the tasks; judges on held-out sources; trains the generator; saves.

    Args:
        store: the measurements.
        images: folder of the image sources, from which the tasks' features come.
        output: the checkpoint to write.
        work: folder for finished stages, so that a killed run goes on.
        tracker: keeps parameters and figures and registers the result.
        recipe: the own recipe whose tasks judge and calibrate the model.
        seed: of weights and draws.
        on_progress: told one line at each stage.

    Raises:
        UserError: the database holds nothing to learn from.
    """
    known = episodes(store, images=images, cache=work / "features")
    own = own_episodes(known, recipe)
    if not known:
        raise UserError("no task of the database has features: run `metad2a database build` first")
    rest = [each for each in known if each.recipe != recipe]  # the own recipe is the surrogate's
    folder = work / _digest(rest, seed)
    on_progress(f"{len(known)} tasks, {sum(len(each.cells) for each in known)} architectures measured")
    parameters = {"seed": seed, "recipe": recipe, "tasks": len(known), "own_tasks": len(own)}
    with tracker.run("retrain", "meta-training", parameters=parameters) as run:
        config = MetaConfig(features=known[0].features.features.shape[1])
        model = _stage(folder / "predictor.safetensors", config, lambda: _predictor(config, rest, seed, on_progress))
        process = learn(model, own) if len(own) > 1 else None
        held_out = leave_one_source_out(process, own) if process else []
        on_progress("generator")
        generator = _generator(model, process, known, seed)
        header = describe(model, generator, known, held_out, recipe, seed)
        places = _places(own)
        path_sha = _save(output, model, generator, process, places, remember(model, known), header)
        run.metrics({name: value for name, value in header["held_out"].items() if value is not None})
        run.register(output, MODEL_NAME, alias="challenger")
    return RetrainResult(output, path_sha, header, header["held_out"]["tau"])


def _predictor(config: MetaConfig, known: Sequence[Episode], seed: int, report: Report) -> MetaPredictor:
    """Stage 1 on the published tables, stage 2 on tables and tasks; the own recipe is the surrogate's."""
    report("predictor, stage 1: tables")
    tables = [each for each in known if len(each.cells) >= TABLE]
    model = fresh(config, seed=seed)
    model = meta_train(model, tables, TABLES_FIRST, seed=seed) if tables else model.eval()
    report("predictor, stage 2: tasks")
    return meta_train(model, known, THEN_TASKS, seed=seed) if known else model


def _generator(model: MetaPredictor, process: TaskProcess | None, known: Sequence[Episode], seed: int) -> Generator:
    import torch

    config = GeneratorConfig(features=model.config.features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(config)
    return train_generator(generator, lessons(model, process, known, seed=seed), steps=GENERATOR_STEPS, seed=seed)


def remember(model: MetaPredictor, known: Sequence[Episode]) -> dict[str, Values]:
    """Recipe -> (classes,) what its published table says of each class beyond the predictor, where it is one table."""
    tables = [each for each in known if len(each.cells) >= TABLE]
    found = {}
    for table in tables:
        if sum(each.recipe == table.recipe for each in tables) == 1:
            classes = finite_space(model.config.space).classes
            said = model.predict(table.features, [classes[i] for i in table.cells], recipe=table.recipe).mean
            found[table.recipe] = np.zeros(len(classes))
            found[table.recipe][table.cells] = shrunk(to_logit(table.by_seed) - said[:, None])
    return found


def _places(own: Sequence[Episode]) -> KnownTasks | None:
    """Where the own tasks lie; None where too few sources tell what is far."""
    sources = [each.family for each in own]
    return KnownTasks.learn([each.features for each in own], sources) if len(set(sources)) > 2 else None


def lessons(
    model: MetaPredictor,
    process: TaskProcess | None,
    known: Sequence[Episode],
    *,
    seed: int,
    single: int = 200,
) -> list[Lesson]:
    """What the generator learns from: each task's best classes, measured where all were, else predicted."""
    classes = list(finite_space(model.config.space).classes)
    rng = np.random.default_rng(seed)
    few = [each for each in known if len(each.cells) < FEW]
    picked = [few[i] for i in rng.permutation(len(few))[:single]]
    vectors = model.encode_many(classes)
    found = []
    for each in [*picked, *(e for e in known if len(e.cells) >= FEW)]:
        if process is not None and FEW <= len(each.cells) < TABLE:
            value = process.predict(each.features.statistics, np.arange(len(classes))).mean
        else:
            value = model.predict_encoded(each.features, vectors, recipe=each.recipe).mean
        if len(each.cells) >= TABLE:
            value = np.full(len(classes), -np.inf)
            value[each.cells] = each.accuracy
        best = np.argsort(-value)[:GOOD]
        weights = np.linspace(1, 0.25, len(best))
        walks = [classes[i].walk for i in best]
        found.append(Lesson(each.features, each.recipe, walks, weights / weights.sum()))
    return found


def describe(
    model: MetaPredictor,
    generator: Generator,
    known: Sequence[Episode],
    held_out: Sequence[HeldOut],
    recipe: str,
    seed: int,
) -> dict[str, Any]:
    """The checkpoint's header: configuration, what it learnt from, calibration, figures on held-out tasks."""
    taus = [tau(each.mean, each.episode) for each in held_out]
    average = [tau(each.average, each.episode) for each in held_out]
    flop, image = training_cost(finite_space(model.config.space).name)
    return {
        "predictor": model.config.to_json(),
        "generator": generator.config.to_json(),
        "recipe": recipe,
        "recipes": list(RECIPE_NUMBER),
        "seed": seed,
        "tasks": dict(Counter(each.recipe for each in known)),
        "architectures": {
            name: sum(len(each.cells) for each in known if each.recipe == name)
            for name in sorted({each.recipe for each in known})
        },
        "conformal": {recipe: conformal_factors(held_out)} if held_out else {},
        "held_out": {
            "tau": float(np.mean(taus)) if taus else None,
            "tau_best_on_average": float(np.mean(average)) if average else None,
        },
        "seconds_per_image_flop": flop,
        "seconds_per_image": image,
    }


def training_cost(space_name: str) -> tuple[float, float]:
    """Seconds a training image costs on one thread here: per multiply-add of the network, and on top of that.

    From the fastest of a few timed steps of two networks of the `tiny` size.
    """
    import time

    import torch

    from databases.architectures.architecture import Skeleton

    chosen, skeleton = finite_space(space_name), Skeleton(8, 3, 3, 10)
    points = []
    largest = max(chosen.classes, key=lambda each: chosen.parameters(each, skeleton))
    for architecture in (chosen.classes[0], largest):
        network = chosen.network(architecture, skeleton)
        x = torch.randn(32, 3, 16, 16).contiguous(memory_format=torch.channels_last)
        best = float("inf")
        for _ in range(6):
            begin = time.perf_counter()
            network(x).sum().backward()
            best = min(best, time.perf_counter() - begin)
        points.append((chosen.flops(architecture, skeleton, resolution=16), best / 32))
    (small, quick), (large, slow) = points
    per_flop = max(slow - quick, 1e-9) / (large - small)
    return per_flop, max(quick - per_flop * small, 0.0)


def _stage(path: Path, config: MetaConfig, make: Callable[[], MetaPredictor]) -> MetaPredictor:
    """The model of a finished stage from disk, or made now and kept."""
    if path.is_file():
        tensors, _ = checkpoint.load(path)
        model = MetaPredictor(config)
        model.load_state_dict(tensors)
        return model.eval()
    model = make()
    checkpoint.save(path, model.state_dict(), {"stage": path.stem})
    return model


def _save(
    output: Path,
    model: MetaPredictor,
    generator: Generator,
    process: TaskProcess | None,
    places: KnownTasks | None,
    memory: dict[str, Values],
    header: dict[str, Any],
) -> str:
    import torch

    known = places or KnownTasks((), (), np.zeros((0, 2 * model.config.features), np.float32), 1.0, 0.0)
    named = {"predictor": model, "generator": generator}
    tensors = {f"{n}.{k}": v for n, each in named.items() for k, v in each.state_dict().items()}
    tensors |= {f"process.{name}": value for name, value in pack(process).items()} if process else {}
    tensors |= {f"memory.{name}": torch.from_numpy(value).float() for name, value in memory.items()}
    tensors["known.places"] = torch.from_numpy(known.places)
    return checkpoint.save(output, tensors, {**header, "known": known.header()})


def _digest(known: Sequence[Episode], seed: int) -> str:
    """Names what was learnt from, so that a changed database starts anew."""
    digest = hashlib.sha256(json.dumps([seed, str(TABLES_FIRST), str(THEN_TASKS)]).encode())
    for each in known:
        digest.update(each.recipe.encode() + each.cells.tobytes() + each.accuracy.tobytes())
        digest.update(each.features.features.tobytes())
    return digest.hexdigest()[:16]
