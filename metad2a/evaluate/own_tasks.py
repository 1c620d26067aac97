"""How well held-out own tasks are predicted: order, regret, level, intervals, and what is unlike; rivals beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from databases.datasets.sampler import TaskSpec, build_task
from databases.records.episodes import Episode
from databases.records.recipe import recipe as named_recipe
from databases.records.store import Store
from metad2a.evaluate.own_figures import (
    CEILING,
    OURS,
    SWAPPED,
    WITHOUT,
    Compared,
    OwnFigures,
    Share,
    TaskFigures,
    Told,
)
from metad2a.retrain.held_out import HeldOut, conformal_factors, tau
from predictors import rivals
from predictors.metrics import bootstrap_interval, kendall_tau, regret, spearman
from predictors.scale import to_logit, to_percent
from predictors.task_distance import KnownTasks

Values = npt.NDArray[np.float64]
NEAREST = "nearest task's"
FEWEST_JUDGED = 0.4  # a task whose ceiling is lower tells little about a ranking


def own_tasks(
    held_out: Sequence[HeldOut], own: Sequence[Episode], naswot: Mapping[str, Values] | None = None
) -> OwnFigures:
    """Every figure of leave-one-source-out over the own tasks; without ``naswot`` two rivals are left out."""
    tasks = [_figures(each, own, naswot) for each in held_out]
    judged = [each for each in tasks if each.ceiling >= FEWEST_JUDGED]
    coverage, width = intervals(held_out)
    alarms, distance = unlike(held_out, own)
    return OwnFigures(
        tau=compared(tasks, lambda each: each.taus, sign=1),
        judged=compared(judged, lambda each: each.taus, sign=1),
        share=share_of_the_way(judged),
        first_pick=compared(tasks, lambda each: each.first_pick, sign=-1),
        best_of_three=compared(tasks, lambda each: each.best_of_three, sign=-1),
        level=compared(tasks, lambda each: each.level, sign=-1),
        gain=compared(tasks, lambda each: each.gain, sign=-1),
        coverage=coverage,
        width=width,
        alarms=alarms,
        distance=distance,
        tasks=tuple(tasks),
    )


def _figures(each: HeldOut, own: Sequence[Episode], naswot: Mapping[str, Values] | None) -> TaskFigures:
    episode, others = each.episode, [other for other in own if other.family != each.episode.family]
    rankings = {
        OURS: each.mean,
        WITHOUT: each.no_dataset,
        SWAPPED: each.swapped,
        "best on average": each.average,
        NEAREST: rivals.copied_ranking(episode, others),
        "parameters": rivals.parameters_of(episode),
    }
    if naswot is not None:
        rankings["forest without the dataset"] = rivals.forest_ranking(episode, others, naswot)
        rankings["naswot"] = naswot[episode.features.fingerprint]
    among = np.logical_and.reduce([np.isfinite(values) for values in rankings.values()])
    picked = {name: values[among] for name, values in rankings.items() if name != SWAPPED}
    level, gain = _level_errors(each, others)
    return TaskFigures(
        task=episode.features.name,
        source=episode.family,
        cells=int(among.sum()),
        tau={name: tau(values, episode, among) for name, values in rankings.items()},
        ceiling=ceiling(episode),
        seeds=int(np.isfinite(episode.by_seed).sum(1).min()),
        spread=float(episode.accuracy.std()),
        noise=seed_noise(episode),
        first_pick={name: regret(values, episode.accuracy[among]) for name, values in picked.items()},
        best_of_three={name: regret_of_best(values, episode.accuracy[among], 3) for name, values in picked.items()},
        level=level,
        gain=gain,
    )


def _level_errors(each: HeldOut, others: Sequence[Episode]) -> tuple[dict[str, float], dict[str, float]]:
    """Absolute errors, in points, of the median cell's accuracy and of best minus median."""
    true = rivals.level_and_gain(each.episode)
    guesses = {
        OURS: (float(np.median(to_percent(each.mean))), each.gain),
        NEAREST: rivals.level_and_gain(rivals.nearest_first(each.episode, others)[0]),
        "linear in images, classes, channels": rivals.linear_levels(each.episode, others),
    }
    level, gain = ({name: abs(guess[i] - true[i]) for name, guess in guesses.items()} for i in (0, 1))
    return level, gain


def regret_of_best(predicted: Values, true: Values, picks: int) -> float:
    """What the best of the first ``picks`` lacks of the best of all, (n,) each, in the unit of ``true``."""
    order = np.argsort(-predicted, kind="stable")[:picks]
    return float(true.max() - true[order].max())


def intervals(held_out: Sequence[HeldOut]) -> tuple[dict[str, Told], dict[str, Told]]:
    """Coverage, and width in points, of intervals that the other sources calibrate, by their confidence in percent."""
    sources = [each.episode.family for each in held_out]
    covered: dict[str, list[float]] = {"80": [], "95": []}
    widths: dict[str, list[float]] = {"80": [], "95": []}
    for each in held_out:
        others = [other for other in held_out if other.episode.family != each.episode.family]
        for percent, factor in conformal_factors(others).items():
            residual = np.abs(to_logit(each.episode.accuracy) - each.mean)
            covered[percent].append(float((residual <= factor * each.std).mean()))
            low, high = (to_percent(each.mean + sign * factor * each.std) for sign in (-1, 1))
            widths[percent].append(float((high - low).mean()))
    found = (covered, widths)
    coverage, width = ({percent: interval(of, sources) for percent, of in each.items()} for each in found)
    return coverage, width


def unlike(held_out: Sequence[HeldOut], own: Sequence[Episode]) -> tuple[Told, float]:
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
    shares = interval([float(np.mean(each)) for each in alarms.values()], list(alarms))
    return shares, spearman(distances, errors)


def ceiling(episode: Episode) -> float:
    """Mean tau of one training seed against another; NaN for tasks measured once."""
    seeds = episode.by_seed[np.isfinite(episode.by_seed).all(1)].T
    pairs = [kendall_tau(a, b) for i, a in enumerate(seeds) for b in seeds[:i]] if len(seeds) > 1 else []
    return float(np.mean(pairs)) if pairs else float("nan")


def seed_noise(episode: Episode) -> float:
    """Standard deviation between seeds, in points; NaN for tasks measured once."""
    rows = episode.by_seed[np.isfinite(episode.by_seed).sum(1) > 1]
    return float(np.sqrt(np.nanvar(rows, axis=1, ddof=1).mean())) if len(rows) else float("nan")


def naswot_scores(store: Store, own: Sequence[Episode], *, images: Path, cache: Path, recipe: str) -> dict[str, Values]:
    """Naswot of each task's n cells, (n,), by the task's fingerprint; ``cache`` keeps them."""
    found = {}
    for each in own:
        entry = store.task(each.features.fingerprint)
        assert entry is not None
        task = build_task(TaskSpec.from_json(entry.spec), images)
        found[each.features.fingerprint] = rivals.naswot_of(task, each, named_recipe(recipe), cache=cache)
    return found


def compared(tasks: Sequence[TaskFigures], of: Callable[[TaskFigures], dict[str, float]], *, sign: int) -> Compared:
    """One figure of the tasks by ranking; ``sign`` -1 where less is better."""
    sources, found = [each.source for each in tasks], [of(each) for each in tasks]
    names = list(found[0]) if found else []
    mean = {name: interval([each[name] for each in found], sources) for name in names}
    others = [name for name in names if name not in (OURS, CEILING)]
    less = {name: [sign * (each[OURS] - each[name]) for each in found] for name in others}
    return Compared(mean, {name: interval(values, sources) for name, values in less.items()})


def share_of_the_way(tasks: Sequence[TaskFigures]) -> Share | None:
    """From the best rival to a perfect predictor, over the tasks' means; None without tasks."""
    if not tasks:
        return None
    means = {name: float(np.mean([each.tau[name] for each in tasks])) for name in tasks[0].tau}
    others = [name for name in means if name not in (OURS, WITHOUT, SWAPPED)]
    if not others:
        return None
    best = max(others, key=means.__getitem__)
    perfect = float(np.mean([perfect_tau(each.ceiling, each.seeds) for each in tasks]))
    return Share(best, perfect, float((means[OURS] - means[best]) / (perfect - means[best])))


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
