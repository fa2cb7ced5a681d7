"""Multiple choice by likelihood."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError, SpecError
from evals.metrics.registry import get_metric


def test_the_most_likely_option_is_the_answer_by_sum_and_by_token() -> None:
    got = get_metric("choice_likelihood").compute(
        ["", ""], [["A"], ["B"]], choice_scores=[[-2.0, -3.0], [-4.0, -6.0]], choice_tokens=[[1, 1], [1, 3]]
    )
    assert got == {"accuracy": 0.5, "accuracy_per_token": 1.0}


def test_priors_calibrate_away_what_is_likely_without_the_question() -> None:
    got = get_metric("choice_likelihood").compute(
        [""], [["B"]], choice_scores=[[-1.0, -2.0]], choice_priors=[[-1.0, -5.0]]
    )
    assert got == {"accuracy": 0.0, "accuracy_calibrated": 1.0}


def test_options_may_be_named_and_ties_go_to_the_first() -> None:
    metric = get_metric("choice_likelihood")
    assert metric.score_samples([""], [["dog"]], choice_scores=[{"cat": -3.0, "dog": -1.0}]) == [1.0]
    assert metric.score_samples([""], [["A"]], choice_scores=[[-1.0, -1.0]]) == [1.0]


def test_failed_requests_have_no_score_and_token_counts_are_optional() -> None:
    got = get_metric("choice_likelihood").compute([None, ""], [["A"], ["A"]], choice_scores=[None, [-1, -2]])
    assert got == {"accuracy": 1.0}


@pytest.mark.parametrize(
    ("scores", "tokens", "message"),
    [
        ([math.nan, -1.0], [1, 1], "'choice_scores' is"),
        ([], [1, 1], "'choice_scores' is"),
        ([-1.0, -2.0], [1], "2 options have scores and 1 have choice_tokens"),
        ([-1.0, -2.0], [0, 1], "token counts of at least 1"),
    ],
)
def test_malformed_scores_are_named_by_row(scores: list[float], tokens: list[int], message: str) -> None:
    with pytest.raises(DataError, match=f"row 0: .*{message}"):
        get_metric("choice_likelihood").compute([""], [["A"]], choice_scores=[scores], choice_tokens=[tokens])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-100, 0), min_size=2, max_size=5), st.integers(1, 9))
def test_equal_lengths_make_both_numbers_agree(scores: list[float], length: int) -> None:
    got = get_metric("choice_likelihood").compute(
        [""], [["A"]], choice_scores=[[s * length for s in scores]], choice_tokens=[[length] * len(scores)]
    )
    assert got["accuracy"] == float(max(scores) == scores[0])


def test_batch_calibration_takes_out_what_a_model_likes_about_a_letter() -> None:
    """Two questions; the model gives A a bonus of 2 nats in both. Mean probabilities are the priors."""
    metric = get_metric("choice_likelihood", calibrate="batch")
    got = metric.compute(["", ""], [["A"], ["B"]], choice_scores=[[-1.0, -4.0], [-1.0, -2.0]])
    assert got == {"accuracy": 0.5, "accuracy_calibrated": 1.0}
    assert metric.needs == "corpus"
    assert get_metric("choice_likelihood").needs == "sample"


def test_batch_priors_are_those_of_questions_with_as_many_options() -> None:
    """Questions of two options have one set of priors, those of three another; failed rows have none."""
    metric = get_metric("choice_likelihood", calibrate="batch")
    scores = [[-1.0, -4.0], [-1.0, -2.0], [-3.0, -2.0, -1.0], [-1.0, -2.0, -3.0], None]
    got = metric.compute(["", "", "", "", None], [["A"], ["B"], ["C"], ["A"], ["A"]], choice_scores=scores)
    assert got == {"accuracy": 0.75, "accuracy_calibrated": 1.0}


def test_given_priors_go_before_those_of_the_batch() -> None:
    metric = get_metric("choice_likelihood", calibrate="batch")
    got = metric.compute([""], [["B"]], choice_scores=[[-1.0, -2.0]], choice_priors=[[-1.0, -5.0]])
    assert got["accuracy_calibrated"] == 1.0


def test_an_unknown_calibration_is_an_error() -> None:
    with pytest.raises(SpecError, match="expected none or batch"):
        get_metric("choice_likelihood", calibrate="yes")
