"""HallusionBench: answers, questions over figures, figures over questions; the two protocols."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError, SpecError
from evals.metrics.registry import get_metric

# Two questions (0, 1), each on figure 0 (none) and figure 1, in the supplement category.
ROWS = {
    "category": ["VS"] * 4,
    "subcategory": ["map"] * 4,
    "set_id": ["0"] * 4,
    "figure_id": ["0", "0", "1", "1"],
    "question_id": ["0", "1", "0", "1"],
}


def test_unclear_without_a_figure_is_right_officially_and_such_rows_stay_out_of_facc() -> None:
    replies = ["I cannot tell.", "no", "Yes", "Yes"]
    references = [["1"], ["0"], ["1"], ["0"]]
    official = get_metric("hallusion_bench").compute(replies, references, **ROWS)
    assert official == {"aAcc": 0.75, "qAcc": 0.5, "fAcc": 0.0}
    suite = get_metric("hallusion_bench", protocol="vlmevalkit").compute(replies, references, **ROWS)
    assert suite == {"aAcc": 0.5, "qAcc": 0.0, "fAcc": 0.0}


def test_figure_accuracy_needs_all_questions_on_a_figure() -> None:
    got = get_metric("hallusion_bench", protocol="vlmevalkit").compute(
        ["Yes", "No", "Yes", "Yes"], [["Yes"], ["No"], ["Yes"], ["No"]], **ROWS
    )
    assert got == {"aAcc": 0.75, "qAcc": 0.5, "fAcc": 0.5}


def test_answers_may_be_given_in_the_data_sets_own_codes() -> None:
    scores = get_metric("hallusion_bench").score_samples(
        ["?"] * 4, [["1"], ["0"], ["yes"], ["no"]], extracted=["1", "no", "1", "1"], **ROWS
    )
    assert scores == [1.0, 1.0, 1.0, 0.0]


def test_a_judges_words_or_codes_replace_the_rule() -> None:
    metric = get_metric("hallusion_bench")
    by_code = metric.score_samples(["?"] * 4, [["1"]] * 4, judgement=["2", 1, 2, "0"], **ROWS)
    by_word = metric.score_samples(
        ["?"] * 4, [["1"]] * 4, judgement=["unclear", "correct", "Unclear", "incorrect"], **ROWS
    )
    assert by_code == by_word == [1.0, 1.0, 0.0, 0.0]


def test_a_failed_request_leaves_its_groups_unknown_unless_a_row_is_wrong() -> None:
    got = get_metric("hallusion_bench", protocol="vlmevalkit").compute(
        [None, "No", "Yes", "Yes"], [["Yes"], ["No"], ["Yes"], ["No"]], **ROWS
    )
    assert got == {"aAcc": pytest.approx(2 / 3), "qAcc": 0.0, "fAcc": 0.0}


def test_bad_options_and_judgements_are_named() -> None:
    with pytest.raises(SpecError, match="protocol 'judge' is none of official, vlmevalkit"):
        get_metric("hallusion_bench", protocol="judge")
    with pytest.raises(DataError, match="row 0: judgement 'maybe' is none of correct"):
        get_metric("hallusion_bench").compute(["?"] * 4, [["1"]] * 4, judgement=["maybe"] * 4, **ROWS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["yes", "no", "hm", "", None]), min_size=4, max_size=4))
def test_official_aacc_is_never_below_the_rule_only_one(replies: list[str | None]) -> None:
    references = [["yes"], ["no"], ["yes"], ["no"]]
    official = get_metric("hallusion_bench").compute(replies, references, **ROWS)
    suite = get_metric("hallusion_bench", protocol="vlmevalkit").compute(replies, references, **ROWS)
    assert all(value is None or 0 <= value <= 1 for value in [*official.values(), *suite.values()])
    if official["aAcc"] is not None:
        assert official["aAcc"] >= (suite["aAcc"] or 0)
