"""Our own readers of option and yes/no replies."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.extract.registry import EXTRACTORS, get_extractor
from evals.extract.robust import robust
from evals.extract.text import clean_reply, fold, option_map
from evals.extract.yes_no import yes_no

ANIMALS = {"A": "cat", "B": "dog", "C": "horse", "D": "rabbit"}
COLOURS = ["红色", "蓝色", "绿色", "黑白"]
REPLIES = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                "A",
                "B",
                "c",
                "(D)",
                "**B**",
                "dog",
                "cat",
                "not",
                "answer",
                "is",
                "the",
                "yes",
                "no",
                "答案",
                "是",
                "不",
                "选",
                ",",
                ".",
                "\n",
                " ",
                "</think>",
                "\\boxed{",
                "}",
                "and",
                "or",
                "but",
                "Ｂ",
                "there",
                "sorry",
                "\u202e",
                "\x00",
            ]
        ),
        max_size=14,
    ).map(" ".join),
)


@pytest.mark.parametrize(
    ("reply", "value", "rule"),
    [
        ("(B)", "B", "letter"),
        ("**B**", "B", "letter"),
        ("b", "B", "letter"),
        ("Ｂ", "B", "letter"),
        ("（Ｂ）", "B", "letter"),
        ("B.", "B", "letter"),
        ("\\boxed{B}", "B", "letter"),
        ("<answer>B</answer>", "B", "letter"),
        ("The answer is B", "B", "stated"),
        ("the correct answer is: (b).", "B", "stated"),
        ("I choose option D.", "D", "stated"),
        ("D is correct", "D", "stated"),
        ("答案是B", "B", "stated"),
        ("答案：B。", "B", "stated"),
        ("选B", "B", "stated"),
        ("答案不是A而是C", "C", "stated"),
        ("The answer is not A but C", "C", "stated"),
        ("The answer is A? No. Final answer: C", "C", "final_answer"),
        ("A or B ... so $\\boxed{B}$ it is", "B", "final_answer"),
        ("B: dog", "B", "letter_and_text"),
        ("B.dog", "B", "letter_and_text"),
        ("B\nBecause A cat is not there", "B", "leading_letter"),
        ("A is because of the ears", "A", "leading_letter"),
        ("It has long ears.\nD", "D", "last_line"),
        ("dog (B)", "B", "bracketed_letter"),
        ("Dog.", "B", "option_text"),
        ("a dog", "B", "option_text"),
        ("The answer is dog", "B", "option_text"),
        ("It is a dog, not a cat", "B", "option_text_mention"),
        ("<think>A, maybe</think> B", "B", "letter"),
    ],
)
def test_takes_what_the_reply_says(reply: str, value: str, rule: str) -> None:
    assert robust(reply, choices=ANIMALS) == (value, rule)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("Both A and B", "several_answers"),
        ("A, B and C", "several_answers"),
        ("A or B", "several_answers"),
        ("B and C are both possible", "several_answers"),
        ("The answer is A or B", "several_answers"),
        ("A. Looking again, the answer is C", "several_answers"),
        ("A cat sits on B", "several_answers"),
        ("a cat and a dog", "several_options"),
        ("B. cat", "contradiction"),
        ("not B", "negated_only"),
        ("I'm sorry, I cannot see the image.", "refusal"),
        ("无法确定", "refusal"),
        ("elephant", "no_answer"),
        ("Car", "no_answer"),
        ("E", "not_an_option"),
        ("(E) dog", "not_an_option"),
        ("Because of that", "no_answer"),
    ],
)
def test_never_guesses_and_says_why(reply: str, reason: str) -> None:
    assert robust(reply, choices=ANIMALS) == (None, reason)


def test_option_texts_in_chinese_with_negation() -> None:
    assert robust("蓝色的", choices=COLOURS) == ("B", "option_text_mention")
    assert robust("不是红色，是蓝色", choices=COLOURS) == ("B", "option_text_mention")
    assert robust("红色和蓝色", choices=COLOURS) == (None, "several_options")


def test_longer_option_text_covers_the_shorter_one_inside_it() -> None:
    fruit = ["apple", "pineapple", "apple pie", "APPLE"]
    assert robust("I see an apple pie here", choices=fruit) == ("C", "option_text_mention")
    assert robust("apple", choices=fruit) == (None, "ambiguous_text")


def test_numbers_are_not_found_inside_numbers() -> None:
    assert robust("There are 12 of them", choices=["12", "120", "1", "21"]) == ("A", "option_text_mention")
    assert robust("about 1.5", choices=["1", "5", "15", "51"]) == (None, "no_answer")


def test_option_text_that_names_a_letter_wins_over_the_letter_inside_it() -> None:
    assert robust("C. only A", choices=["all of them", "none", "only A", "A and B"]) == ("C", "letter_and_text")


def test_yes_and_no_as_options_are_read_as_a_yes_no_reply() -> None:
    assert robust("Yes, there is no cat", choices=["Yes", "No"]) == ("A", "leading")
    assert robust("I know", choices={"A": "Yes", "B": "No"}) == (None, "neither")


def test_more_than_four_options_and_lower_case_labels() -> None:
    assert robust("The answer is H.", choices=list("stuvwxyz")) == ("H", "stated")
    assert robust("The answer is b", choices={"a": "cat", "b": "dog"}) == ("b", "stated")


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Yes.", "yes"),
        ("no, there isn't", "no"),
        ("是", "yes"),
        ("否", "no"),
        ("有", "yes"),
        ("没有", "no"),
        ("不是", "no"),
        ("是的，图中没有猫", "yes"),
        ("图中没有狗", "no"),
        ("没错", "yes"),
        ("答案是否", "no"),
        ("Ｙｅｓ", "yes"),
        ("**No**", "no"),
        ("Yes, there is no cat", "yes"),
        ("There is no dog", "no"),
        ("The answer is no.", "no"),
        ("(A) yes", "yes"),
        ("N", "no"),
        ("In the image, yes", "yes"),
        ("I do not think so", "no"),
        ("<think>no</think>yes", "yes"),
        ("Yes, it is. No other dogs.", "yes"),
    ],
)
def test_reads_yes_and_no(reply: str, value: str) -> None:
    assert yes_no(reply)[0] == value


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        ("?!", "empty"),
        ("yes and no", "both"),
        ("no/yes", "both"),
        ("Yes, the answer is no", "both"),
        ("know", "neither"),
        ("snow", "neither"),
        ("I cannot see the image", "neither"),
        ("是否", "neither"),
        ("不知道", "neither"),
        ("有没有", "neither"),
    ],
)
def test_both_and_neither_are_no_answer(reply: str, reason: str) -> None:
    assert yes_no(reply) == (None, reason)


@pytest.mark.parametrize(
    "reply",
    [
        "答案是B",
        "答案应该是B",
        "答案为B",
        "选B",
        "应选B",
        "故选：B",
        "我选择B",
        "选项B正确",
        "【答案】B",
        "B选项",
        "B。因为它在左边",
        "答案應該是B",
        "答案為Ｂ",
        "選B",
        "應選B",
        "故選：Ｂ",
        "我選擇B",
        "選項B正確",
        "【答案】Ｂ",
        "B項",
        "Ｂ。因為它在左邊",
    ],
)
def test_chinese_statements_are_read_in_both_scripts(reply: str) -> None:
    assert robust(reply, choices=COLOURS)[0] == "B"


@pytest.mark.parametrize(
    ("simple", "traditional", "value"),
    [
        ("对", "對", "yes"),
        ("对的", "對的", "yes"),
        ("没错", "沒錯", "yes"),
        ("正确", "正確", "yes"),
        ("会", "會", "yes"),
        ("没有", "沒有", "no"),
        ("并没有", "並沒有", "no"),
        ("错误", "錯誤", "no"),
        ("不对", "不對", "no"),
        ("无", "無", "no"),
        ("图中没有狗", "圖中沒有狗", "no"),
        ("答案应该是否", "答案應該是否", "no"),
        ("有没有", "有沒有", None),
        ("无法判断", "無法判斷", None),
        ("不确定", "不確定", None),
    ],
)
def test_yes_and_no_are_read_in_both_scripts(simple: str, traditional: str, value: str | None) -> None:
    assert (yes_no(simple)[0], yes_no(traditional)[0]) == (value, value)


def test_options_in_traditional_characters_are_found_by_their_text() -> None:
    assert robust("圖中是無線電。", choices=["電視", "無線電"]) == ("B", "option_text_mention")
    assert robust("確認", choices=["確認", "取消"])[0] == "A"


@settings(max_examples=200, deadline=None)
@given(REPLIES, st.one_of(st.none(), st.just(ANIMALS), st.lists(st.text(max_size=8), min_size=1, max_size=6)))
def test_any_reply_gives_an_offered_letter_or_none(reply: str, choices: object) -> None:
    value, rule = robust(reply, choices=choices)  # type: ignore[arg-type]
    assert rule
    assert value is None or value in option_map(choices)  # type: ignore[arg-type]
    answer, rule = yes_no(reply)
    assert rule
    assert answer in ("yes", "no", None)


@settings(max_examples=200, deadline=None)
@given(REPLIES)
def test_cleaning_and_folding_are_idempotent(reply: str) -> None:
    assert clean_reply(clean_reply(reply)) == clean_reply(reply)
    assert fold(fold(reply)) == fold(reply)


@settings(max_examples=50, deadline=None)
@given(st.permutations(list("ABCD")), st.sampled_from(["dog", "The answer is dog", "It is a dog."]))
def test_an_option_text_follows_its_option_through_any_rotation(order: list[str], reply: str) -> None:
    rotated = dict(zip(order, ANIMALS.values(), strict=True))
    value, _ = robust(reply, choices=rotated)
    assert value is not None
    assert rotated[value] == "dog"


@pytest.mark.parametrize(
    "unit", ["B ", "not A but ", "answer is ", "<think>", "\\boxed{", "答案是", "no, ", " \n", "dog ", "1,0"]
)
def test_long_replies_are_read_in_linear_time(unit: str) -> None:
    """A megabyte of the worst unit took 1.3 s when this was written; a quadratic rule would take hours."""
    text = unit * (100_000 // len(unit))
    started = time.process_time()
    for name in EXTRACTORS:
        get_extractor(name)(text, choices=ANIMALS)
    assert time.process_time() - started < 20


def test_extractors_are_found_by_name() -> None:
    assert get_extractor("robust")("(B)", choices=ANIMALS) == ("B", "letter")
    assert get_extractor("yes_no")("No.") == ("no", "leading")
    assert get_extractor("verbatim")("  a cat\n") == ("a cat", "verbatim")


SIGNS = [".", "。", "，", " ", "\n", "\r\n", "A.", "B)", "（Ｂ）", "**", "A", "B", "Ａ", "１２", "12"]
WORDS = ["答案是", "选", "選", "沒有", "没有", "不是", "是", "yes", "no", "the", "the answer is", "not", "cat", "dog"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS + SIGNS), max_size=6).map("".join))
def test_width_script_and_line_ends_do_not_change_what_is_read(reply: str) -> None:
    """The same reply in another width or script, or from another system; and an answer reads as itself."""
    choices = {"A": "cat", "B": "dog", "C": "12", "D": "是"}
    plain = unicodedata.normalize("NFKC", reply).replace("\r\n", "\n").replace("選", "选").replace("沒", "没")
    for extract in (robust, yes_no):
        value, _ = extract(reply, choices=choices)
        assert extract(plain, choices=choices)[0] == value
        assert extract(f" {reply}\n", choices=choices)[0] == value
        assert extract(reply, choices=list(choices.values()))[0] == value
        assert value is None or extract(value, choices=choices)[0] == value
