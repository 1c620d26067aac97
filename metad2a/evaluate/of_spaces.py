"""REPORTS: what `metad2a evaluate --space` tells of spaces whose model is no meta-model of cells, by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from databases.errors import Say
from metad2a.reports.report import Part, Report, of_parts
from metad2a.runtime.home import images_folder, shared_images

LEFT_OUT = "each image source, or fold of classes, is left out in turn; 95% intervals are over these"


def _pipelines(name: str, records: Path | None, *, fast: bool, say: Say) -> Iterator[Part]:
    from metad2a.evaluate import pipeline_searchers, regret
    from metad2a.evaluate.foretold import foretold
    from metad2a.recommend.chances import MEASURED

    file = records or MEASURED
    yield foretold(file)
    if not fast:
        tasks, model = regret.measured(file)
        learnt = {each.source: model.without(each.source) for each in tasks}
        yield from regret.parts(file, tasks, learnt)
        yield from pipeline_searchers.parts(tasks, learnt, shared_images(), say)


def _subnets(name: str, records: Path | None, *, fast: bool, say: Say) -> Iterator[Part]:
    from metad2a.build.shipped import SUBNETS
    from metad2a.evaluate.subnet_figures import parts

    return parts(records or SUBNETS, images_folder(), name=name, fast=fast, say=say)


REPORTS: dict[str, Callable[..., Iterator[Part]]] = {
    "pipeline": _pipelines,
    "residual-subnets": _subnets,
    "mobilenetv3-subnets": _subnets,
}


def report_of(name: str, records: Path | None, *, fast: bool, say: Say) -> Report:
    """The figures of a space by the shipped ``records`` (None) or those of a file that `database export` wrote.

    Raises:
        UserError: the file holds nothing of the space, or images that are needed are not there.
    """

    def told() -> Iterator[Part]:
        for part in REPORTS[name](name, records, fast=fast, say=say):
            say(part.table.title)
            yield part

    setting = f"measurements of {'the package' if records is None else records}"
    return of_parts(told(), system=name, source=LEFT_OUT, setting=setting)
