"""Which value of the images given is white: never guessed from one value, always told, refused where unclear.

Bytes are 0 to 255 and booleans 0 to 1 by their nature. Other numbers are taken as the smallest of 0 to 1, 255,
4,095, 8,191 (12 and 13 bits, as of microscopes and scanners) and 65,535 that holds them. Values a little outside, as
smoothing and cubic resizing leave them, are clipped.
What would leave all images nearly black, or hangs on a few images alone, is refused.

Further images, such as those to predict, are held to the range of the first: fractions that look like those of another
are refused; whole numbers that may be dark or may be of another are taken, and told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.values import Values
from databases.errors import UserError, count

Images: TypeAlias = npt.NDArray[np.uint8]
Array: TypeAlias = npt.NDArray[Any]
FULL_SCALES = (1, 255, 4_095, 8_191, 65_535)
LEAST_TOP = {
    1: 1 / 32,
    255: 128,
    4_095: 512,
    8_191: 1_024,
    65_535: 8_192,
}  # below it even the brightest value is nearly black
OVERSHOOT = {1: 0.5, 255: 0.5, 4_095: 0.05, 8_191: 0.0, 65_535: 0.0}  # of white: cubic resizing of masks goes that far
MOST_EXCESS = 0.02  # how far values lie outside on average, in parts of white: twice what cubic resizing leaves
MUCH_LOWER = 15  # so many times lower is a range whose images are nearly black in another
FEW_FLOATS, FEW_WHOLE = 0.95, 0.1  # so few images may decide that the range is the larger one
FEWER_BITS = {4_095: 1_023, 8_191: 4_095, 65_535: 16_383}  # of values read in this range, those of fewer bits
CHUNK = 1_024  # images that are converted at a time
TINY_OVERSHOOT = 0.001  # of white: a quarter of a grey level, about which no warning is due
AS_FIRST, SAME = "as in the first images", "scale them alike, or give them in the type of the first images"
UP = "and whole numbers to 65,535 with bright values among them"
REMEDY = "divide by the value that is white, or give bytes (uint8) where that is 255"


@dataclass(frozen=True)
class Scale:
    """How values became 0 to 255: ``white`` is the value that became 255.

    ``kind`` is what the numbers were: 'bool', 'byte', 'whole' or 'float'. ``darkest`` is the largest value of the
    darkest image that is not black; 0 where that is not known.
    """

    white: int
    kind: str
    darkest: float = 0.0

    def to_bytes(self, images: Array) -> Images:
        """Images (n, ...) as uint8, a few at a time; what lies outside is clipped. Bytes are not copied."""
        if self.white == 255 and images.dtype == np.uint8:
            return images
        found = np.empty(images.shape, dtype=np.uint8)
        for start in range(0, len(images), CHUNK):
            part = images[start : start + CHUNK]
            scaled = np.rint(part) if self.white == 255 else np.rint(part * np.float32(255 / self.white))
            found[start : start + CHUNK] = np.clip(scaled, 0, 255)
        return found


def find_scale(values: Values, *, given: str) -> tuple[Scale, list[str]]:
    """The range that values are taken to have, and notes that tell it where it is not plain from their type.

    Raises:
        UserError: values below 0 or above all ranges, or more than one range would do.
    """
    darkest = float(values.highs[values.highs > 0].min(initial=values.far))
    if values.kind in ("bool", "byte"):
        white = 1 if values.kind == "bool" or values.top <= 1 else 255
        return Scale(white, values.kind, darkest), _byte_notes(values, white)
    white = next((each for each in FULL_SCALES if _holds(values, each)), 0)
    dim = white and 0 < values.far < LEAST_TOP[white]
    if not white or (dim and values.low < 0):
        raise UserError(
            f"given {given} with values from {number(values.low)} to {number(values.top)}; allowed are 0 to 1, 0 to "
            "255 and whole numbers to 65,535; undo any normalisation, so that black is 0"
        )
    if dim:
        raise UserError(_unclear(values, white, f"0 to 1, 0 to 255 {UP}", REMEDY, given))
    mixed, few = _mixed_notes(values, white, given), _few_notes(values, white, given)
    dark = few or [*mixed, *_fewer_bits(values, white)]
    return Scale(white, values.kind, darkest), [*_range_notes(values, white), *dark]


def has_a_scale(values: Values) -> bool:
    """Whether values fit into any range at all."""
    return any(_holds(values, white) for white in FULL_SCALES)


def check_alike(values: Values, scale: Scale, *, given: str) -> list[str]:
    """What to tell of further images: how many values will be clipped, and where all may be of another range.

    Raises:
        UserError: they cannot have the range of the first ones, or have another one by their look.
    """
    white, far = scale.white, values.far
    lower = [each for each in _much_lower(white) if far <= each * (1 + OVERSHOOT[each])]
    other = values.kind == "float" or values.kind != scale.kind
    if values.kind == "byte":
        other, lower = white > 255, [255]
    if not _holds(values, white) or (other and lower and far > 0):
        raise UserError(
            f"given {given} with values from {number(values.low)} to {number(values.top)}; "
            f"allowed are 0 to {white:,}, {AS_FIRST}"
            f"{', where these look like 0 to ' + format(lower[0], ',') if other and lower else ''}; scale them alike"
        )
    if values.kind in ("bool", "byte"):
        return []  # clear from their type, however dark
    return [*_dark_notes(values, scale, given), *_clipped_notes(values, white, given)]


def least_bright(white: int) -> float:
    """The largest value of what looks like a lower range than 0 to ``white``, or is nearly black in it."""
    lower = [each * (1 + OVERSHOOT[each]) for each in _much_lower(white)]
    return max([white * LEAST_TOP[1], *lower])


def may_be_darker(top: float, white: int) -> str:
    """What to tell of whole numbers up to ``top`` that were taken as 0 to ``white``; nothing where they are bright."""
    if not 0 < top < LEAST_TOP[white]:
        return ""
    look = next((each for each in _much_lower(white) if top <= each), white)
    others = f", though they look like 0 to {look:,}" if look < white else ""
    return f"as 0 to {white:,}, {AS_FIRST}{others}: scale them if {number(top)} is bright"


def number(value: float) -> str:
    """A value in six digits, or in as many as tell it from the whole number beside it."""
    if float(value).is_integer():
        return f"{value + 0.0:,.0f}" if abs(value) < 2**53 else f"{value:.6g}"  # and -0.0 is 0
    texts = (f"{value:.{digits}g}" for digits in range(6, 18))
    return next(text for text in texts if not float(text).is_integer())


def _much_lower(white: int) -> list[int]:
    """The ranges so much lower that their images would be nearly black in 0 to ``white``."""
    return [each for each in FULL_SCALES if each * MUCH_LOWER <= white]


def _few_notes(values: Values, white: int, given: str) -> list[str]:
    """A note where few images tell 16 bits from 13; raises UserError where few tell 13 from 12: mistakes, maybe."""
    if white not in (8_191, 65_535):
        return []
    lower = FULL_SCALES[FULL_SCALES.index(white) - 1]
    dark, lit = (int(each.sum()) for each in ((values.highs > 0) & (values.highs <= lower), values.highs > lower))
    if lit >= FEW_WHOLE * (lit + dark):
        return []
    if white == 8_191:
        raise UserError(_by_few(values, dark, lower, given))
    return [f"{count(dark, 'image')} with no value above {lower:,} will be nearly black"]


def _by_few(values: Values, dark: int, lower: int, given: str) -> str:
    return (
        f"given {given} with values to {number(values.top)}, but {dark:,} of {len(values.highs):,} images stay "
        f"within 0 to {lower:,}; allowed is one range for all images; scale them alike, or correct the others"
    )


def _holds(values: Values, white: int) -> bool:
    """Whether all values lie in 0 to white, but for a small overshoot."""
    room = OVERSHOOT[white] * white
    if values.low >= 0 and values.top <= white:
        return True
    return bool(values.low >= -room and values.top <= white + room and values.outside(white)[1] <= MOST_EXCESS)


def dark_notes(top: float) -> list[str]:
    """A note where even the largest of all bytes is dark."""
    if top >= LEAST_TOP[255]:
        return []
    return [f"bytes are taken as 0 to 255, though none is above {top:.0f}: scale them if that is white"]


def faint_notes(faint: int, what: str) -> list[str]:
    """A note on how many images of bytes hold 0 and 1 alone, beside others that hold more."""
    if not faint:
        return []
    told = f"{count(faint, what)} of 8 bits hold{'s' if faint == 1 else ''} nothing above 1 of 255"
    return [f"{told}, and will be black: multiply by 255 if 1 is white there"]


def _unclear(values: Values, white: int, allowed: str, remedy: str, given: str) -> str:
    return (
        f"given {given} with values from {number(values.low)} to {number(values.top)}, by which it is not clear "
        f"which value is white (taken as 0 to {white:,} all would be nearly black); allowed are {allowed}; {remedy}"
    )


def _dark_notes(values: Values, scale: Scale, given: str) -> list[str]:
    """A note on further images that are dark or else of another range; raises UserError for fractions among them.

    Fractions may be as dark as the darkest of the first images.
    """
    white = scale.white
    if 0 < values.far < min(LEAST_TOP[white], max(scale.darkest, least_bright(white))) and values.fractions():
        raise UserError(_unclear(values, white, f"0 to {white:,}, {AS_FIRST}", SAME, given))
    if told := may_be_darker(values.far, white):
        return [f"took {given} with values from {number(values.low)} to {number(values.top)} {told}"]
    mixed = _mixed_notes(values, white, given, refuse=values.fractions()) if values.far else []
    return [f"{given} has {note}" for note in mixed]


def _clipped_notes(values: Values, white: int, given: str) -> list[str]:
    """A note where values of further images lie outside, by more than a quarter of a grey level."""
    if max(-values.low, values.top - white) <= TINY_OVERSHOOT * white:
        return []
    return [
        f"{given} has values from {number(values.low)} to {number(values.top)}: clipped {values.outside(white)[0]:,} "
        f"of them to 0 to {white:,}, {AS_FIRST}"
    ]


def _byte_notes(values: Values, white: int) -> list[str]:
    if values.kind == "byte" and white == 255:
        return [*dark_notes(values.top), *faint_notes(int((values.highs == 1).sum()), "image")]
    return [f"scaled values of 0 to {white:,} to 0 to 255"] if white == 1 and values.top > 0 else []


def _range_notes(values: Values, white: int) -> list[str]:
    """Which range was taken, and what was clipped."""
    told = f"took values as 0 to {white:,}: they are {number(values.low)} to {number(values.top)}"
    if values.low >= 0 and values.top <= white:
        return [told]
    return [f"{told}; clipped {values.outside(white)[0]:,} of them that lie outside"]


def _fewer_bits(values: Values, white: int) -> list[str]:
    """A note on images that are not nearly black in this range, but may be of fewer bits and so are darker in it."""
    most = FEWER_BITS.get(white, 0)
    if values.kind != "whole" or not most:
        return []
    fewer = (values.highs > max(_much_lower(white))) & (values.highs <= most)
    if not fewer.any():
        return []
    top = number(values.highs[fewer].max())
    if values.top <= most:
        return [f"none of the values is above {top}: scale them if that is white"]
    return [f"{count(int(fewer.sum()), 'image')} with no value above {top} will be dark: scale them if that is white"]


def _mixed_notes(values: Values, white: int, given: str, *, refuse: bool = True) -> list[str]:
    """A note on images that are nearly black in this range; raises UserError where the others are too few."""
    told = dict[int, int]()  # how many images -> the lowest range that holds them
    for lower in _much_lower(white):
        dark = int(((values.highs > 0) & (values.highs <= lower)).sum())
        lit = len(values.highs) - dark
        few = FEW_FLOATS if values.kind == "float" and (lower, white) == (1, 255) else FEW_WHOLE
        if refuse and dark and lit < few * len(values.highs):
            raise UserError(_by_few(values, dark, lower, given))
        told.setdefault(dark, lower)
    notes = {dark: f"with no value above {lower:,} will be nearly black" for dark, lower in told.items() if dark}
    return [f"{count(dark, 'image')} {note}" for dark, note in notes.items()]
