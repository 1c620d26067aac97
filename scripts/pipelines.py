"""Prints what a budget of seconds buys: ours beside trivial models and fixed pipelines, on sources of images.

    nice python scripts/pipelines.py RESULTS --seconds 20 60 --sources flowers5_64px gtsrb elpv
    python scripts/pipelines.py RESULTS --table

A source NAME@10 is ten images of each class for training and ten for validation.
Seconds are CPU-seconds of one thread, loading not counted: every clock of a measuring process shows its CPU time, so
that a busy machine changes nothing. The same command goes on where it was stopped: RESULTS (JSON lines) holds what is
done. Validation chooses, test images are used once; what fine-tuning adds is learnt without the source; the recipe's
constants were chosen on `DEVELOPMENT` alone. `fast` is ours that prefers the fastest of what is as good.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

DEVELOPMENT = (
    *("gtsrb", "scenes15_64px", "flowers5_64px", "dtd10_128px", "clothing_128px", "elpv", "malaria"),
    "chars74k",
)
UP_TO = 128
METHODS = ("hog", "own probe", "lite0 probe", "scratch", "cells", "fast", "fixed default", "ours")
FIXED = "own 48px all rate0.1 whole"  # one pipeline for everybody: of all that we measured the best on average
REPEATS = 30


def main() -> None:
    """Measures what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--images", type=Path, default=None, help="folder of sources; by default the shared data")
    parser.add_argument("--sources", nargs="+", default=DEVELOPMENT)
    parser.add_argument("--seconds", nargs="+", type=float, default=[20.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        time.monotonic = time.process_time  # before anything of ours reads a clock
        measure(asked)
        return
    if not asked.table:
        for source in asked.sources:
            for seconds in asked.seconds:
                for seed in asked.seeds:
                    run(asked, source, seconds, seed)
    table(asked.results)


def run(asked: argparse.Namespace, source: str, seconds: float, seed: int) -> None:
    """What is missing of a source, budget and seed, in a process whose clocks show CPU time."""
    done = {each["method"] for each in read(asked.results) if same(each, source, seconds, seed)}
    missing = [method for method in asked.methods if method not in done]
    if missing:
        images = ["--images", str(asked.images)] if asked.images else []
        command = [sys.executable, __file__, str(asked.results), "--one", "--sources", source, *images]
        subprocess.run([*command, "--seconds", str(seconds), "--seeds", str(seed), "--methods", *missing], check=True)


def measure(asked: argparse.Namespace) -> None:
    """All methods asked for, one result a line."""
    import torch

    from databases.datasets.sampler import family
    from databases.datasets.task import TEST
    from metad2a.cli.demo import few_of_each
    from metad2a.recommend import chances
    from metad2a.runtime.home import images_folder
    from metad2a.train.probe import percent_right

    torch.set_num_threads(1)
    folder = asked.images or images_folder()
    (source,), (seconds,), (seed,) = asked.sources, asked.seconds, asked.seeds
    name, _, few = source.partition("@")
    known = chances.outcomes().without(family(name))
    # what fine-tuning adds is learnt without the source: whoever asks is imported after this
    chances.outcomes = lambda: known  # type: ignore[assignment]
    from metad2a.recommend import experience

    assert experience.outcomes() is known
    with TemporaryDirectory() as place:
        task = load(folder / f"{name}.npz", Path(place), seed)
        task = few_of_each(task, int(few)) if few else task
        images, labels = task.part(TEST)
        for method in asked.methods:
            begin = time.process_time()
            classifier, valid, what = ways()[method](task, seconds, seed, Path(place))
            took = time.process_time() - begin
            test, spent = percent_right(classifier.logits(images), labels), milliseconds(classifier, images[:1])
            line = {"source": source, "seconds": seconds, "seed": seed, "method": method, "what": what}
            line |= {"valid": valid, "test": test, "took": took, "images": len(labels), "milliseconds": spent}
            with asked.results.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{source} {seconds:g} s {method}: {what}, validation {valid:.1f}, test {test:.1f}", flush=True)


def load(path: Path, place: Path, seed: int):  # type: ignore[no-untyped-def]
    """A source as a task; a file of encoded images is decoded first."""
    from databases.datasets.blobs import arrays_of
    from databases.datasets.loading import load_task

    with np.load(path) as file:
        if "blobs" in file.files:
            path = place / path.name
            np.savez(path, **arrays_of(file))  # type: ignore[arg-type]
    return load_task(path, up_to=UP_TO, seed=seed)


# long, since a way is a few lines, and all of them stand side by side
def ways() -> dict[str, Callable]:  # type: ignore[type-arg]
    """Method -> (task, seconds, seed, folder) -> classifier, validation accuracy, what it was."""
    from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
    from metad2a.recommend.pipeline_cost import limits_here
    from metad2a.search.pipelines.search import search_pipelines
    from metad2a.train.pipeline import Effort, begin_of, choose_augment, probe_pipeline, tune_pipeline

    def probed(pipeline: Pipeline) -> Callable:  # type: ignore[type-arg]
        def way(task, seconds, seed, place):  # type: ignore[no-untyped-def]
            chosen = pipeline
            if pipeline.weights == "lite0" and task.resolution >= UP_TO:
                chosen = Pipeline("lite0", UP_TO, "probe")
            found = probe_pipeline(chosen, task)
            return found.classifier, found.valid_accuracy, str(chosen)

        return way

    def tuned(text: str) -> Callable:  # type: ignore[type-arg]
        def way(task, seconds, seed, place):  # type: ignore[no-untyped-def]
            pipeline, begun = PIPELINE.pipeline(PIPELINE.parse(text)), time.process_time()
            augment, _ = choose_augment("auto", task)  # the same freedom for all
            begin = begin_of(pipeline, task, seed=seed)
            effort = Effort(seconds=seconds - (time.process_time() - begun), augment=augment, seed=seed)
            done = tune_pipeline(pipeline, task, effort, begin=begin)
            return done.classifier, done.valid_accuracy, text

        return way

    def searched(prefer: Literal["accuracy", "latency"]) -> Callable:  # type: ignore[type-arg]
        def way(task, seconds, seed, place):  # type: ignore[no-untyped-def]
            folder = place / f"run-{prefer}-{seconds}-{seed}"  # nothing is known from before
            limits, cache = limits_here(None, None, None, prefer=prefer), place / f"features-{prefer}"
            found = search_pipelines(task, seconds=seconds, seed=seed, limits=limits, folder=folder, cache=cache)
            training, card = found.exported.training, found.exported.card
            made = card.classifier(training.network)
            return made, found.valid_accuracy, str(found.best)

        return way

    def cells(task, seconds, seed, place):  # type: ignore[no-untyped-def]
        """The best cell that training from nothing finds, as `search --space nasbench201` does it."""
        from databases.records.store import Store
        from metad2a.recommend.model import load as load_model
        from metad2a.search.search import search

        begun, model = time.monotonic(), load_model()
        folder = place / f"cells-{seconds}-{seed}"
        with Store(place / f"{folder.name}.db") as store:
            found = search(model, task, store=store, seconds=seconds, seed=seed, folder=folder, begun=begun)
        training, card = found.exported.training, found.exported.card
        made = card.classifier(training.network)
        return made, found.valid_accuracy, str(found.best)

    return {
        "cells": cells,
        "hog": probed(Pipeline("hog", 64, "probe")),
        "own probe": probed(Pipeline("own", 32, "probe")),
        "lite0 probe": probed(Pipeline("lite0", 64, "probe")),
        "scratch": tuned("scratch 32px rate0.1 whole"),
        "fixed default": tuned(FIXED),
        "fast": searched("latency"),
        "ours": searched("accuracy"),
    }


def milliseconds(classifier, image) -> float:  # type: ignore[no-untyped-def]
    """CPU time for one (1, h, w, c) image."""
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        classifier.logits(image)
        times.append(1_000 * (time.process_time() - begin))
    return min(times)  # other work on the machine only adds


def read(path: Path) -> list[dict]:  # type: ignore[type-arg]
    """What is done so far; a line that a kill cut short does not count."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def same(each: dict, source: str, seconds: float, seed: int) -> bool:  # type: ignore[type-arg]
    """Whether a result is of that source, budget and seed."""
    return (each["source"], each["seconds"], each["seed"]) == (source, seconds, seed)


def table(path: Path) -> None:
    """Mean test accuracy over the seeds by source and budget, the mean over sources, and what ours is above each rival.

    The latter with 95% intervals over sources.
    """
    from metad2a.reports.publish import markdown_table
    from predictors.metrics import bootstrap_interval

    cells: dict[tuple[float, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in read(path):
        cells[each["seconds"], each["source"]][each["method"]].append(each["test"])
    lines: list[tuple[str, ...]] = []
    totals: dict[float, list[list[float]]] = defaultdict(list)
    for (seconds, source), found in sorted(cells.items()):
        means = [float(np.mean(found[method])) if method in found else float("nan") for method in METHODS]
        totals[seconds].append(means)
        lines.append((f"{seconds:g}", source, *(f"{each:.1f}" if np.isfinite(each) else "" for each in means)))
    for seconds, rows in totals.items():
        columns = ([each for each in column if np.isfinite(each)] for column in zip(*rows, strict=True))
        shown = (f"{np.mean(column):.1f}" if column else "" for column in columns)
        lines.append((f"{seconds:g}", f"mean of {len(rows)}", *shown))
    print(*markdown_table(("seconds", "source", *METHODS), lines), sep="\n")
    for seconds, rows in totals.items():
        for method, theirs in zip(METHODS[:-1], zip(*rows, strict=True), strict=False):
            above = np.array([row[-1] - value for row, value in zip(rows, theirs, strict=True)])
            above = above[np.isfinite(above)]
            if not len(above):
                continue
            found = bootstrap_interval(above)
            told = f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}], at worst {above.min():+.1f}"
            print(f"ours above {method} at {seconds:g} s: {told}")
    saved(read(path))


def saved(lines: Iterable[dict]) -> None:  # type: ignore[type-arg]
    """What is lost and saved by the preference for speed beside the whole network, always taken."""
    from predictors.metrics import bootstrap_interval

    pairs = defaultdict(dict)
    for each in lines:
        if each["method"] in ("fast", "fixed default") and "milliseconds" in each:
            pairs[each["seconds"], each["source"], each["seed"]][each["method"]] = each
    for seconds in sorted({key[0] for key in pairs}):
        both = [(key[1], pair) for key, pair in pairs.items() if key[0] == seconds and len(pair) == 2]
        for name, told in (("test", "points more"), ("milliseconds", "of the milliseconds for an image")):
            rows = [(pair["fast"][name], pair["fixed default"][name]) for _, pair in both]
            values = [a - b if name == "test" else a / b for a, b in rows]
            if values:
                found = bootstrap_interval(np.array(values), [source for source, _ in both])
                shown = f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
                print(f"fast beside fixed default at {seconds:g} s, {len(both)} pairs: {shown} {told}")


if __name__ == "__main__":
    main()
