"""The version of metad2a, and those of what else its numbers depend on. Imports little, since `import metad2a` does."""

from __future__ import annotations

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """Package -> version, without what a build adds to it; imports none of them."""
    import platform
    from importlib.metadata import version

    packages = {name: version(name).split("+")[0] for name in ("torch", "numpy")}
    return {"metad2a": __version__, "python": platform.python_version(), **packages}
