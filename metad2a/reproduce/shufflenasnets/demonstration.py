"""ShuffleNASNets: cells in ShuffleNet's unit against cells in ENAS's frame, at equal parameters and at half as many.

Judged is the time that `metad2a device calibrate` takes too: of one image, channels last in memory, on one thread, the
networks of both frames and of the control in turn. The paper's networks have fewer parameters than ENAS's. At equal
ones a cell in ShuffleNet's unit is wider, since it has no 1x1 convolutions that fit its inputs; what it saves is their
calls, which count less the more images pass at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from databases.datasets.loading import load_task
from metad2a.reports.report import (
    Panel,
    Report,
    Table,
    Verdict,
    band,
    judged,
    not_refuted,
    paired,
    ratio,
    undecided,
    with_interval,
)
from metad2a.reproduce.demonstration import Context, Demonstration
from metad2a.reproduce.enas.children import RANDOM
from metad2a.reproduce.shufflenasnets.frames import (
    AGAIN,
    CHANNELS,
    DIGITS,
    ENAS,
    FAST,
    FRAMES,
    HALF,
    JUDGED,
    NAMES,
    SHUFFLE,
    SIDES,
    SIGNS,
    Job,
    Pair,
    Size,
    follow,
)
from predictors.metrics import median_interval

SOURCE = "Laube, Zell, 2018"
ASKED = 0.6  # of the time
REINFORCE = "reinforce"
POLICIES = {REINFORCE: "ENAS", "uniform": RANDOM}


def run(context: Context) -> Report:
    """Times of random cells, short trainings of some, and a search in each frame."""
    size = FAST if context.fast else Size()
    tasks = {DIGITS: load_task("sklearn:digits", as_stored=True)}
    if size.signs:
        tasks[SIGNS] = load_task(context.image_source("gtsrb"), resolution=SIDES[SIGNS], as_stored=True)
    seeds = context.seeds(size.cells)
    jobs = [Job(seed, size, tasks if place < size.trained else {}) for place, seed in enumerate(seeds)]
    jobs += [Job(seed, size, tasks, policy) for policy in POLICIES for seed in seeds[: size.searches]]
    done: dict[tuple[int, str], Pair] = {}
    for each in context.run(follow, jobs):
        done[each.number, each.search] = each
        context.say(f"pair {len(done)} of {len(jobs)}")
    found = [done[job.number, job.search] for job in jobs]
    random = [each for each in found if not each.search]
    searched = {policy: [each for each in found if each.search == policy] for policy in POLICIES}
    figures = _figures(random, searched[REINFORCE]) | {"search_above_random": _above_random(searched)}
    return Report(
        "shufflenasnets",
        SOURCE,
        f"{size.cells} random cells of each frame at equal parameters, {CHANNELS} channels in ENAS's; the processor's "
        f"time of a forward pass of one image of {size.px} px, channels last, on one thread, where not said; "
        f"{size.trained} pairs trained "
        f"for {size.epochs} passes over {' and '.join(tasks)}; {size.searches} searches in each frame by ENAS, and as "
        f"many that draw at random, on the digits, {size.steps} steps; published: half of the time",
        (
            _table("Random cells", random, again=True),
            _settings_table(random),
            *(_table(f"Cells found in each frame by the same search: {POLICIES[by]}", searched[by]) for by in POLICIES),
        ),
        _verdicts(figures, tuple(tasks)),
        (_panel(random),),
        {
            **figures,
            "time_ratios": {setting: _ratio(random, SHUFFLE, setting) for setting in random[0].passes},
            "seconds": {name: [each.seconds[name] for each in random] for name in NAMES},
            "parameters": {name: [each.parameters[name] for each in random] for name in NAMES},
        },
    )


def _figures(random: list[Pair], searched: list[Pair]) -> dict[str, Any]:
    return {
        "time_ratio": _ratio(random, SHUFFLE),
        "time_ratio_control": _ratio(random, AGAIN),
        "time_ratio_of_searches": _ratio(searched, SHUFFLE),
        "time_ratio_of_half": _ratio(random, HALF),
        "points": _points(random, SHUFFLE),
        "points_of_searches": _points(searched, SHUFFLE),
        "points_of_half": _points(random, HALF),
    }


def _verdicts(figures: dict[str, Any], images: tuple[str, ...]) -> tuple[Verdict, ...]:
    def faster(what: str, name: str, *, learnt: bool = False) -> Verdict:
        found, told = figures[name], with_interval(figures[name], ".2f")
        rule = f"median ratio at most {ASKED}"
        return Verdict(what, rule, told, found["mean"] <= ASKED, learnt or undecided(found, ASKED))

    def as_accurate(what: str, name: str) -> list[Verdict]:
        rule = "difference's interval holds 0 or is above"
        return [not_refuted(f"{what}: {each}", rule, figures[name][each], below=0, form="+.1f") for each in images]

    control = figures["time_ratio_control"]
    return (
        faster("random cells in ShuffleNASNet's frame need less time at equal parameters", "time_ratio"),
        Verdict(
            "two random cells of ENAS's frame need the same (control)",
            "median ratio's interval holds 1",
            with_interval(control, ".2f"),
            control["low"] <= 1 <= control["high"],
            undecided(control, 1),
        ),
        *as_accurate("and are as accurate after a short training", "points"),
        faster("found cells too need less time", "time_ratio_of_searches", learnt=True),
        *as_accurate("and are as accurate", "points_of_searches"),
        *(
            judged(f"ENAS's search finds better cells than random children as many: {each}", "> 0", above, above=0)
            for each, above in figures["search_above_random"].items()
        ),
        faster("with half of the parameters random cells need less time than ENAS's frame", "time_ratio_of_half"),
        *as_accurate("and are as accurate with half of them", "points_of_half"),
    )


def _ratio(found: list[Pair], name: str, setting: str = JUDGED) -> dict[str, float]:
    passes = [each.passes[setting] for each in found]
    return _of_logs([each[name] for each in passes], [each[ENAS] for each in passes])


def _points(found: list[Pair], name: str) -> dict[str, dict[str, float]]:
    """Image set -> points above ENAS's frame, of those that were trained."""
    tests = [each.test for each in found if each.test]
    return {
        images: paired([each[images][name] for each in tests], [each[images][ENAS] for each in tests])
        for images in tests[0]
    }


def _above_random(searched: dict[str, list[Pair]]) -> dict[str, dict[str, float]]:
    """Image set and frame -> points of what ENAS's search finds above what random search does, paired by seed."""
    ours, theirs = (searched[policy] for policy in POLICIES)
    return {
        f"{images}, {NAMES[name]}": paired(*([each.test[images][name] for each in some] for some in (ours, theirs)))
        for images in ours[0].test
        for name in FRAMES
    }


def _of_logs(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median ratio with its bootstrap interval."""
    return ratio(median_interval(np.log(ours) - np.log(theirs)).to_json())


def _table(title: str, found: list[Pair], *, again: bool = False) -> Table:
    tests = [each.test for each in found if each.test]
    rows = tuple(
        (
            title_of,
            f"{np.median([each.parameters[name] for each in found]):,.0f}",
            f"{1000 * np.median([each.seconds[name] for each in found]):.2f}",
            *(f"{np.mean([each[images][name] for each in tests]):.1f}" for images in tests[0]),
        )
        for name, title_of in NAMES.items()
    )
    if again:
        middle = f"{1000 * np.median([each.seconds[AGAIN] for each in found]):.2f}"
        rows += (("other cells of ENAS's frame (control)", "", middle, *("" for _ in tests[0])),)
    headings = (
        "Frame",
        ">Parameters (median)",
        ">ms (median)",
        *(f">Test accuracy, {each} (mean)" for each in tests[0]),
    )
    return Table(title, headings, rows)


def _settings_table(found: list[Pair]) -> Table:
    rows = tuple(
        (
            setting,
            *(f"{1000 * np.median([each.passes[setting][name] for each in found]):.2f}" for name in FRAMES),
            with_interval(_ratio(found, SHUFFLE, setting), ".2f"),
        )
        for setting in found[0].passes
    )
    headings = ("Setting", *(f">{NAMES[name]}, ms" for name in FRAMES), ">Median ratio [95%]")
    return Table("Random cells at equal parameters, by how images come (judged: the first)", headings, rows)


def _panel(found: list[Pair]) -> Panel:
    """Sorted times."""
    shares = np.linspace(0, 100, 21)
    curves = tuple(
        band(title, shares, [np.percentile([1000 * each.seconds[name] for each in found], shares)])
        for name, title in NAMES.items()
    )
    return Panel("Time of random cells", "percent of the cells", "ms at most", curves)


DEMONSTRATION = Demonstration("shufflenasnets", "ShuffleNASNets: cells that are fast by their frame", SOURCE, run)
