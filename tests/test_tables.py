"""Tables on the terminal: whatever its width, no value, no name and no heading is cut."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from metad2a.cli.output import NARROWEST, table
from metad2a.cli.tables import FittedTable

HEADINGS = ("Dataset", *(f">{shape}, {epochs} epochs" for shape in ("width", "depth") for epochs in (12, 200)))
HEADINGS += (">width of random other cells (control)",)
ROWS = [
    (name, *("+0.123 [+0.101, -0.145]" for _ in HEADINGS[1:])) for name in ("cifar10", "cifar100", "imagenet16-120")
]


def shown(what: FittedTable, width: int) -> str:
    to = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    to.print(what)
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


@pytest.mark.parametrize("width", [NARROWEST, 80, 100, 300])
def test_names_values_and_headings_are_whole_at_every_width(width: int) -> None:
    found = shown(table("Rank correlation", HEADINGS, ROWS), width)
    assert max(map(len, found.splitlines())) <= width and "…" not in found
    assert found.count(ROWS[0][1]) == len(ROWS) * (len(HEADINGS) - 1)
    assert found.count("Rank correlation") == 1
    for name, *_ in ROWS:
        assert any(line.split()[0] == name for line in found.splitlines() if line.strip())
    assert all(word in found for heading in HEADINGS for word in heading.lstrip(">").split())


def test_what_fits_is_one_table_and_what_does_not_begins_again_with_the_first_column() -> None:
    assert shown(table("", HEADINGS, ROWS), 300).count("Dataset") == 1
    assert shown(table("", HEADINGS, ROWS), 100).count("Dataset") == 2
    found = shown(table("", HEADINGS, ROWS), 80).splitlines()
    assert sum("cifar100" in line for line in found) == sum("Dataset" in line for line in found) > 1


def test_long_words_and_wide_letters_are_folded() -> None:
    word, wide = "x" * 150, "猫" * 60
    found = shown(table(None, ("Name", ">1"), [(word, "1"), (wide, "2")]), 80)
    assert found.count("x") == 150 and found.count("猫") == 60
    copied = shown(table(None, ("=Copied", "Claim"), [("run-" + "7" * 30, "words " * 30)]), 80)
    assert "run-" + "7" * 30 in copied and copied.count("words") == 30


@given(
    st.lists(st.lists(st.text("ab 1.", max_size=40), min_size=4, max_size=4), max_size=4),
    st.integers(NARROWEST, 130),
)
def test_no_letter_is_lost(rows: list[list[str]], width: int) -> None:
    found = shown(table("T", ("Name", ">Number", "=Run", ""), rows), width)
    text = "".join("".join(row) for row in rows)
    for letter in "1.":
        assert found.count(letter) >= text.count(letter)
    parts = list(FittedTable("T", ("Name", ">Number", "=Run", ""), rows)._parts(width))
    assert sorted({each for part in parts for each in part}) == [0, 1, 2, 3]
    assert all(first[-1] < second[1] and second[0] == 0 for first, second in pairwise(parts))


@pytest.mark.parametrize(("heading", "shows"), [(">cat", "cat"), (">>cat", ">cat"), (">=1", "=1"), ("==1", "=1")])
def test_only_the_first_sign_of_a_heading_tells_of_its_column(heading: str, shows: str) -> None:
    assert shown(table(None, ("", heading), [("a", "1")]), 80).split()[0] == shows


def test_whether_all_columns_fit_is_known_before() -> None:
    assert [table("", HEADINGS, ROWS).fits(width) for width in (100, 300)] == [False, True]
