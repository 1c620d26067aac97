"""What the texts of limits mean: 300k, 1.5M, 15ms."""

from __future__ import annotations

import math
import re

from databases.errors import UserError

_MULTIPLES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def amount(text: str | None, option: str) -> int | None:
    """300k -> 300,000, 1.5M -> 1,500,000; None stays. Raises `UserError` that names the ``option``."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)([kMG]?)", text.strip())
    number = float(found[1]) * _MULTIPLES[found[2]] if found else 0.0
    if number < 1 or number == math.inf:
        raise UserError(f"{option} {text!r}: give a number from 1, such as 250000, 300k or 1.5M")
    return round(number)


def milliseconds(given: str | float) -> float:
    """15ms -> 15.0, 0.015s -> 15.0; a number is milliseconds already. Raises `UserError` for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(us|ms|s)\s*", given) if isinstance(given, str) else None
    value = float(found[1]) * _UNITS[found[2]] if found else math.nan if isinstance(given, str) else float(given)
    if not 0 < value < math.inf:
        raise UserError(f"latency {given!r}: give a time above zero with its unit, such as 15ms, 0.015s or 800us")
    return value
