"""The model card: text made from a checkpoint's header and ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metad2a.evaluate.final_figures import OTHER, RIGHT, GeneratorFigures, HeldBack
from metad2a.evaluate.own_figures import LEVEL_ERROR, OURS, REGRETS, Compared, OwnFigures, Told
from metad2a.reports.publish import markdown_table
from metad2a.reports.report import with_interval

AS_WELL = {"percentile": 1.0, "Spearman": 0.01}  # a difference below this is none
TERMS = (
    "The image sources are subsets of public datasets whose terms differ (several: research or non-commercial use "
    "only, among them Tiny-ImageNet, DTD, the ELPV cells and scenes15). No image is shipped; weights and records "
    "derived from them are offered for research use."
)
WORDS = (
    "*tau*: Kendall's rank correlation of predicted and measured accuracies, 1 for the same order, 0 for chance.",
    "*own task*: a dataset whose cells this project trained itself, by the recipe named.",
    "*judged task*: an own task measured under several seeds, so that its order is known well enough to judge.",
    "*noise ceiling*: tau of one training seed against another: what no predictor can pass by much.",
    "*regret*: points of accuracy by which a pick is below the best measured cell.",
    "*right z, another task's z, zero z*: the generator told the dataset's own latent vector, a stranger's, or none.",
    "*opening*: a run of the final check, which looks at CIFAR-10 and MNIST; each is listed below.",
)


def model_card(header: dict[str, Any], figures: dict[str, Any]) -> str:
    """The model card in Markdown."""
    tasks = "; ".join(f"{recipe}: {count} tasks" for recipe, count in sorted(header["tasks"].items()))
    architectures = "; ".join(f"{r}: {count:,} measured" for r, count in sorted(header["architectures"].items()))
    return "\n".join(
        [
            "# Model card: the shipped meta-model",
            "",
            f"- Weights: sha256 {figures['weights']}..., seed {header['seed']}, evaluated {figures['date']}.",
            f"- Learnt from {tasks} ({architectures}).",
            "- Never seen in training or backbone: CIFAR-10, CIFAR-100, MNIST (images and tables). MNIST's digits",
            "  recur on photographs in MNIST-M, an own source: the row without relatives is of an unseen source.",
            "- The second training stage and the length of the first were changed after the first opening below, by",
            "  what they do on held-out cells of ImageNet16-120; landmarks, probes and the memory of the table (what",
            "  it says of a cell beyond the predictor, shrunk by its reliability) came after the second, the robust",
            "  estimate of that reliability after the fifth, chosen without CIFAR-10; so no later opening is a blind",
            "  test.",
            "- `reproduce` and `compare` show searches on CIFAR-10's table too; nothing was chosen by them.",
            "- What corrects the order by measured cells was chosen by CIFAR-100's table among others, which the",
            "  weights have not seen.",
            "- Probes, kernel and embedding of the own recipe were chosen among more than a hundred variants on the",
            "  held-out own tasks that are reported (the last, a linear part and what describes a cell's graph, on",
            "  NinaPro and Darcy Flow as well, after a forest had ranked the latter better): optimistic.",
            "- The frozen backbone was trained on Tiny-ImageNet only; so Tiny-ImageNet is never a held-out source.",
            "- Remade by `scripts/remake`.",
            f"- {TERMS}",
            "",
            "## Words",
            "",
            *(f"- {each}" for each in WORDS),
            "",
            "## Figures",
            "",
            *tables(figures),
            "",
            "## Openings of the final check",
            "",
            *openings(figures),
            "",
        ]
    )


def tables(figures: dict[str, Any]) -> Iterator[str]:
    """The figures as Markdown tables; of those that were left out the reason."""
    makers = {
        "own tasks": _own,
        "ablations": _ablations,
        "backbones": _backbones,
        "MetaD2A rows": _rows,
        "latency": _latency,
        "final": _final,
    }
    there = [name for name in makers if name in figures]
    for name in there:
        if name != there[0]:
            yield ""
        found = figures[name]
        if "skipped" in found:
            yield f"No figures of {name}: {found['skipped']}."
        else:
            yield from makers[name](found)


def _ablations(found: dict[str, Any]) -> Iterator[str]:
    yield (
        "Model families and parts, inside held-out own tasks: tau on all and on the judged tasks; regret of the "
        "first pick and of the best of three on all, in points."
    )
    yield ""
    kinds = list(next(iter(found.values())))
    rows = [(n, *(_interval(v[kind], 2 if kind in REGRETS else 3) for kind in kinds)) for n, v in found.items()]
    yield from markdown_table(("model", *kinds), rows)


def _backbones(found: dict[str, Any]) -> Iterator[str]:
    yield "What the frozen features are worth for a held-out task's level (the order looks at probes and pixels)."
    yield ""
    rows = [(name, _interval(found[name])) for name in map(LEVEL_ERROR.format, found) if name in found]
    yield from markdown_table(("features", "error of the level, logit"), rows)


def _rows(found: dict[str, Any]) -> Iterator[str]:
    yield f"MetaD2A's {found['rows']} validation rows of unseen tasks (every class recurs in training): Spearman."
    yield ""
    yield from markdown_table(("model", "Spearman"), [(n, f"{v:.3f}") for n, v in found["spearman"].items()])
    yield ""
    yield _rows_read(found["spearman"])


def _latency(found: dict[str, Any]) -> Iterator[str]:
    """The order of all cells on devices that nothing was known of before ten cells were timed there."""
    yield (
        f"Latency on HELP's held-out devices ({', '.join(found['held out'])}) after ten timings each: Spearman over "
        "all cells, mean over devices [95% interval over draws of the ten]."
    )
    yield ""
    kinds = found["mean Spearman"]
    names = list(next(iter(kinds.values())))
    rows = [(name, *(_interval(of[name]) for of in kinds.values())) for name in names]
    rows += [(name, *[f"{value:.3f}"] * len(kinds)) for name, value in found["published"].items()]
    unmeasured = found["without measurements"].items()
    rows += [(f"{name}, no measurements", *[f"{value:.3f}"] * len(kinds)) for name, value in unmeasured]
    yield from markdown_table(("from", *kinds), rows)


def _own(found: dict[str, Any]) -> Iterator[str]:
    """The own tasks: order, regret, level, intervals, and what is unlike."""
    own = OwnFigures.from_json(found)
    judged, share = own.judged, own.share
    assert share is not None
    yield "Own tasks, leave one source out: mean [95% bootstrap interval by source]; paired: ours less it."
    yield ""
    rows = [
        (name, *(cell for of in (own.tau, judged) for cell in (_interval(of.mean[name]), _paired(of.paired.get(name)))))
        for name in own.tau.mean
    ]
    yield from markdown_table(("ranking", "tau", "paired", "tau, judged", "paired, judged"), rows)
    yield ""
    yield (
        f"All: {own.tau.mean[OURS]['tasks']} tasks. Judged: {judged.mean[OURS]['tasks']} tasks, measured under "
        "three seeds whose tau of one seed against another (the noise ceiling) is at least 0.4; a perfect predictor "
        f"would reach about {share.perfect:.2f} against their means, and ours goes {100 * share.share:.0f}% of the way "
        f"there from the best rival ({share.rival})."
    )
    yield ""
    yield from _regrets(own)
    yield from markdown_table(
        ("mean error, points", "accuracy of the median cell", "best minus median"),
        [(name, _interval(each, 1), _interval(own.gain.mean[name], 1)) for name, each in own.level.mean.items()],
    )
    yield ""
    told = [(f"{percent}% interval covers", _interval(v, 2)) for percent, v in own.coverage.items()]
    told += [(f"{percent}% interval, width in points", _interval(v, 1)) for percent, v in own.width.items()]
    told += [("held-out sources called unlike anything learnt", _interval(own.alarms, 2))]
    told += [("Spearman of a task's distance and its rank error", f"{own.distance:.2f}")]
    yield from markdown_table(("on held-out sources", "mean"), told)


def _regrets(own: OwnFigures) -> Iterator[str]:
    """What is lost by trusting a ranking, and against which rivals the difference is beyond doubt."""
    regrets = {"first pick": own.first_pick, "best of three": own.best_of_three}
    sure = "; ".join(f"{name}, {_beyond_doubt(each)}" for name, each in regrets.items())
    yield (
        "Regret on all tasks, in points; paired: the other's less ours. Ours is lower beyond doubt (interval above "
        f"zero): {sure}."
    )
    yield ""
    both = regrets.values()
    rows = [
        (name, *(cell for of in both for cell in (_interval(of.mean[name], 2), _paired(of.paired.get(name), 2))))
        for name in own.first_pick.mean
    ]
    yield from markdown_table(("ranking", "first pick", "paired", "best of three", "paired"), rows)
    yield ""


def _beyond_doubt(regret: Compared) -> str:
    beaten = regret.beaten
    return f"against {len(beaten)} of {len(regret.paired)} ({', '.join(beaten)})" if beaten else "against none"


def _paired(value: Told | None, digits: int = 3) -> str:
    return "" if value is None else with_interval(value, f"+.{digits}f")


def _rows_read(spearman: dict[str, float]) -> str:
    """Whether MetaD2A's rows show that images are read."""
    right, exchanged = spearman["ours"], spearman["classes' images exchanged"]
    seen = f"With the classes' images exchanged it is {exchanged:.3f} against {right:.3f}"
    if right - exchanged < AS_WELL["Spearman"]:
        return f"{seen}: these rows do not show that the images are read."
    return f"{seen}: the images are read."


def openings(figures: dict[str, Any]) -> Iterator[str]:
    """One line for each time the held-back data were opened."""
    for each in figures.get("openings", []):
        yield f"- {each['date']}: weights {each['weights']}, tau on CIFAR-10 {each['tau']:.3f}"


def _final(final: dict[str, Any]) -> Iterator[str]:
    ours, regrets = final["tau ours"], final["mean regret of the top 10"]
    yield f"CIFAR-10, all {final['cells']:,} cells (final check; {len(ours['seeds'])} meta-training seeds)."
    yield ""
    low, high = ours["range"]
    rows = [("ours, median (range)", f"{ours['median']:.3f} ({low:.3f} to {high:.3f})", _regret(regrets["ours"]))]
    rows += [(name, f"{value:.3f}", f"{regrets[name]:.2f}") for name, value in final["tau"].items()]
    yield from markdown_table(("ranking", "tau", "mean regret of top 10, points"), rows)
    yield ""
    if "few measurements" in final:
        yield from _few(final["few measurements"])
    if "own tasks" in final:
        yield from _held_back(final["own tasks"])
    made = GeneratorFigures.from_json(final["generator"])
    yield (
        f"Generator, 500 draws for CIFAR-10: {100 * made.valid:.0f}% valid, {100 * made.unique:.0f}% unique, "
        f"{100 * made.novel:.0f}% of the distinct ones not among the cells it was shown as good."
    )
    yield ""
    kinds = {name: each.to_json() for name, each in made.drawn.items()}
    heads = ("draws", *kinds[RIGHT])
    yield from markdown_table(heads, [(name, *(f"{v:.2f}" for v in each.values())) for name, each in kinds.items()])
    yield ""
    yield _latent_read(made.drawn[RIGHT].percentile, made.drawn[OTHER].percentile)


def _latent_read(right: float, other: float) -> str:
    """Whether the generator's draws show that the dataset is read, by their mean percentiles."""
    if right - other < AS_WELL["percentile"]:
        return (
            f"Another task's z does as well as the right one (mean percentile {other:.1f} against {right:.1f}): "
            "on CIFAR-10 the generator gains nothing by reading the dataset."
        )
    return f"Another task's z does worse than the right one (mean percentile {other:.1f} against {right:.1f})."


def _few(found: dict[str, Any]) -> Iterator[str]:
    """What measured cells add to the order, by ours and by other families of models."""
    from metad2a.evaluate.few_measurements import OURS, SEED_AGAINST_SEED, TARGETS

    most = found[str(max(TARGETS))]
    yield (
        f"CIFAR-10, tau after random cells were measured (mean of {most[OURS]['draws']} draws, lowest to highest). "
        "Processes and the linear model correct our prediction; the forests are fitted on the same cells, on graph "
        "features and zero-cost scores. Published at 78: a forest 0.755, PINAT 0.549. The noise ceiling is about "
        f"{SEED_AGAINST_SEED} (published table, CIFAR-100: one training seed against another)."
    )
    yield ""
    asked = [f"{target:.4f}" for target in TARGETS.values()]
    reached = [found[str(n)][OURS]["tau"] >= target for n, target in TARGETS.items()]
    rows = [(name, *(_tau(found[str(n)].get(name), 4) for n in TARGETS)) for name in most]
    rows += [("target for ours", *asked), ("reached", *("yes" if each else "no" for each in reached))]
    yield from markdown_table(("cells measured", *map(str, TARGETS)), rows)
    yield ""


def _tau(value: dict[str, Any] | None, digits: int = 3) -> str:
    if value is None:
        return ""
    low, high = value["range"]
    mean = f"{value['tau']:.{digits}f}"
    return mean if value["draws"] == 1 else f"{mean} ({low:.3f} to {high:.3f})"


def _held_back(tasks: dict[str, Any]) -> Iterator[str]:
    found = {name: HeldBack.from_json(each) for name, each in tasks.items()}
    yield "Own measurements on the held-back images (recipe tiny, 960 training images, 20 cells under 3 seeds)."
    yield ""
    rankings = list(next(iter(found.values())).tau)
    heads = ("task", *(f"tau, {name}" for name in rankings), "median cell, predicted / measured", "80 / 95% covers")
    rows = []
    for name, each in found.items():
        taus = [f"{each.tau[ranking]:.3f}" for ranking in rankings]
        covers = f"{each.coverage['80']:.2f} / {each.coverage['95']:.2f}"
        rows.append((name, *taus, f"{each.predicted:.1f} / {each.measured:.1f}", covers))
    yield from markdown_table(heads, rows)
    yield ""


def _regret(value: dict[str, Any]) -> str:
    return f"{value['median']:.2f} ({value['range'][0]:.2f} to {value['range'][1]:.2f})"


def _interval(value: Told, digits: int = 3) -> str:
    if value["low"] is None or value["low"] != value["low"]:
        return f"{value['mean']:.{digits}f}"
    return with_interval(value, f".{digits}f")
