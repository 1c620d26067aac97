"""The library is a guest: threads, random numbers, flags and warning filters are after every call as before it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hosting_calls import PREPARED, TOY, here
from hypothesis import given, settings
from hypothesis import strategies as st

from databases.datasets.sampler import TaskSpec
from databases.hosting import lent, own_ways
from databases.records.recipe import RECIPES
from metad2a.runtime.executors import EXECUTORS

ROOT = Path(__file__).parents[1]
SLOW = {"recommend", "classify", "choose a pipeline", "export to ONNX"}  # seconds each
UNREADY = {"shared weights"}  # no call of a host, but a part of a demonstration


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


@contextmanager
def ways_of_the_host() -> Iterator[Callable[[], list[object]]]:
    """Computations as a host may have set them, and what tells whether it still has."""

    def look() -> list[object]:
        flags = [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")]
        return [torch.get_default_dtype(), torch.get_default_device(), *flags]

    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            yield look
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", [each for each in PREPARED if each not in UNREADY])
def test_a_host_that_computes_otherwise_is_served_alike(name: str) -> None:
    call = PREPARED[name]()
    with ways_of_the_host() as look:
        before = look()
        call()
        assert look() == before


def test_threads_at_once_do_not_leave_ours_to_the_host() -> None:
    inside, out = threading.Event(), threading.Event()

    def beside() -> None:
        with own_ways():
            inside.set()
            out.wait()

    other = threading.Thread(target=beside)
    with ways_of_the_host():
        with own_ways():
            other.start()
            inside.wait()
        assert torch.get_default_dtype() == torch.float32  # of the thread that still is inside
        out.set()
        other.join()
        assert torch.get_default_dtype() == torch.float64


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
