"""The library's public calls, each made ready with a tiny world of its own: for tests of what they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from made_up import CLASSES, GENERATOR, convolutions, episode, meta_model, predictor, task
from PIL import Image

import metad2a
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture
from databases.datasets.features import extract
from databases.datasets.loading import load_task
from databases.datasets.task import Task
from databases.datasets.text import Text
from databases.records.importers.own_table import import_table
from databases.records.recipe import Recipe
from databases.records.store import Store
from metad2a.build.build import build
from metad2a.devices.timing import time_cells
from metad2a.export.export import Exported, card_of_training, save
from metad2a.export.onnx import export_onnx
from metad2a.export.program import load_program
from metad2a.generate.generator import Generator, Lesson, train_generator
from metad2a.reproduce.enas.other_spaces import TEXT, ChildTraining, OtherSpaces, Sharing, children, share, train_alone
from metad2a.retrain import retrain
from metad2a.retrain.meta_training import Schedule, meta_train
from metad2a.runtime.tracking import NullTracker
from metad2a.search.estimator import MetaD2AClassifier
from metad2a.search.pipelines.average import averaged
from metad2a.search.predict import open_network, predictions
from metad2a.train import language
from metad2a.train.bases import open_base
from metad2a.train.probe import probe
from metad2a.train.train import train
from predictors.surrogates import learn_surrogates
from predictors.zero_cost import zero_cost

TOY = Recipe("tiny", 4, 1, 8, epochs=1, batch=16, learning_rate=0.05, augment=True)
CELL = Architecture("nasbench201", (3, 1, 2, 3, 0, 4))
SKELETON = Skeleton(4, 1, input_channels=1, classes=3)
SCHEDULE = Schedule(steps=2, learning_rate=1e-2, cells=8, own=2)


@cache
def digits() -> Task:
    pictures = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    return load_task((pictures, np.arange(60) % 3))


def text() -> Text:
    tokens = (np.arange(400) % 6).astype(np.int64)
    return Text("word", tuple("abcdef"), tokens, tokens[:100], tokens[:100])


def read_text() -> None:
    small = language.LanguageRecipe(parameters=900, embedding=4, epochs=1, batch=4, steps=10)
    language.train(language.maker("lstm"), text(), small)


def teach_generator() -> Callable[[], Any]:
    model, lesson = Generator(GENERATOR), Lesson(task(), "tiny", [CELL.walk], np.ones(1))
    return lambda: train_generator(model, [lesson], steps=2, seed=3, tasks=1, walks=2)


def meta_training() -> Callable[[], Any]:
    model, known = predictor(), [episode(task(), [1, 2, 3, 4, 5, 6], [50.0] * 6)]
    return lambda: meta_train(model, known, SCHEDULE, seed=1)


def widening() -> Callable[[], Any]:
    model = meta_model(6)
    return lambda: (model.predictor.with_recipes({"mine": "tiny"}), model.generator.with_recipes({"mine": "tiny"}))


def recommending() -> Callable[[], Any]:
    model = meta_model(192)
    return lambda: model.recommend(digits(), top=3)


def classifying() -> Callable[[], Any]:
    given, model = digits().images, MetaD2AClassifier(space="nasbench201", trials=1, recipe="tiny", searcher="random")
    return lambda: model.fit(given, digits().labels).predict(given[:3])


def choosing_a_pipeline() -> Callable[[], Any]:
    model = MetaD2AClassifier(max_time=2)  # probes alone
    return lambda: model.fit(digits().images, digits().labels).predict(digits().images[:3])


def meaning() -> Callable[[], Any]:
    """Networks that answer together; whether a search ends with some depends on what it had time for."""
    hog = probe(open_base("hog", channels=1, resolution=16), digits(), resolution=16).classifier
    return lambda: averaged({0: hog, 1: hog}, {0: 1.0, 1: 2.0}, resolution=16)


def retraining() -> Callable[[], Any]:
    """A model that knows two tasks learns a table of the user's."""
    folder, cells, rng = Path(mkdtemp()), list(range(0, 6400, 128)), np.random.default_rng(0)
    np.savez(folder / "f.npz", features=rng.normal(size=(20, 192)), labels=np.arange(20) % 2)
    rows = [f"mine,{CLASSES[i]},mine,{50 + rng.random()},0,f.npz,4,1,8" for i in cells]
    heads = "task,architecture,recipe,value,seed,features,channels,cells,resolution"
    (folder / "mine.csv").write_text("\n".join([heads, *rows]))
    model = meta_model(192)
    known = [episode(task(i, width=192), cells, convolutions(cells).tolist(), family=str(i)) for i in range(2)]
    model.surrogates = learn_surrogates(model.predictor, known, {})
    model.header |= {"architectures": {"tiny": 50, "nasbench201": 50}, "tasks": {"tiny": 2, "nasbench201": 1}}

    def call() -> None:
        with Store("sqlite://") as store:
            import_table(store, folder / "mine.csv")
            new = folder / "new.safetensors"
            retrain.retrain(store, images=None, output=new, work=folder, tracker=NullTracker(), start=model)

    return call


def building() -> Callable[[], Any]:
    folder, x, y = Path(mkdtemp()), digits().images, digits().labels
    np.savez(folder / "one.npz", x_train=x, y_train=y, x_test=x, y_test=y, class_names=np.array(list("abc")))

    def call() -> None:
        with Store("sqlite://") as store:
            assert build(store, folder, tasks=1, per_task=2, recipe="tiny", judged=0).done == 2

    return call


def trained() -> Exported:
    """A trained network in a folder."""
    found = train(digits(), CELL, recipe=TOY, seed=3, on="cpu")
    return save(found, card_of_training(found, task=digits(), architecture=CELL, recipe=TOY, seed=3), Path(mkdtemp()))


def exporting() -> Callable[[], Any]:
    made = trained()
    return lambda: save(made.training, made.card, Path(mkdtemp()))


def exporting_onnx() -> Callable[[], Any]:
    pytest.importorskip("onnxscript")
    folder = trained().folder
    return lambda: export_onnx(folder)


def predicting_files() -> Callable[[], Any]:
    folder = trained().folder
    Image.fromarray(digits().images[0, ..., 0]).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:-20])
    return lambda: list(predictions(open_network(str(folder)), [folder], on_failure=lambda line: None))


def running_the_program() -> Callable[[], Any]:
    folder = trained().folder
    return lambda: load_program(folder).load(folder).predict(digits().images[:3])


def here(function: Callable[[Any], Any], jobs: Iterable[Any], **options: object) -> Iterator[Any]:
    """All jobs in this process, which others would do."""
    return map(function, jobs)


def at_once(call: Callable[[], Any]) -> Callable[[], Callable[[], Any]]:
    return lambda: call


PREPARED: dict[str, Callable[[], Callable[[], Any]]] = {
    "train": at_once(lambda: train(digits(), CELL, recipe=TOY, seed=3, on="cpu")),
    "train a language model": at_once(read_text),
    "meta-train": meta_training,
    "train the generator": teach_generator,
    "load": at_once(metad2a.load),
    "recommend": recommending,
    "features": at_once(lambda: extract(digits())),
    "features of an untrained backbone": at_once(lambda: extract(digits(), kind="random")),
    "zero-cost scores": at_once(lambda: zero_cost(digits(), [CELL], skeleton=SKELETON, batch=8)),
    "time": at_once(lambda: time_cells([CELL], TOY, repeats=1)),
    "a new recipe": widening,
    "classify": classifying,
    "choose a pipeline": choosing_a_pipeline,
    "the mean of networks": meaning,
    "retrain": retraining,
    "database build": building,
    "export": exporting,
    "export to ONNX": exporting_onnx,
    "predict files": predicting_files,
    "an exported model.py": running_the_program,
    "a demonstration's training": at_once(lambda: train_alone(ChildTraining(children("enas-micro", 1)[0], 0.02))),
    "shared weights": at_once(lambda: share(Sharing(TEXT, 0, OtherSpaces(1, 1, (1, 1), (1, 1), (1, 1), 2)))),
}
