"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import format as fmt
from reports.markdown import clean, code, escape


@pytest.mark.parametrize(
    ("half_width", "decimals"),
    [
        (12.3, 0),
        (5.0, 0),
        (3.55, 0),
        (3.5, 1),
        (1.2, 1),
        (0.96, 1),
        (0.94, 1),
        (0.35, 2),
        (0.2, 2),
        (None, 1),
        (0.0, 1),
    ],
)
def test_digits_follow_the_particle_data_groups_rule(half_width: float | None, decimals: int) -> None:
    assert fmt.decimals_for(half_width) == decimals


@given(st.floats(1e-6, 1e6))
def test_rounding_loses_less_than_the_uncertainty(half_width: float) -> None:
    step = 10.0 ** -fmt.decimals_for(half_width)
    assert step <= max(half_width / 0.354 / 10 * 10, 1) or half_width < 10**-4


def test_unknown_is_a_dash_and_never_zero() -> None:
    assert fmt.score(None) == fmt.number(None) == fmt.number(math.nan) == fmt.seconds(None) == fmt.mib(None) == fmt.DASH
    assert fmt.interval(None, 1.0) == fmt.share(None) == fmt.parameters(None) == fmt.p_value(None) == fmt.DASH


def test_only_the_unit_scale_is_percent() -> None:
    assert fmt.score(0.9342, 0.912, 0.951) == "93.4"
    assert fmt.score(1432.5, 1400, 1460, (0, 2000)) == "1,432"
    assert fmt.score(0.12, 0.10, 0.14, (0, None)) == "0.120"
    assert fmt.unit([0, 1])
    assert not fmt.unit([0, 2000])


def test_signs_are_true_minus_signs_and_zero_has_none() -> None:
    assert fmt.number(-1.25, 1) == "\u22121.2"
    assert fmt.number(1.0, 1, signed=True) == "+1.0"
    assert fmt.number(-0.001, 1) == fmt.number(0.0, 1, signed=True) == "0.0"
    assert fmt.interval(-0.012, 0.034, signed=True) == "\u22121.2 to +3.4"


def test_a_share_is_whole_only_when_it_is() -> None:
    assert fmt.share(1.0) == "100\u00a0%"
    assert fmt.share(0.99999) == ">99.9\u00a0%"
    assert fmt.share(0.00001) == "<0.1\u00a0%"
    assert fmt.share(0.5) == "50.0\u00a0%"


def test_quantities_have_units_people_use() -> None:
    assert fmt.seconds(0.85) == "850\u00a0ms"
    assert fmt.seconds(200) == "3\u00a0min 20\u00a0s"
    assert fmt.seconds(7500) == "2\u00a0h 5\u00a0min"
    assert fmt.mib(6.84 * 1024) == "6.84\u00a0GiB"
    assert fmt.parameters(3_430_000_000) == "3.43\u00a0B"
    assert fmt.significant(1234.4) == "1,234"
    assert fmt.significant(0.01234) == "0.0123"
    assert fmt.p_value(0.0004) == "<0.001"


def test_lists_read_as_sentences() -> None:
    assert fmt.sentence_list([]) == ""
    assert fmt.sentence_list(["a"]) == "a"
    assert fmt.sentence_list(["a", "b", "c"]) == "a, b and c"
    assert fmt.plural(1, "sample") == "1\u00a0sample"
    assert fmt.plural(2000, "sample") == "2,000\u00a0samples"


def test_text_that_cannot_be_encoded_is_replaced() -> None:
    assert clean("a\ud800b") == "a\ufffdb"
    assert clean("\ud83d\ude00") == "\U0001f600"
    assert clean("a\0b") == "a\ufffdb"


@given(st.text(st.characters()))
def test_cleaned_text_can_always_be_encoded(text: str) -> None:
    clean(text).encode("utf-8")


def test_markdown_is_literal_and_mentions_nobody() -> None:
    escaped = escape("| <b>*x*</b>\n@someone `code`")
    assert "<" not in escaped
    assert "@" not in escaped
    assert "\n" not in escaped
    assert "\\|" in escaped
    assert "\\*" in escaped


def test_a_code_fence_is_longer_than_any_inside() -> None:
    assert code("a ```` b").startswith("`````\n")
