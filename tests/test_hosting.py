"""The library is a guest: threads, random numbers, flags and warning filters are after every call as before it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import CLASSES, GENERATOR, convolutions, episode, meta_model, predictor, task
from PIL import Image

import metad2a
from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture
from databases.datasets.features import extract
from databases.datasets.loading import load_task
from databases.datasets.sampler import TaskSpec
from databases.datasets.task import Task
from databases.datasets.text import Text
from databases.hosting import lent
from databases.records.importers.own_table import import_table
from databases.records.recipe import RECIPES, Recipe
from databases.records.store import Store
from metad2a.build.build import build
from metad2a.devices.timing import time_cells
from metad2a.export.export import Exported, card_of_training, save
from metad2a.export.onnx import export_onnx
from metad2a.export.program import load_program
from metad2a.generate.generator import Generator, Lesson, train_generator
from metad2a.reproduce.enas import recurrent
from metad2a.reproduce.enas.other_spaces import TEXT, ChildTraining, children, train_alone
from metad2a.retrain import retrain
from metad2a.retrain.meta_training import Schedule, meta_train
from metad2a.runtime.executors import EXECUTORS
from metad2a.runtime.tracking import NullTracker
from metad2a.search.estimator import MetaD2AClassifier
from metad2a.search.predict import open_network, predictions
from metad2a.train import language
from metad2a.train.train import train
from predictors.surrogates import learn_surrogates
from predictors.zero_cost import zero_cost

ROOT = Path(__file__).parents[1]
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
    "retrain": retraining,
    "database build": building,
    "export": exporting,
    "export to ONNX": exporting_onnx,
    "predict files": predicting_files,
    "an exported model.py": running_the_program,
    "a demonstration's training": at_once(lambda: train_alone(ChildTraining("enas-micro", 0, 0.02))),
    "shared weights": at_once(lambda: recurrent.score_by_shared_weights(children(TEXT, 1), steps=1, seed=0)),
}
SLOW = {"recommend", "classify", "choose a pipeline", "export to ONNX"}  # seconds each


def host() -> list[object]:
    """All that a host may have set."""
    there: list[int] = []
    to_come = threading.Thread(target=lambda: there.append(torch.get_num_threads()))
    to_come.start()
    to_come.join()
    generators = [torch.get_rng_state().tolist(), random.getstate(), *map(str, np.random.get_state())]
    flags = [torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark, torch.is_grad_enabled()]
    filters = [str(each) for each in warnings.filters]
    return [torch.get_num_threads(), there, generators, flags, torch.get_default_dtype(), filters]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(RECIPES, "tiny", TOY)
    monkeypatch.setitem(EXECUTORS, "processes", here)
    monkeypatch.setattr("metad2a.build.build.sample_specs", lambda *given, **options: [TaskSpec("one", (0, 1, 2), 9)])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("METAD2A_HOME", str(tmp_path))


@pytest.mark.parametrize("name", PREPARED)
def test_a_call_leaves_its_host_as_it_was(name: str) -> None:
    @settings(deadline=None, max_examples=1 if name in SLOW else 3)
    @given(seed=st.integers(1, 2**32 - 1), threads=st.sampled_from([3, 2]))  # first what we would hardly set ourselves
    def same(seed: int, threads: int) -> None:
        call = PREPARED[name]()
        torch.set_num_threads(threads)
        for each in (torch.manual_seed, np.random.seed, random.seed):
            each(seed)
        before = host()
        call()
        assert host() == before

    with lent():
        same()


def test_calls_at_once_do_not_leave_each_other_s_settings() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    before, first, second = host(), threading.Event(), threading.Event()

    def beside() -> None:
        with lent(seed=2, threads=1):
            first.set()
            second.wait()

    other = threading.Thread(target=beside)
    with lent(seed=1, threads=1):
        other.start()
        first.wait()
    second.set()
    other.join()
    after = host()
    torch.set_num_threads(threads)
    assert after == before


@pytest.mark.slow
def test_the_first_call_is_no_exception_and_imports_neither_mlflow_nor_torch_geometric(tmp_path: Path) -> None:
    """In a process of its own, where the call is the first to need torch, scikit-learn and all else."""
    program = (
        "import random, sys, warnings, metad2a; random.seed(1); "
        "look = lambda: (random.getstate(), list(warnings.filters)); before = look(); "
        "sure = type('Sure', (metad2a.MetaD2AClassifier,), {'predict': lambda self, x: [0, 1]}); "
        "assert sure().score([[0], [1]], [0, 1]) == 1; assert look() == before; "
        "model = metad2a.load(); from databases.datasets import probes; probes.TRAIN_IMAGES = 64; "
        "model.recommend('sklearn:digits'); assert look() == before; "
        "import metad2a.reports.plots; assert not {'mlflow', 'torch_geometric'} & set(sys.modules); "
        "metad2a.MetaD2AClassifier; assert look() == before"
    )
    environment = {**os.environ, "METAD2A_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=environment)


def test_a_program_of_ours_looks_for_garbage_less_often_and_the_library_changes_nothing() -> None:
    told = """
import gc, sys
found = [gc.get_threshold()]
import metad2a, metad2a.service.job, databases.datasets.decoders
from metad2a.cli import main
found.append(gc.get_threshold())
sys.argv = ["metad2a", "--version"]
try:
    main()
except SystemExit:
    found.append(gc.get_threshold())
print(found[0] == found[1], found[2] > found[1])
"""
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["True", "True"], done.stdout
