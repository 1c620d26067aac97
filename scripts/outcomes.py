"""Prints how well the outcome of a fine-tuning is foretold, on image sources that the model was learnt without.

    python scripts/outcomes.py

Mean absolute error in points, width of the 80% interval and how often it holds, each source counting alike; beside it
what two simple rivals err: that fine-tuning adds nothing to the probe, and that it adds the mean of all others.
"""

from __future__ import annotations

import argparse

import numpy as np

from metad2a.recommend.chances import outcomes
from predictors.metrics import bootstrap_interval
from predictors.outcome import Example, OutcomeModel
from predictors.scale import to_logit, to_percent


def main() -> None:
    """One row a source, then their mean with its 95% interval over sources."""
    model = outcomes()
    print(f"{len(model.examples)} fine-tunings, {len(model.sources)} sources")
    print("| source | trainings | error | width | inside | probe alone | mean gain |\n|---|---|---|---|---|---|---|")
    rows = []
    for source in model.sources:
        mine = [each for each in model.examples if each.source == source]
        found = judged(model.without(source), mine).mean(0)
        rows.append(found)
        shown = " | ".join(f"{value:.2f}" for value in found)
        print(f"| {source} | {len(mine)} | {shown} |")
    for name, values in zip(("error", "width", "inside", "probe alone", "mean gain"), np.array(rows).T, strict=True):
        interval = bootstrap_interval(values, model.sources)
        print(f"{name}: {values.mean():.2f} [{interval.low:.2f}, {interval.high:.2f}]")


def judged(model: OutcomeModel, asked: list[Example]) -> np.ndarray:
    """(n, 5): error, width, whether it was inside, and the errors of the rivals."""
    begun = [to_logit([each.looked.probe(each.pipeline) or 0.0])[0] for each in model.examples]
    gains = to_logit([each.accuracy for each in model.examples]) - np.array(begun)
    rows = []
    for each in asked:
        told = model.expect(each.looked, [(each.pipeline, each.steps)])
        probe = each.looked.probe(each.pipeline) or 0.0
        usual = float(to_percent(to_logit([probe]) + gains.mean())[0])
        mean, low, high = float(told.mean[0]), float(told.low[0]), float(told.high[0])
        error = abs(mean - each.accuracy)
        rivals = abs(probe - each.accuracy), abs(usual - each.accuracy)
        rows.append((error, high - low, float(low <= each.accuracy <= high), *rivals))
    return np.array(rows)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
