"""MMMU and CMMMU: official scores, with the expected value where the official code draws at random."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError
from evals.extract.mmmu import parse_open
from evals.metrics.registry import get_metric


def test_every_golden_case_has_the_official_score_or_the_expected_value_of_the_draw(shared: Path) -> None:
    cases = json.loads((shared / "golden/mmmu.json").read_text())["cases"]
    scores = get_metric("mmmu").score_samples(
        [c["prediction"] for c in cases],
        [c["references"] for c in cases],
        question_type=[c["question_type"] for c in cases],
        options=[c.get("options") for c in cases],
    )
    for case, score in zip(cases, scores, strict=True):
        drawn = case.get("random_fallback")
        expected = 1 / len(case["options"]) if drawn else case["score"]
        assert score == pytest.approx(expected, abs=1e-9), case


def test_open_replies_parse_to_the_official_sets(shared: Path) -> None:
    for case in json.loads((shared / "golden/mmmu.json").read_text())["cases"]:
        if case["question_type"] == "open":
            assert {str(v) for v in parse_open(case["prediction"])} == {str(v) for v in case["parsed_set"]}, case


def test_strict_accuracy_stands_beside_the_expected_one() -> None:
    got = get_metric("mmmu").compute(
        ["B", "hm", None, "It is 24."],
        [["B"], ["A"], ["A"], ["24"]],
        question_type=["multiple-choice"] * 3 + ["open"],
        options=[["x", "y"], ["x", "y", "z", "w"], ["x", "y"], []],
    )
    assert got == pytest.approx({"accuracy": 2.25 / 3, "accuracy_strict": 2 / 3})


def test_a_reference_that_no_draw_can_hit_scores_zero() -> None:
    got = get_metric("mmmu").score_samples(["hm"], [["E"]], question_type=["multiple-choice"], options=[["x", "y"]])
    assert got == [0.0]


def test_extracted_letters_replace_the_official_reading() -> None:
    got = get_metric("mmmu").score_samples(
        ["**B**", "**B**"], [["B"], ["B"]], question_type=["multiple-choice"] * 2, choices=[["x", "y"]] * 2,
        extracted=["B", None],
    )  # fmt: skip
    assert got == [1.0, 0.5]


def test_a_choice_question_without_options_is_named() -> None:
    with pytest.raises(DataError, match="row 0: a 'multiple-choice' question without options"):
        get_metric("mmmu").score_samples(["B"], [["B"]], question_type=["multiple-choice"])


CHINESE = {
    "question_type": ["选择"] * 5 + ["填空"] * 4 + ["判断"] * 4,
    "choices": [{"A": "红", "B": "蓝", "C": "绿", "D": "黑"}] * 5 + [None] * 8,
}


def test_cmmmu_scores_its_three_question_types() -> None:
    predictions = ["选B", "(A)和(C)", "蓝", "不知道", "", "答案是3.14", "面积为1，200平方米", "结果是北京", "上海",
                   "这句话是正确的", "错误", "是否正确", "不对"]  # fmt: skip
    references = ["B", "AC", "B", "A", "A", "3.14", "1,200", "北京", "北京", "对", "错", "对", "错"]
    scores = get_metric("cmmmu").score_samples(predictions, [[r] for r in references], **CHINESE)
    # 不对 contains 对, which the official code counts first; 是否正确 is ambiguous, so the official code draws
    assert scores == [1.0, 1.0, 1.0, 0.25, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.5, 0.0]


def test_cmmmu_names_an_unknown_question_type() -> None:
    with pytest.raises(DataError, match="question_type '简答' is none of 选择, 填空, 判断"):
        get_metric("cmmmu").score_samples(["B"], [["B"]], question_type=["简答"])


PIECES = st.sampled_from(["A", "B", "(C)", "is", "so", "是", "为", "=", "1,000", "1e3", "。", ".", "\n", "对", "错"])


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.lists(PIECES).map(" ".join)),
    st.sampled_from(["multiple-choice", "open"]),
    st.sampled_from(["选择", "填空", "判断"]),
)
def test_any_reply_scores_between_zero_and_one(reply: str, kind: str, chinese_kind: str) -> None:
    for name, question_type, reference in (("mmmu", kind, "A"), ("cmmmu", chinese_kind, "对"), ("mmmu", kind, "1000")):
        expected, strict = (
            statistic.value
            for statistic in get_metric(name).statistics(
                [reply], [[reference]], question_type=[question_type], choices=[["cat", "dog", "cow", "ox"]]
            )
        )
        assert expected is not None
        assert strict is not None
        assert 0 <= strict <= expected <= 1
