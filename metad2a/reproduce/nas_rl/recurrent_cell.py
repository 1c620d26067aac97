"""A recurrent cell found by search on real text, against the tanh cell and the LSTM at equal numbers of parameters.

Children of the search are trained shortly at word level; the best few of each searcher are trained fully and one
is chosen, by validation. Only then are all cells trained from several seeds, at word and at character level, and
the test part is opened.
"""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from databases.architectures.space import Architecture, space
from databases.datasets.text import LEVELS, Text, python_topics
from metad2a.reports.report import Curve, Table, Verdict, judged, paired, ratio, with_interval
from metad2a.reproduce.demonstration import Context
from metad2a.search.loop import run
from metad2a.train.language import LanguageRecipe, cross_entropy, maker, train

SPACE = "nas-rl-recurrent"
SEARCHERS = {"REINFORCE": "reinforce", "random": "random"}
FOUND, RANDOM, CONTROL = "found by REINFORCE", "found by random search", "median random cell (control)"
TANH, LSTM = "tanh cell", "LSTM"
RIVALS = {TANH: "tanh", LSTM: "lstm"}
WITHIN = 1.02  # times an LSTM's perplexity
WORD = LanguageRecipe(epochs=3, learning_rate=0.03)
CHARACTER = LanguageRecipe(epochs=1.5, learning_rate=0.03, steps=40)


@dataclass(frozen=True)
class CellSize:
    """How much is run.

    Attributes:
        children: of each searcher, trained for ``epochs``. finalists: of each, trained fully before one is chosen.
        seeds: of the last trainings. share: of their epochs. tokens: of the training part that are used, None for
            all; a quarter as many of the others.
    """

    children: int = 40
    epochs: float = 0.5
    finalists: int = 3
    seeds: int = 5
    share: float = 1.0
    tokens: int | None = None

    def text(self, level: str) -> Text:
        """Python's topics, or their beginning."""
        text, few = python_topics(level), None if self.tokens is None else self.tokens // 4
        return replace(text, train=text.train[: self.tokens], valid=text.valid[:few], test=text.test[:few])

    def recipe(self, level: str) -> LanguageRecipe:
        """Of the full trainings at a level."""
        full = WORD if level == "word" else CHARACTER
        return replace(full, epochs=full.epochs * self.share)


FAST_CELLS = CellSize(children=3, epochs=0.5, finalists=1, seeds=2, share=0.3, tokens=4000)


@dataclass(frozen=True)
class Job:
    """One full training; ``kept`` is the folder where it goes on after a kill."""

    label: str
    cell: str
    level: str
    seed: int
    size: CellSize
    kept: Path | None
    open_test: bool = False


@dataclass(frozen=True)
class Trained:
    """Nats per token, and the size of what was trained. test: nan where it was not opened."""

    valid: float
    test: float
    width: int
    parameters: int
    seconds: float


def fully(job: Job) -> tuple[Job, Trained]:
    """Trains one cell; opens the test part only where the job says so."""
    text, recipe = job.size.text(job.level), job.size.recipe(job.level)
    kept = _checkpoint(job.kept, job.cell, job.level, job.size.tokens, recipe, job.seed)
    done = train(maker(job.cell), text, recipe, seed=job.seed, checkpoint=kept)
    test = cross_entropy(done.model, text.test) if job.open_test else math.nan
    return job, Trained(done.valid, test, done.width, done.parameters, done.seconds)


def _checkpoint(folder: Path | None, *told: object) -> Path | None:
    """The file of a training that is told by these values; the text is of the running Python."""
    digest = hashlib.sha256(repr((platform.python_version(), *told)).encode()).hexdigest()
    return None if folder is None else folder / f"{digest[:16]}.checkpoint"


def search(job: tuple[str, int, CellSize, Path | None]) -> tuple[str, list[tuple[str, float]]]:
    """Runs one searcher; returns each child's cell and validation loss, in order."""
    from metad2a.search.controllers import controller

    name, seed, size, folder = job
    text, recipe = size.text("word"), replace(WORD, epochs=size.epochs)
    uniform = math.log(len(text.vocabulary))

    def valid(cell: str) -> float:
        kept = _checkpoint(folder, cell, "word", size.tokens, recipe, seed)
        return train(maker(cell), text, recipe, seed=seed, checkpoint=kept).valid

    def saved(architectures: Sequence[Architecture]) -> list[float]:
        """Percent of a uniform guess's nats that the child saves."""
        return [100 * (1 - valid(_cell(each)) / uniform) for each in architectures]

    searcher = controller(SEARCHERS[name], space(SPACE), seed=seed)
    done = run(searcher, saved, trials=size.children, batch=min(10, size.children))
    losses = [uniform * (1 - score / 100) for score in done.scores]
    return name, list(zip(map(_cell, done.architectures), losses, strict=True))


def show_cells(context: Context) -> tuple[tuple[Table, ...], tuple[Verdict, ...], tuple[Curve, ...], dict[str, Any]]:
    """The tables, verdicts, curves of the search and figures."""
    size = FAST_CELLS if context.fast else CellSize()
    searches = [(name, context.seed, size, context.trainings) for name in SEARCHERS]
    searched = dict(context.run(search, searches))
    context.say(f"recurrent cells: {size.children} children of each searcher trained")
    cells = _choose(searched, size, context)
    jobs = [
        Job(label, cell, level, seed, size, context.trainings, open_test=True)
        for level in LEVELS
        for label, cell in cells.items()
        for seed in context.seeds(size.seeds)
    ]
    done: dict[tuple[str, str], dict[int, Trained]] = {}
    for job, trained in context.run(fully, jobs):
        done.setdefault((job.level, job.label), {})[job.seed] = trained
    context.say(f"recurrent cells: {len(jobs)} full trainings, test part opened")
    tables = [_search_table(searched, cells)]
    verdicts: list[Verdict] = []
    figures: dict[str, Any] = {"python": platform.python_version(), "cells": cells, "search": searched}
    for level in LEVELS:
        of_level = {label: [done[level, label][seed] for seed in sorted(done[level, label])] for label in cells}
        ratios = {label: _ratios(of_level, label) for label in cells}
        tables.append(_level_table(level, of_level, ratios))
        verdicts += _verdicts(level, ratios)
        figures[level] = {
            label: {"ratios": ratios[label], "trainings": [vars(each) for each in of_level[label]]} for label in cells
        }
    return tuple(tables), tuple(verdicts), _curves(searched), figures


def _choose(searched: dict[str, list[tuple[str, float]]], size: CellSize, context: Context) -> dict[str, str]:
    """Label -> cell: the finalist of each searcher that is best by validation, the median random cell, the rivals."""
    jobs = [
        Job(name, cell, "word", context.seed + 100, size, context.trainings)
        for name, children in searched.items()
        for cell, _ in sorted(children, key=lambda each: each[1])[: size.finalists]
    ]
    done = [(trained.valid, job) for job, trained in context.run(fully, jobs)]
    best = {
        name: min((each for each in done if each[1].label == name), key=lambda each: each[0])[1].cell
        for name in searched
    }
    children = sorted(searched["random"], key=lambda each: each[1])
    median = children[len(children) // 2][0]
    return {FOUND: best["REINFORCE"], RANDOM: best["random"], CONTROL: median, **RIVALS}


def _ratios(of_level: dict[str, list[Trained]], label: str) -> dict[str, dict[str, float]]:
    """Test perplexity over that of each rival, paired by seed, with the bootstrap 95% interval of the log."""
    ours = [each.test for each in of_level[label]]
    found = {}
    for rival in RIVALS:
        found[rival] = ratio(paired(ours, [each.test for each in of_level[rival]]))
    return found


def _cell(architecture: Architecture) -> str:
    return f"{SPACE}: {architecture}"


def _short(cell: str) -> str:
    return cell.removeprefix(f"{SPACE}: ")


def _search_table(searched: dict[str, list[tuple[str, float]]], cells: dict[str, str]) -> Table:
    rows = []
    for name, chosen in (("REINFORCE", cells[FOUND]), ("random", cells[RANDOM])):
        perplexity = np.exp([loss for _, loss in searched[name]])
        half = len(perplexity) // 2
        rows.append(
            (
                name,
                str(len(perplexity)),
                *(f"{np.median(part):.1f}" for part in (perplexity[:half], perplexity[half:])),
                f"{perplexity.min():.1f}",
                _short(chosen),
            )
        )
    rows.append(("control", "", "", "", "", _short(cells[CONTROL])))
    headings = ("Searcher", ">Children", ">First half, median", ">Second half", ">Best", "Chosen cell")
    return Table("Search of a recurrent cell: validation perplexity of short trainings", headings, tuple(rows))


def _level_table(level: str, of_level: dict[str, list[Trained]], ratios: dict[str, Any]) -> Table:
    rows = tuple(
        (
            label,
            f"{trained[0].parameters:,}",
            *(_measure(level, [getattr(each, part) for each in trained]) for part in ("valid", "test")),
            *("" if label == rival else with_interval(ratios[label][rival], ".3f") for rival in RIVALS),
        )
        for label, trained in of_level.items()
    )
    unit, seeds = "perplexity" if level == "word" else "bits a character", len(next(iter(of_level.values())))
    return Table(
        f"Python's topics at {level} level: {unit}, mean of {seeds} seeds; perplexity over a rival's, paired [95%]",
        ("Cell", ">Parameters", ">Valid", ">Test", ">Over tanh", ">Over LSTM"),
        rows,
    )


def _measure(level: str, nats: Sequence[float]) -> str:
    return f"{math.exp(np.mean(nats)):.2f}" if level == "word" else f"{np.mean(nats) / math.log(2):.3f}"


def _verdicts(level: str, ratios: dict[str, dict[str, dict[str, float]]]) -> tuple[Verdict, Verdict]:
    tanh, lstm = ratios[FOUND][TANH], ratios[FOUND][LSTM]
    return (
        judged(
            f"{level} level: the found cell is better than the tanh cell at equal parameters",
            "perplexity ratio's interval below 1",
            tanh,
            below=1,
            form=".3f",
            learnt=True,
        ),
        judged(
            f"{level} level: the found cell is within 2% of an LSTM's perplexity at equal parameters",
            f"ratio's interval below {WITHIN}",
            lstm,
            below=WITHIN,
            form=".3f",
            learnt=True,
        ),
    )


def _curves(searched: dict[str, list[tuple[str, float]]]) -> tuple[Curve, ...]:
    found = []
    for name, children in searched.items():
        best = tuple(np.exp(np.minimum.accumulate([loss for _, loss in children])).tolist())
        found.append(Curve(name, tuple(map(float, range(1, len(best) + 1))), best, best, best))
    return tuple(found)
