"""MathVista, MATH-Vision and GSM8K: answers read by rule and compared by value."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError
from evals.extract.latex import latex_value
from evals.extract.registry import get_extractor
from evals.metrics.mathvision import is_equal
from evals.metrics.mathvista import nearest_option, normalise
from evals.metrics.registry import get_metric


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3.0),
        ("-.5", -0.5),
        (r"$\frac{1}{2}$", 0.5),
        (r"\frac12", 0.5),
        (r"\dfrac{360}7", 360 / 7),
        (r"2\sqrt{3}", 2 * math.sqrt(3)),
        (r"\sqrt[3]{8}", 2.0),
        (r"6 \sqrt{3}+4 \pi", 6 * math.sqrt(3) + 4 * math.pi),
        (r"\left(\sqrt{2}-1\right)^{2}", (math.sqrt(2) - 1) ** 2),
        ("3:16", 3 / 16),
        ("7/3", 7 / 3),
        ("5-2-3", 0.0),
        ("-2^2", -4.0),
        (r"\frac{3^{1008}-1}{3^{1009}}", 1 / 3),
        (r"4 \cdot(3-2 \sqrt{2}) \cdot \pi", 4 * (3 - 2 * math.sqrt(2)) * math.pi),
        (r"\tan \frac{\pi}{4}", 1.0),
    ],
)
def test_an_expression_has_its_value(text: str, value: float) -> None:
    assert latex_value(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        *["", "cat", "2x", r"15^{\circ}", r"30 \%", "1/0", "(", "1+", r"\sqrt{-1}", "2 cm", "9^{9^{9^{9}}}", "1,000"],
        *["3" * 500, "(" * 200 + "1" + ")" * 200, "__import__('os')", r"\frac{1}", "2^^2", ")("],
    ],
)
def test_anything_else_is_no_number(text: str) -> None:
    assert latex_value(text) is None


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text(alphabet="0123456789+-*/:^(){}[]\\ .frac sqrt pi", max_size=40)))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    value = latex_value(text)
    assert value is None or math.isfinite(value)


@settings(max_examples=80, deadline=None)
@given(st.integers(-999, 999), st.integers(1, 99), st.integers(-99, 99))
def test_arithmetic_agrees_with_python(a: int, b: int, c: int) -> None:
    assert latex_value(rf"\frac{{{a}}}{{{b}}} + {c} \times (2 - {b})") == pytest.approx(a / b + c * (2 - b))


def test_equal_means_same_text_value_or_tuple() -> None:
    assert is_equal("  Azra", "azra ")
    assert is_equal(r"\frac{1}{2}", "0.5")
    assert is_equal("0.333", r"\frac{1}{3}")
    assert is_equal("(3, -4)", "(3.0,-4)")
    assert not is_equal("(3,-4)", "[3,-4]")
    assert not is_equal("120", r"$120^{\circ}$"), "as the official parser, which takes a degree sign for a variable"
    assert not is_equal("", "")


@pytest.mark.parametrize(
    ("reply", "value", "rule"),
    [
        ("So the area is \\boxed{12 \\pi}.", "12\\pi", "boxed"),
        ("\\boxed{1} or \\boxed{2}", "2", "boxed"),
        ("The answer is 42. Because of that", "42", "answer_is"),
        ("It is 7.", "7", "number"),
        ("(B)\nBecause", "b", "letter"),
        ("I choose (C).", "c", "letter"),
        ("x = 60^\\circ", "60", "reply"),
        ("3/4", "\\frac{3}{4}", "reply"),
        (".5", "\\frac{1}{2}", "reply"),
        ("  ", None, "empty"),
    ],
)
def test_mathvision_takes_the_marked_part_and_strips_it(reply: str, value: str | None, rule: str) -> None:
    assert get_extractor("mathvision")(reply) == (value, rule)


def test_mathvision_accepts_the_letter_or_the_options_text() -> None:
    scores = get_metric("mathvision").score_samples(
        ["B", "The answer is $2\\sqrt{2}$.", "2.83", "A", None, ""], [["B"]] * 6, choices=[["1", "$2 \\sqrt{2}$"]] * 6
    )
    assert scores == [1.0, 1.0, 1.0, 0.0, None, 0.0]


@pytest.mark.parametrize(
    ("reply", "context", "value", "rule"),
    [
        ("Yes", {"question_type": "multi_choice", "choices": ["Yes", "No"]}, "Yes", "option_text"),
        ('The answer is "blue".', {}, "blue", "quoted"),
        ("It must be (B).", {"question_type": "multi_choice", "choices": ["2/11", "8/11"]}, "8/11", "bracketed_letter"),
        ("A or B", {"question_type": "multi_choice", "choices": ["2/11", "8/11"]}, None, "several_answers"),
        (" 14 ", {"answer_type": "integer"}, "14", "number"),
        ("The answer is 1,400 people", {"answer_type": "integer"}, "1400", "stated_number"),
        ("There are 14.", {"answer_type": "integer"}, "14", "only_number"),
        ("5 + 9 is 14", {"answer_type": "integer"}, None, "several_numbers"),
        ("many", {"answer_type": "float"}, None, "none"),
        ("It is [2007, 2008]", {"answer_type": "list"}, "[2007, 2008]", "list"),
        ("", {}, None, "empty"),
    ],
)
def test_mathvista_reads_without_a_judge(reply: str, context: dict[str, object], value: str | None, rule: str) -> None:
    assert get_extractor("mathvista")(reply, **context) == (value, rule)


def test_mathvista_normalises_as_the_official_code() -> None:
    assert normalise("14.9", "integer", 0) == "14"
    assert normalise("1.25", "float", 1) == "1.2"
    assert normalise("about 3", "integer", 0) is None
    assert normalise("1e999", "integer", 0) is None
    assert nearest_option("(b) whatever", ["cat", "dog"]) == "dog"
    assert nearest_option("doog", ["cat", "dog"]) == "dog"
    assert nearest_option("", ["long one", "short"]) == "short"


def test_mathvista_scores_extractions_of_a_judge_or_its_own() -> None:
    columns = {
        "question_type": ["multi_choice", "multi_choice", "free_form", "free_form"],
        "answer_type": ["text", "text", "float", "integer"],
        "choices": [["No", "Yes"], ["No", "Yes"], None, None],
        "precision": [None, None, 1.0, None],
    }
    references = [["Yes"], ["B"], ["1.2"], ["7"]]
    own = get_metric("mathvista").score_samples(["Yes.", "(B)", "1.23", "no idea"], references, **columns)
    assert own == [1.0, 1.0, 1.0, 0.0]
    judged = get_metric("mathvista").score_samples(
        ["...", "...", "...", None], references, extracted=["(B)", "No", "1.24", "7"], **columns
    )
    assert judged == [1.0, 0.0, 1.0, None]


def test_mathvista_names_a_choice_question_without_options() -> None:
    with pytest.raises(DataError, match="row 0: a multiple-choice question without options"):
        get_metric("mathvista").score_samples(["A"], [["A"]], question_type=["multi_choice"], answer_type=["text"])


@pytest.mark.parametrize(
    ("reply", "value", "rule"),
    [
        ("6 * 3 = 18\n#### 18", "18", "marked"),
        ("The answer is $1,234.50.", "1234.50", "stated"),
        ("She has 3 apples and 4 pears, so 7", "7", "last_number"),
        ("none", None, "none"),
    ],
)
def test_gsm8k_reads_the_final_number(reply: str, value: str | None, rule: str) -> None:
    assert get_extractor("gsm8k")(reply) == (value, rule)


def test_gsm8k_compares_numbers_and_reads_worked_references() -> None:
    scores = get_metric("gsm8k").score_samples(
        ["#### 18.0", "$18", "19", "?", None], [["9 * 2 = <<9*2=18>>18\n#### 18"], ["18"], ["18"], ["18"], ["18"]]
    )
    assert scores == [1.0, 1.0, 0.0, 0.0, None]
    assert get_metric("gsm8k").score_samples(["?"], [["18"]], extracted=["6*3\n#### 18"]) == [1.0]
    with pytest.raises(DataError, match="row 0: no number in the reference 'many'"):
        get_metric("gsm8k").score_samples(["1"], [["many"]])


@settings(max_examples=120, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["integer", "float", "list", "text"]))
def test_any_reply_can_be_scored(reply: str, answer_type: str) -> None:
    for kind in ("multi_choice", "free_form"):
        scores = get_metric("mathvista").score_samples(
            [reply], [["1"]], question_type=[kind], answer_type=[answer_type], choices=[["1", "2"]], precision=[1]
        )
        assert scores[0] in (0.0, 1.0)
    assert get_metric("mathvision").score_samples([reply], [["1"]])[0] in (0.0, 1.0)
    assert get_metric("gsm8k").score_samples([reply], [["1"]])[0] in (0.0, 1.0)
