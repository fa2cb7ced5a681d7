"""The free-form metrics one by one: the rules that make them what they are, and what they refuse."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from evals.errors import DataError, SpecError
from evals.metrics import get_metric
from evals.metrics.vqa import leave_one_out, normalise

TEN_YES = ["yes"] * 10


def score(
    name: str, prediction: str | None, references: list[str], options: dict[str, Any] | None = None, **columns: Any
) -> float | None:
    metric = get_metric(name, **(options or {}))
    return metric.score_samples([prediction], [references], **{key: [value] for key, value in columns.items()})[0]


class TestVqa:
    @pytest.mark.parametrize(("matches", "expected"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
    def test_three_of_the_other_nine_make_an_answer_right(self, matches: int, expected: float) -> None:
        assert leave_one_out(matches, 10) == pytest.approx(expected)

    def test_where_all_agree_nothing_is_normalised(self) -> None:
        assert score("vqa_accuracy", "Yes", TEN_YES) == 0
        assert score("vqa_accuracy", " yes\n", TEN_YES) == 1
        assert score("vqa_accuracy", "Yes", [*TEN_YES[:-1], "no"]) == 1

    def test_textvqa_always_normalises(self) -> None:
        assert score("textvqa_accuracy", "Yes.", TEN_YES) == 1

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("The red car.", "red car"),
            ("2.5.", "2.5"),
            ("red/white", "red white"),
            ("red /white-blue", "red white blue"),
            ("1,000 red/white", "1000 redwhite"),
            ("dont", "don't"),
            ("Im", "im"),
            ("none of ten", "0 of 10"),
            ("." * 33 + "x", ".x"),
        ],
    )
    def test_normalisation(self, text: str, expected: str) -> None:
        assert normalise(text) == expected

    def test_means_by_answer_type_and_question_type(self) -> None:
        found = get_metric("vqa_accuracy").compute(
            ["yes", "2", None], [TEN_YES, ["3"] * 10, TEN_YES],
            answer_type=["yes/no", "number", "yes/no"], question_type=["is the", "how many", None],
        )  # fmt: skip
        assert found == {
            "vqa_accuracy": 0.5, "answer_type=number": 0.0, "answer_type=yes/no": 1.0,
            "question_type=how many": 0.0, "question_type=is the": 1.0,
        }  # fmt: skip


class TestAnls:
    def test_exactly_the_threshold_counts(self) -> None:
        assert score("anls", "ab", ["abcd"]) == 0.5
        assert score("anls", "ab", ["abcd"], {"threshold": 0.51}) == 0

    def test_padding_helps_because_the_raw_length_divides(self) -> None:
        assert score("anls", "wxyz      ", ["abcd"]) == pytest.approx(0.6)

    def test_the_nearest_reference_counts_and_empty_equals_empty(self) -> None:
        assert score("anls", "Cat", ["dog", "cat"]) == 1
        assert score("anls", "", [""]) == 1

    def test_a_threshold_out_of_range_is_refused(self) -> None:
        with pytest.raises(SpecError, match="threshold"):
            get_metric("anls", threshold=5)


class TestRelaxed:
    @pytest.mark.parametrize(
        ("prediction", "reference", "expected"),
        [
            ("105", "100", 1), ("105%", "100%", 0), ("45%", "0.45", 1), ("45", "45%", 0),
            ("0.0", "0", 0), ("0", "0", 1), ("1_00", "100", 1), ("10,000", "10000", 0), ("Yes", "yes", 1),
            ("Yes.", "Yes", 0), ("inf", "inf", 0), ("2000", "1998", 1),
        ],
    )  # fmt: skip
    def test_rules(self, prediction: str, reference: str, expected: float) -> None:
        assert score("relaxed_accuracy", prediction, [reference]) == expected

    def test_chartqapro_is_another_metric(self) -> None:
        assert score("chartqapro", "2000", ["1998"], year="YES") == 0
        assert score("chartqapro", "[3, x]", ["[3, 4]"], year="NO") == 0
        assert score("chartqapro", "['3', '5']", ["[3, 4]"], year="NO") == 0.5
        assert (
            score("chartqapro", "['2001', '5']", ["[2001, 5]"], year=["NO", "YES"], question_type="Conversational") == 1
        )
        with pytest.raises(DataError, match="year of row 0"):
            score("chartqapro", "1", ["1"], year=None)


class TestOcrBench:
    def test_text_is_found_anywhere_in_lower_case(self) -> None:
        assert score("ocrbench", "RM 19.00", ["9.00"], dataset="SROIE") == 1
        assert score("ocrbench", "x = Y", ["x=y"], dataset="IIIT5K") == 0

    def test_formulas_keep_case_and_lose_spaces(self) -> None:
        assert score("ocrbench", "x = y", ["x=y"], dataset="HME100k") == 1
        assert score("ocrbench", "X=y", ["x=y"], question_type="Handwritten Mathematical Expression Recognition") == 0

    def test_numbers_by_type_and_out_of_1000(self) -> None:
        kinds = ["Regular Text Recognition", "Digit String Recognition", "Doc-oriented VQA", "Doc-oriented VQA"]
        found = get_metric("ocrbench").compute(["a", "b", "c", None], [["a"], ["x"], ["c"], ["d"]], question_type=kinds)
        assert found["ocrbench"] == pytest.approx(2 / 3)
        assert found["score_of_1000"] == pytest.approx(2000 / 3)
        assert found["text_recognition"] == 0.5
        assert found["question_type=Doc-oriented VQA"] == 1

    def test_it_must_know_formulas_from_text(self) -> None:
        with pytest.raises(DataError, match="'dataset' or 'question_type'"):
            score("ocrbench", "a", ["a"])


class TestExactMatch:
    @pytest.mark.parametrize(
        ("steps", "prediction", "reference", "expected"),
        [
            ("none", "a ", "a", 0), ("strip", "a ", "a", 1), ("lower", "A", "a", 1), ("alnum", "a-1!", "a1", 1),
            (["lower", "punctuation", "collapse"], "It's  Red.", "its red", 1), (["articles"], "the cat", "cat", 1),
            (["nfkc"], "ＡＢ", "AB", 1), ("casefold", "STRASSE", "straße", 1),
        ],
    )  # fmt: skip
    def test_named_normalisations(self, steps: Any, prediction: str, reference: str, expected: float) -> None:
        assert score("exact_match", prediction, [reference], {"normalise": steps}) == expected

    def test_an_unknown_normalisation_names_the_nearest(self) -> None:
        with pytest.raises(SpecError, match="Did you mean 'lower'"):
            get_metric("exact_match", normalise="lowr")

    def test_gqa_is_equality(self) -> None:
        assert score("gqa", "dog", ["dog"]) == 1
        assert score("gqa", "Dog", ["dog"]) == 0


class TestEditMetrics:
    def test_rates_of_a_set_pool_edits(self) -> None:
        assert get_metric("wer").compute(["a b c d", "x"], [["a b c d"], ["y"]])["wer"] == pytest.approx(1 / 5)
        assert get_metric("cer").score_samples(["ab", None], [["abcd"], ["x"]]) == [0.5, None]

    def test_the_reference_with_the_lowest_rate_counts(self) -> None:
        assert score("wer", "a b", ["x y z", "a b"]) == 0

    def test_an_empty_reference_counts_its_insertions(self) -> None:
        assert score("wer", "", [""]) == 0
        assert score("wer", "a b", [""]) == 2

    def test_similarity_and_distance_are_both_given(self) -> None:
        assert get_metric("ned").compute(["ab"], [["abcd"]]) == {"one_minus_ned": 0.5, "ned": 0.5}


FREE_FORM = ["vqa_accuracy", "textvqa_accuracy", "anls", "relaxed_accuracy", "exact_match", "gqa", "wer", "cer", "ned"]


@pytest.mark.parametrize("name", FREE_FORM)
class TestBadInput:
    def test_unequal_lengths_are_refused(self, name: str) -> None:
        with pytest.raises(DataError, match="predictions 2, references 1"):
            get_metric(name).score_samples(["a", "b"], [["a"]])

    def test_an_empty_reference_list_is_named_by_its_row(self, name: str) -> None:
        with pytest.raises(DataError, match="row 1 is empty"):
            get_metric(name).compute(["a", "b"], [["a"], []])

    def test_a_failed_request_has_no_score_and_lowers_no_mean(self, name: str) -> None:
        scores = get_metric(name).score_samples([None, "a"], [["a"] * 10, ["a"] * 10])
        assert scores[0] is None
        assert scores[1] is not None
        numbers = get_metric(name).compute([None], [["a"]])
        assert set(numbers.values()) == {None} or name in ("wer", "cer")

    @pytest.mark.parametrize("cell", [None, math.nan, 3])
    def test_a_reference_that_is_no_text_is_refused(self, name: str, cell: Any) -> None:
        with pytest.raises(DataError, match="a reference of row 0"):
            get_metric(name).score_samples(["a"], [["a", cell]])

    def test_a_nan_prediction_hints_at_the_spreadsheet(self, name: str) -> None:
        with pytest.raises(DataError, match=r"prediction of row 0 .*spreadsheet"):
            get_metric(name).score_samples([math.nan], [["a"]])  # type: ignore[list-item]

    def test_references_as_one_text_are_refused(self, name: str) -> None:
        with pytest.raises(DataError, match="list of texts"):
            get_metric(name).score_samples(["a"], ["a"])

    def test_a_megabyte_is_scored_at_once(self, name: str) -> None:
        huge = "word. " * 180_000
        started = time.process_time()
        (found,) = get_metric(name).score_samples([huge], [["word", "yes, the word"]])
        assert found is not None
        assert time.process_time() - started < 5


def test_huge_lists_do_not_reach_the_parser() -> None:
    assert score("chartqapro", "[" * 1_000_000, ["[3, 4]"], year="NO") == 0
    assert score("chartqapro", "-" * 9_000 + "[1]", ["[3, 4]"], year="NO") == 0
