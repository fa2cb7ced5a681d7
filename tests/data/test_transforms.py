"""Every named transform: what it makes of a cell, and that it says so where it cannot treat one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import DataError
from evals.spec.transforms import TRANSFORMS

CELLS = (
    st.none() | st.text(max_size=20) | st.integers(-99, 99) | st.floats(allow_nan=False) | st.lists(st.text(max_size=4))
)


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("split_commas", "a, b,,c ", ["a", "b", "", "c"]),
        ("split_lines", "一\r\n\n二\n", ["一", "二"]),
        ("drop_empty", ["a", "", None, "b"], ["a", "b"]),
        ("drop_empty", "a", ["a"]),
        ("unique", ["b", "a", "b"], ["b", "a"]),
        ("upper", "ab", "AB"),
        ("nfkc", "Ａ１２（ｂ）", "A12(b)"),
        ("nfkc", None, ""),
        ("strip_parentheses", " (B) ", "B"),
        ("letter", 0, "A"),
        ("letter", "25", "Z"),
        ("final_answer", "5 + 5\n#### 1,010 ", "1010"),
        ("blank_nan", "nan", ""),
        ("first", ["a", "b"], "a"),
        ("first", [], ""),
        ("literal_list", "['a', \"b\"]", ["a", "b"]),
        ("literal_list_or_text", "a", ["a"]),
        ("literal_list_or_text", " ['a']", ["a"]),
        ("number_img_tags", '<img="x"> and <img="y"> and <img="x">', "<图片 1> and <图片 2> and <图片 1>"),
        ("middle_part", "validation_Art_Theory_1", "Art_Theory"),
        ("before_dash", "en-US", "en"),
    ],
)
def test_what_a_transform_makes_of_a_cell(name: str, cell: Any, value: Any) -> None:
    assert TRANSFORMS[name](cell) == value


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("letter", -1),
        ("letter", 26),
        ("letter", "B"),
        ("letter", 1.5),
        ("unique", "aab"),
        ("final_answer", "5"),
        ("literal_list", "{1}"),
    ],
)
def test_a_cell_that_cannot_be_treated_is_an_error_and_no_guess(name: str, cell: Any) -> None:
    with pytest.raises(DataError, match=r"is no|is a|has no"):
        TRANSFORMS[name](cell)


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
@given(cell=CELLS)
def test_any_cell_is_treated_or_refused(name: str, cell: Any) -> None:
    refused = ""
    try:
        TRANSFORMS[name](cell)
    except DataError as error:
        refused = str(error)
    assert len(refused) < 400  # the cell is shown, cut
