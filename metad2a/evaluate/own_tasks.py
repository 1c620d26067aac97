"""How well held-out own tasks are predicted: order, regret, level, intervals, and what is unlike; rivals beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from databases.datasets.sampler import TaskSpec, build_task
from databases.records.episodes import Episode
from databases.records.recipe import recipe as named_recipe
from databases.records.store import Store
from metad2a.retrain.held_out import HeldOut, conformal_factors, tau
from predictors import rivals
from predictors.meta import to_logit, to_percent
from predictors.metrics import bootstrap_interval, kendall_tau, regret, spearman
from predictors.task_distance import KnownTasks

Values = npt.NDArray[np.float64]
FEWEST_JUDGED = 0.4  # a task whose ceiling is lower tells little about a ranking


def own_tasks(
    held_out: Sequence[HeldOut], own: Sequence[Episode], naswot: Mapping[str, Values] | None = None
) -> dict[str, Any]:
    """Every figure of leave-one-source-out over the own tasks; without ``naswot`` two rivals are left out."""
    rows = [_row(each, own, naswot) for each in held_out]
    judged = [row for row in rows if (row["tau noise ceiling"] or 0) >= FEWEST_JUDGED]
    return {
        "tau": _table(rows, "tau "),
        "paired": _paired(rows, "tau ", sign=1),
        "judged tasks": {"tau": _table(judged, "tau "), "paired": _paired(judged, "tau ", sign=1), **_share(judged)},
        "regret of the first pick": _table(rows, "regret 1 "),
        "regret of the first pick, paired": _paired(rows, "regret 1 ", sign=-1),
        "regret of the best of three": _table(rows, "regret 3 "),
        "regret of the best of three, paired": _paired(rows, "regret 3 ", sign=-1),
        "error of the median cell": _table(rows, "level error "),
        "error of the median cell, paired": _paired(rows, "level error ", sign=-1),
        "error of best minus median": _table(rows, "gain error "),
        "error of best minus median, paired": _paired(rows, "gain error ", sign=-1),
        **intervals(held_out),
        "unlike": unlike(held_out, own),
        "tasks": rows,
    }


def _row(each: HeldOut, own: Sequence[Episode], naswot: Mapping[str, Values] | None) -> dict[str, Any]:
    """One task's figures, over the cells that every ranking knows; regrets and errors in points."""
    episode, others = each.episode, [other for other in own if other.family != each.episode.family]
    rankings = {
        "ours": each.mean,
        "ours without the dataset": each.no_dataset,
        "ours, datasets swapped": each.swapped,
        "best on average": each.average,
        "nearest task's": rivals.copied_ranking(episode, others),
        "parameters": rivals.parameters_of(episode),
    }
    if naswot is not None:
        rankings["forest without the dataset"] = rivals.forest_ranking(episode, others, naswot)
        rankings["naswot"] = naswot[episode.features.fingerprint]
    among = np.logical_and.reduce([np.isfinite(values) for values in rankings.values()])
    row: dict[str, Any] = {"task": episode.features.name, "source": episode.family, "cells": int(among.sum())}
    row |= {f"tau {name}": tau(values, episode, among) for name, values in rankings.items()}
    row["tau noise ceiling"] = ceiling(episode)
    row["seeds"] = int(np.isfinite(episode.by_seed).sum(1).min())
    row["spread"], row["noise"] = float(episode.accuracy.std()), noise(episode)
    for name, values in rankings.items():
        if name != "ours, datasets swapped":
            row[f"regret 1 {name}"] = regret(values[among], episode.accuracy[among])
            row[f"regret 3 {name}"] = best_of(values[among], episode.accuracy[among], 3)
    return row | _level_errors(each, others)


def _level_errors(each: HeldOut, others: Sequence[Episode]) -> dict[str, float]:
    """Absolute errors, in points, of the median cell's accuracy and of best minus median."""
    true = rivals.level_and_gain(each.episode)
    guesses = {
        "ours": (float(np.median(to_percent(each.mean))), each.gain),
        "nearest task's": rivals.level_and_gain(rivals.nearest_first(each.episode, others)[0]),
        "linear in images, classes, channels": rivals.linear_levels(each.episode, others),
    }
    found = {}
    for name, guess in guesses.items():
        for what, value, right in zip(("level", "gain"), guess, true, strict=True):
            found[f"{what} error {name}"] = abs(value - right)
    return found


def best_of(predicted: Values, true: Values, picks: int) -> float:
    """What the best of the first ``picks`` lacks of the best of all."""
    order = np.argsort(-predicted, kind="stable")[:picks]
    return float(true.max() - true[order].max())


def intervals(held_out: Sequence[HeldOut]) -> dict[str, Any]:
    """Coverage and width of the intervals that the other sources calibrate."""
    sources = [each.episode.family for each in held_out]
    covered: dict[str, list[float]] = {"80": [], "95": []}
    widths: dict[str, list[float]] = {"80": [], "95": []}
    for each in held_out:
        others = [other for other in held_out if other.episode.family != each.episode.family]
        for level, factor in conformal_factors(others).items():
            residual = np.abs(to_logit(each.episode.accuracy) - each.mean)
            covered[level].append(float((residual <= factor * each.std).mean()))
            low, high = (to_percent(each.mean + sign * factor * each.std) for sign in (-1, 1))
            widths[level].append(float((high - low).mean()))
    return {
        "coverage": {level: interval(values, sources) for level, values in covered.items()},
        "width of the interval, points": {level: interval(values, sources) for level, values in widths.items()},
    }


def unlike(held_out: Sequence[HeldOut], own: Sequence[Episode]) -> dict[str, Any]:
    """Share of held-out sources called unlike anything learnt, and whether distance tells the rank error.

    Each family is judged by the places and the limit that the other families give.
    """
    alarms: dict[str, list[bool]] = {}
    distances, errors = [], []
    for each in held_out:
        others = [other for other in own if other.family != each.episode.family]
        known = KnownTasks.learn([other.features for other in others], [other.family for other in others])
        nearest, far = known.nearest(each.episode.features, count=1)
        alarms.setdefault(each.episode.family, []).append(far)
        distances.append(nearest[0].distance)
        errors.append(1 - tau(each.mean, each.episode))
    return {
        "false alarms": interval([float(np.mean(each)) for each in alarms.values()], list(alarms)),
        "Spearman of distance and rank error": spearman(distances, errors),
    }


def ceiling(episode: Episode) -> float:
    """Mean tau of one training seed against another; NaN for tasks measured once."""
    seeds = episode.by_seed[np.isfinite(episode.by_seed).all(1)].T
    pairs = [kendall_tau(a, b) for i, a in enumerate(seeds) for b in seeds[:i]] if len(seeds) > 1 else []
    return float(np.mean(pairs)) if pairs else float("nan")


def noise(episode: Episode) -> float:
    """Standard deviation between seeds, in points; NaN for tasks measured once."""
    rows = episode.by_seed[np.isfinite(episode.by_seed).sum(1) > 1]
    return float(np.sqrt(np.nanvar(rows, axis=1, ddof=1).mean())) if len(rows) else float("nan")


def naswot_scores(store: Store, own: Sequence[Episode], *, images: Path, cache: Path, recipe: str) -> dict[str, Values]:
    """Naswot of each task's cells, by the task's fingerprint; ``cache`` keeps them."""
    found = {}
    for each in own:
        entry = store.task(each.features.fingerprint)
        assert entry is not None
        task = build_task(TaskSpec.from_json(entry.spec), images)
        found[each.features.fingerprint] = rivals.naswot_of(task, each, named_recipe(recipe), cache=cache)
    return found


def _names(rows: Sequence[dict[str, Any]], kind: str) -> list[str]:
    return [name[len(kind) :] for name in (rows[0] if rows else {}) if name.startswith(kind)]


def _table(rows: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The mean over tasks of each column of a kind."""
    sources = [row["source"] for row in rows]
    return {name: interval([row[kind + name] for row in rows], sources) for name in _names(rows, kind)}


def _paired(rows: Sequence[dict[str, Any]], kind: str, *, sign: int) -> dict[str, Any]:
    """Ours against every other column, task by task: above zero is better."""
    sources = [row["source"] for row in rows]
    return {
        f"against {name}": interval([sign * (row[kind + "ours"] - row[kind + name]) for row in rows], sources)
        for name in _names(rows, kind)
        if name not in ("ours", "noise ceiling")
    }


def _share(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The share of the way from the best rival to a perfect predictor that ours goes, over the tasks' means."""
    means = {name: float(np.mean([row[f"tau {name}"] for row in rows])) for name in _names(rows, "tau ")}
    others = {name: value for name, value in means.items() if not name.startswith(("ours", "noise"))}
    if not others:
        return {}
    best = max(others, key=others.__getitem__)
    perfect = float(np.mean([perfect_tau(row["tau noise ceiling"], row["seeds"]) for row in rows]))
    share = (means["ours"] - others[best]) / (perfect - others[best])
    return {"best rival": best, "perfect predictor": perfect, "share of the way to it": float(share)}


def perfect_tau(between_seeds: float, seeds: int) -> float:
    """Tau of a predictor that knows the truth against the mean of ``seeds`` runs, from tau of one run and another.

    For normal values tau is 2 / pi asin(r) (Greiner, 1909); the mean of k runs has the reliability
    k r / (1 + (k - 1) r) (Spearman, 1910; Brown, 1910), and the truth correlates with it by its root.
    """
    r = np.sin(np.pi / 2 * np.clip(between_seeds, 0.0, 1.0))
    reliability = seeds * r / (1 + (seeds - 1) * r)
    return float(2 / np.pi * np.arcsin(np.sqrt(reliability)))


def interval(values: Sequence[float], sources: Sequence[str]) -> dict[str, float]:
    """Mean and 95% bootstrap interval by source over the finite values; bounds NaN for fewer than two sources."""
    kept = [(value, source) for value, source in zip(values, sources, strict=True) if np.isfinite(value)]
    if len({source for _, source in kept}) < 2:
        mean = float(np.mean([value for value, _ in kept])) if kept else float("nan")
        return {"mean": mean, "low": float("nan"), "high": float("nan"), "tasks": len(kept)}
    found = bootstrap_interval([value for value, _ in kept], [source for _, source in kept])
    return {**found.to_json(), "tasks": len(kept)}
