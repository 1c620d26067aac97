"""Bring a folder of labelled images, get back the network that fits it.

>>> import metad2a
>>> model = metad2a.load()
>>> answer = model.recommend("images/", top=5)
>>> network = answer.best.build()
>>> metad2a.MetaD2AClassifier().fit(x, y).predict(x)

The names below are imported when first used, so that ``import metad2a`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from metad2a.runtime.versions import __version__

if TYPE_CHECKING:
    from databases.errors import UserError
    from metad2a.recommend.limits import Limits
    from metad2a.recommend.model import MetaD2A, load
    from metad2a.search.estimator import MetaD2AClassifier

__all__ = ["Limits", "MetaD2A", "MetaD2AClassifier", "UserError", "__version__", "load"]

_HOMES = {
    "Limits": "metad2a.recommend.limits",
    "MetaD2A": "metad2a.recommend.model",
    "MetaD2AClassifier": "metad2a.search.estimator",
    "load": "metad2a.recommend.model",
    "UserError": "databases.errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'metad2a' has no attribute {name!r}")
    from databases.hosting import importing

    with importing():
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


def _refuse_other_databases(beside: Path) -> None:
    """Another distribution on PyPI is called ``databases`` too; only one of them can be imported.

    Raises:
        ImportError: ``databases`` is not the package that stands in the folder ``beside``.
    """
    spec = find_spec("databases")
    found = (spec.submodule_search_locations if spec else None) or []
    intruders = [place for place in map(Path, found) if place.resolve() != beside / "databases"]
    # Installed into one folder the two are mixed file by file, and only the other's metadata tell.
    intruders += beside.glob("databases-*.dist-info")
    if intruders:
        raise ImportError(
            f"metad2a needs its own package 'databases', but {intruders[0]} belongs to another distribution "
            "of that name. Run: pip uninstall databases and install metad2a again in a fresh environment."
        )


_refuse_other_databases(Path(__file__).resolve().parent.parent)
