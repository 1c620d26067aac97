"""Prints how well the outcome of a fine-tuning is foretold, on image sources that the model was learnt without.

    python scripts/outcomes.py [DATABASE.csv.gz]

Of the shipped measurements, or of those that `metad2a database export` wrote. Mean absolute error in points, width of
the 80% interval and how often it holds, each source counting alike; beside it what two simple rivals err: that
fine-tuning adds nothing to the probe, and that it adds the mean of all others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from metad2a.recommend.chances import MEASURED, outcomes_of
from metad2a.reports.publish import markdown_table
from predictors.fine_tunings import Example
from predictors.metrics import bootstrap_interval
from predictors.outcome import OutcomeModel
from predictors.scale import to_logit, to_percent

FIGURES = ("error", "width", "inside", "probe alone", "mean gain")


def main() -> None:
    """One row a source, then their mean with its 95% interval over sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="?", default=MEASURED)
    model = outcomes_of(parser.parse_args().records)
    print(f"{len(model.examples)} fine-tunings, {len(model.sources)} sources")
    rows = []

    def row(source: str) -> tuple[object, ...]:
        mine = [each for each in model.examples if each.source == source]
        rows.append(judged(model.without(source), mine).mean(0))
        return source, len(mine), *(f"{value:.2f}" for value in rows[-1])

    for line in markdown_table(("source", "trainings", *FIGURES), map(row, model.sources)):
        print(line)
    for name, values in zip(FIGURES, np.array(rows).T, strict=True):
        interval = bootstrap_interval(values, model.sources)
        print(f"{name}: {values.mean():.2f} [{interval.low:.2f}, {interval.high:.2f}]")


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


if __name__ == "__main__":
    main()
