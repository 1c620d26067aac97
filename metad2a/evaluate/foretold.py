"""How well the outcome of a fine-tuning is foretold, on image sources that the model was learnt without.

Mean absolute error in points, width of the 80% interval and how often it holds, each source counting alike; beside it
what two simple rivals err: that fine-tuning adds nothing to the probe, and that it adds the mean of all others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metad2a.recommend.chances import outcomes_of
from metad2a.reports.report import Part, Table, Verdict, with_interval
from predictors.fine_tunings import Example
from predictors.metrics import bootstrap_interval
from predictors.outcome import OutcomeModel
from predictors.scale import to_logit, to_percent

COLUMNS = ("error", "width", "inside", "probe alone", "mean gain")
MOST_ERROR, MOST_WIDTH, COVERED = 4.0, 15.0, 0.8  # points, points, share
Figures = dict[str, dict[str, float]]


def foretold(file: Path) -> Part:
    """A row a source and their mean with its interval, of the fine-tunings in a file that `database export` wrote."""
    model, means = outcomes_of(file), dict[str, np.ndarray]()
    mine = {name: [each for each in model.examples if each.source == name] for name in model.sources}
    for source, examples in mine.items():
        means[source] = judged(model.without(source), examples).mean(0)
    rows = [(source, str(len(mine[source])), *(f"{value:.2f}" for value in means[source])) for source in mine]
    columns = zip(COLUMNS, np.array(list(means.values())).T, strict=True)
    found = {name: bootstrap_interval(values, list(means)).to_json() for name, values in columns}
    rows.append(("mean", str(len(model.examples)), *(with_interval(found[name], ".2f") for name in COLUMNS)))
    title = "What fine-tuning reaches, foretold for sources left out: points, and share inside of the 80% interval"
    headings = ("source", ">trainings", *(f">{name}" for name in COLUMNS))
    return Part(Table(title, headings, tuple(rows)), _verdicts(found), found)


def judged(model: OutcomeModel, asked: list[Example]) -> np.ndarray:
    """(n, 5), a row for each run: error, width, whether it was inside, and the errors of the rivals."""
    begun = [to_logit([each.looked.probe(each.pipeline) or 0.0])[0] for each in model.examples]
    gains = to_logit([each.accuracy for each in model.examples]) - np.array(begun)
    rows = []
    for each in asked:
        told = model.expect(each.looked, [(each.pipeline, each.steps)])
        probe = each.looked.probe(each.pipeline) or 0.0
        usual = float(to_percent(to_logit([probe]) + gains.mean())[0])
        mean, low, high = float(told.mean[0]), float(told.low[0]), float(told.high[0])
        for run in each.runs:
            rows.append((abs(mean - run), high - low, float(low <= run <= high), abs(probe - run), abs(usual - run)))
    return np.array(rows)


def _verdicts(found: Figures) -> tuple[Verdict, ...]:
    error, width, inside = (found[name] for name in COLUMNS[:3])
    shown = [with_interval(each, form) for each, form in ((error, ".2f"), (width, ".1f"), (inside, ".2f"))]
    return (
        Verdict("mean error of what is foretold", "at most 4 points", shown[0], error["mean"] <= MOST_ERROR),
        Verdict("mean width of the 80% interval", "at most 15 points", shown[1], width["mean"] <= MOST_WIDTH),
        Verdict("share inside", "interval holds 0.80", shown[2], inside["low"] <= COVERED <= inside["high"]),
    )
