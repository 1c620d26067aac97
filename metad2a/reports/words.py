"""Numbers as people read them."""

from __future__ import annotations

import math


def percent(value: float | None) -> str:
    """87.3%, or a dash where nothing is known."""
    return "-" if value is None or math.isnan(value) else f"{value:.1f}%"


def span(seconds: float | None) -> str:
    """12 s, 3.5 min, 1.2 h; a dash where it is not known."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def short(number: float) -> str:
    """12.3k for 12,345."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


_UNSEEN = (*range(9), *range(14, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SEEN = dict.fromkeys(_UNSEEN, "\ufffd")


def seen(text: str) -> str:
    """A text without control characters, and without those that turn the order of what stands beside it."""
    return text.translate(_SEEN)
