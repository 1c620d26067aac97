"""Measures what slices of pretrained bases are worth after fine-tuning, on five development sources; resumable.

    python scripts/slices.py R.jsonl residual mobilenetv3 --cpu-seconds 20      # two bases in equal CPU-seconds
    python scripts/slices.py R.jsonl residual taught.safetensors --steps 150 --slices whole half least both
    python scripts/slices.py R.jsonl --table

Bases are names or files of `metad2a pretrain`, told apart by what is given; random:NAME is one without its weights.
Each network begins with its probe (logistic regression on frozen features, statistics taken anew) and is fine-tuned in
batches of 32 images at 48 px, at most 2,000 training images a source; the accuracy is that on the test images.
Differences are paired by source and seed, with a bootstrap by source.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from databases.architectures.supernets.inherit import recalibrate
from databases.architectures.supernets.pretrained import Pretrained, Stages
from databases.datasets.blobs import arrays_of
from databases.datasets.loading import load_task
from databases.datasets.task import TEST, TRAIN, Task
from metad2a.reports.publish import markdown_table
from metad2a.runtime.home import images_folder
from metad2a.supernets.make import read_base
from metad2a.train.bases import Base, of_family
from metad2a.train.classifier import Classifier
from metad2a.train.finetune import BATCH, Tuned, Tuning, finetune
from metad2a.train.probe import percent_right, probe
from predictors.metrics import Interval, bootstrap_interval

SOURCES, SIDE = ("flowers5_64px", "scenes15_64px", "gtsrb", "malaria", "chars74k"), 48
FRESH, SUFFIX = "random:", ".safetensors"
TIMED = 6  # steps by which those of so many CPU-seconds are counted
LIMITS: dict[str, tuple[float, float]] = {  # blocks a stage; share of the base's hidden channels
    "whole": (9, 1),
    "half": (9, 0.5),
    "least": (0, 1),
    "both": (0, 0.5),
}


def main() -> None:
    """Measures, or prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("bases", nargs="*")
    parser.add_argument("--slices", nargs="+", choices=LIMITS, default=["whole"])
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--steps", type=int, default=150)
    effort.add_argument("--cpu-seconds", type=float)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sources", nargs="+", default=SOURCES)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.table:
        for line in tables(_read(options.file)):
            print(line)
        return
    told = f"{options.steps} steps" if options.cpu_seconds is None else f"{options.cpu_seconds:g} CPU-s"
    for seed in options.seeds:
        for source in options.sources:
            for name in options.slices:
                for base in options.bases:
                    row = {
                        "effort": told,
                        "base": base.removesuffix(SUFFIX),
                        "slice": name,
                        "source": source,
                        "seed": seed,
                    }
                    if not any(row.items() <= each.items() for each in _read(options.file)):
                        row |= _measured(base, name, source, seed, options.steps, options.cpu_seconds)
                        with open(options.file, "a", encoding="utf-8") as file:
                            print(json.dumps(row), file=file)
                        print(row, flush=True)


def tables(rows: list[dict[str, Any]]) -> Iterator[str]:
    """One for each effort: accuracy by base and slice; and the difference of each base from the first."""
    for effort in dict.fromkeys(row["effort"] for row in rows):
        found = {
            (row["base"], row["slice"], row["source"], row["seed"]): row for row in rows if row["effort"] == effort
        }
        sources = list(dict.fromkeys(key[2] for key in found))
        first = next(iter(found))[0]
        body = []
        for base, name in dict.fromkeys(key[:2] for key in found):
            of = {key[2:]: row for key, row in found.items() if key[:2] == (base, name)}
            cells = [
                np.mean([row["accuracy"] for (where, _), row in of.items() if where == source]) for source in sources
            ]
            both = [key for key in of if (first, name, *key) in found]
            gains = [of[key]["accuracy"] - found[first, name, *key]["accuracy"] for key in both]
            gain = _told(bootstrap_interval(gains, [key[0] for key in both])) if base != first and both else ""
            spent, steps = (np.mean([row[key] for row in of.values()]) for key in ("cpu_seconds", "steps"))
            body.append((base, name, *(f"{cell:.1f}" for cell in cells), f"{np.mean(cells):.1f}", gain))
            body[-1] += (f"{spent:.1f}", f"{steps:.0f}", f"{next(iter(of.values()))['parameters'] / 1e6:.2f} M")
        yield f"\n{effort}, seeds {', '.join(map(str, sorted({key[3] for key in found})))}\n"
        ends = ("mean", f"minus {first}", "CPU-s", "steps", "parameters")
        yield from markdown_table(("base", "slice", *sources, *ends), body)


def _told(gain: Interval) -> str:
    return f"{gain.mean:+.1f} [{gain.low:.1f}, {gain.high:.1f}]"


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _measured(base: str, name: str, source: str, seed: int, steps: int, seconds: float | None) -> dict[str, Any]:
    family, task = _opened(base.removeprefix(FRESH)), _task(source, seed)
    depth, share = LIMITS[name]
    most = max(expansion for blocks in family.family.stages for _, expansion in blocks)
    stages = family.family.slice(depth=int(depth), expansion=share * most)
    start = _start(family, stages, task, fresh=base.startswith(FRESH), seed=seed)
    rate = 0.1 if base.startswith(FRESH) else 0.05

    def tuned(count: int) -> tuple[Tuned, float]:
        begin = time.process_time()
        found = finetune(start, task, Tuning(steps=count, seed=seed, learning_rate=rate))
        return found, time.process_time() - begin

    if seconds is not None:
        tuned(2)
        one, more = tuned(2)[1], tuned(2 + TIMED)[1]
        a_step = (more - one) / TIMED
        steps = max(1, round((seconds - one) / a_step))
    done, spent = tuned(steps)
    truth = task.part(TEST)
    return {
        "accuracy": percent_right(done.classifier.logits(truth[0]), truth[1]),
        **{"steps": steps, "cpu_seconds": round(spent, 2), "images": steps * BATCH},
        "parameters": sum(each.numel() for each in start.network.parameters()),
    }


@lru_cache
def _opened(base: str) -> Pretrained:
    return read_base(base)


@lru_cache(maxsize=2)
def _task(source: str, seed: int) -> Task:
    path = images_folder() / f"{source}.npz"
    with np.load(path) as file, TemporaryDirectory() as place:
        if "blobs" in file.files:  # encoded images, decoded first
            path = Path(place) / path.name
            np.savez(path, **arrays_of(file))  # type: ignore[arg-type]
        return load_task(path, up_to=SIDE, seed=seed)


def _start(family: Pretrained, stages: Stages, task: Task, *, fresh: bool, seed: int) -> Classifier:
    base = of_family("own", family, channels=task.channels, stages=stages)
    if not fresh:
        _take_statistics(base, task)
        return probe(base, task, resolution=SIDE).classifier
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = family.blueprint(stages, classes=task.classes, input_channels=task.channels).build().eval()
    network: nn.Module = made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return replace(base.at(SIDE), network=network, blueprint=base.blueprint(task.classes))


def _take_statistics(base: Base, task: Task) -> None:
    classifier = base.at(SIDE)
    images = classifier.resized(task.part(TRAIN)[0][:512])
    recalibrate(base.network, (classifier.normalised(part) for part in images.split(128) if len(part) > 1))


if __name__ == "__main__":
    main()
