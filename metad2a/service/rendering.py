"""Templates, and the words and pictures that they use."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from metad2a.reports.words import percent, seen, short, span
from metad2a.service import drawings
from metad2a.service.schemas import stamp
from metad2a.service.security import COOKIE


def _seen(value: Any) -> Any:
    return seen(value) if isinstance(value, str) else value


_environment = Environment(
    loader=FileSystemLoader(Path(str(files("metad2a.service") / "templates"))),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_seen,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _size(count: float) -> str:
    """1.2 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _when(seconds: float | None) -> str:
    """2026-11-28 19:52, in UTC."""
    text = stamp(seconds)
    return "–" if text is None else text[:16].replace("T", " ")  # noqa: RUF001


_environment.filters |= {"percent": percent, "short": short, "span": span, "size": _size, "when": _when}
_environment.globals |= {
    "balance_bar": drawings.balance_bar,
    "front_svg": drawings.front_svg,
    "interval_bar": drawings.interval_bar,
    "network_svg": drawings.network_svg,
    "accuracy_scale": drawings.accuracy_scale,
}


def page(request: Request, template: str, **values: Any) -> HTMLResponse:
    """A template as an answer."""
    signed_in = COOKIE in request.cookies
    text = _environment.get_template(template).render(path=request.url.path, signed_in=signed_in, **values)
    return HTMLResponse(text)
