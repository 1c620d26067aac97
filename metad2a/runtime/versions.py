"""Versions of what the numbers depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Package -> version, without what a build adds to it; imports none of them."""
    from metad2a import __version__

    packages = {name: version(name).split("+")[0] for name in ("torch", "numpy")}
    return {"metad2a": __version__, "python": platform.python_version(), **packages}
