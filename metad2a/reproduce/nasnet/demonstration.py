"""NASNet (Zoph, Vasudevan, Shlens, Le, 2018): cells searched on one small image set, used on another."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import image_space
from databases.architectures.spaces.nasnet import NASNET_A
from databases.datasets.task import TRAIN, Task
from metad2a.reports.report import Curve, Panel, Report, Table, Verdict, judged, undecided, with_interval
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.nasnet.transferred_cells import (
    BEST,
    FAST,
    LUCKY,
    RANDOM,
    RECIPE,
    WORST,
    Found,
    Size,
    Values,
    image_sets,
    searches,
    transfer,
)
from metad2a.search import loop

PUBLISHED = 3.3e6  # parameters of NASNet-A (6 @ 768) on CIFAR-10: 6 cells a stage, 32 filters in the first
LARGE = Skeleton(channels=32, cells=6, input_channels=3, classes=10)


def run(context: Context) -> Report:
    """Searches on one set; trains the best and the worst of each search and random cells on the other."""
    size = FAST if context.fast else Size()
    first, second = image_sets(context)
    searched = searches(first, size, context)
    found = transfer(searched, second, size, context)
    valid = {role: [each.valid()[role] for each in searched] for role in (BEST, LUCKY, WORST)}
    gain, control = found.above(BEST), found.above(WORST)
    return Report(
        system="nasnet",
        source="Zoph, Vasudevan, Shlens, Le, 2018 (CVPR)",
        setting=_setting(size, first, second),
        tables=(_transfer_table(found, valid, first, second), _size_table()),
        verdicts=(*_verdicts(gain, control), _size_verdict()),
        panels=(_panel(found, second),),
        figures={
            "seeds": [each.seed for each in searched],
            "valid": valid,
            "test": {role: values.tolist() for role, values in found.test.items()},
            "parameters": found.size,
            "searched": [_measured(each.evolution) for each in searched],
            "drawn": [_measured(each.random) for each in searched],
            "best_less_median": gain,
            "worst_less_median": control,
            "random_search_less_median": found.above(LUCKY),
            "best_less_worst": found.best_above(WORST),
            "best_less_random_search": found.best_above(LUCKY),
            "share_of_random_beaten": float((found.test[BEST] > found.test[RANDOM]).mean()),
            "nasnet_a_parameters": _nasnet_a(),
        },
    )


def _setting(size: Size, first: Task, second: Task) -> str:
    images = int((first.parts == TRAIN).sum())
    return (
        f"{size.searches} searches on {first.name} by evolution ({size.trials} trainings each; of the best "
        f"{size.finalists} by validation, trained {size.retrainings} times more, the best by the mean), beside random "
        f"search with as many; their cells then trained on {second.name} ({size.tests} times each), each search's "
        f"beside {size.rivals} random cells of its own; intervals over searches; {RECIPE.channels} filters, "
        f"{RECIPE.cells} normal cell a stage, {RECIPE.resolution} px, {RECIPE.epochs} passes over about {images} images"
    )


def _measured(trace: loop.Trace) -> dict[str, float]:
    return {str(each): score for each, score in zip(trace.architectures, trace.scores, strict=True)}


def _transfer_table(found: Found, valid: dict[str, list[float]], first: Task, second: Task) -> Table:
    rows = [
        (
            role,
            f"{np.mean(valid[role]):.1f}",
            f"{found.test[role].mean():.1f}",
            with_interval(found.above(role), "+.1f"),
            f"{found.size[role]:,.0f}",
        )
        for role in (BEST, LUCKY, WORST)
    ]
    count, rivals = found.test[RANDOM].shape
    rows.append(
        (f"median of {rivals} random cells", "", f"{found.median.mean():.1f}", "0", f"{found.size[RANDOM]:,.0f}")
    )
    heads = ("Cell", ">Validation", ">Test", ">Test less the median", ">Parameters")
    title = (
        f"Accuracy in percent: validation on {first.name}, test on {second.name}; "
        f"means over {count} searches, differences paired by search"
    )
    return Table(title, heads, tuple(rows))


@cache
def _nasnet_a() -> int:
    """Parameters of the published cells at the published size."""
    space = image_space("nasnet")
    return space.parameters(space.parse(NASNET_A), LARGE)


def _size_table() -> Table:
    row = ("NASNet-A (6 @ 768), CIFAR-10", f"{_nasnet_a() / 1e6:.2f}M", f"{PUBLISHED / 1e6:.1f}M")
    title = "Rebuilt from its published genotype (its normal cell also concatenates an input again, ours does not)"
    return Table(title, ("Network", ">parameters", ">published"), (row,))


def _size_verdict() -> Verdict:
    off = _nasnet_a() / PUBLISHED - 1
    return Verdict("NASNet-A rebuilt has the published size", "within 10%", f"{100 * off:+.1f}%", abs(off) <= 0.1)


def _verdicts(gain: dict[str, float], control: dict[str, float]) -> list[Verdict]:
    """The claim and its control; two small searches can only show that nothing is broken."""
    claim, worst = (
        "a searched cell beats the median random cell on the other set",
        "control: the worst cell of a search does not",
    )
    shown, open_yet = _interval(control), undecided(control, 0)
    return [
        judged(claim, "interval above 0", gain, above=0, reached=_interval(gain)),
        Verdict(worst, "interval not above 0", shown, control["low"] <= 0, open_yet),
    ]


def _interval(found: dict[str, Any]) -> str:
    return f"{with_interval(found, '+.1f')} points"


def _panel(found: Found, second: Task) -> Panel:
    """Test accuracy of each search, its random cells as a bar."""
    places = tuple(float(i) for i in range(len(found.median)))
    low, middle, high = np.quantile(found.test[RANDOM], [0.0, 0.5, 1.0], axis=1)
    curves = [Curve("random cells (median, least and most)", places, *map(_plain, (middle, low, high)))]
    for role in (BEST, LUCKY, WORST):
        line = _plain(found.test[role][:, 0])
        curves.append(Curve(role, places, line, line, line))
    return Panel(f"Cells on {second.name}", "search", "test accuracy in percent", tuple(curves), joined=False)


def _plain(values: Values) -> tuple[float, ...]:
    return tuple(float(each) for each in values)


DEMONSTRATION = Demonstration(
    "nasnet", "A cell searched on one small image set transfers to another", "Zoph et al., 2018", run
)
