"""What holds for any text: no exception, scores in range, order of references irrelevant, normalising twice is once."""

from __future__ import annotations

import random
from typing import Any

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from evals.metrics import get_metric, textvqa, vqa
from evals.metrics.anls import fold
from evals.metrics.edit import words
from evals.metrics.exact import NORMALISATIONS
from evals.metrics.rows import check_rows
from evals.metrics.token_f1 import normalise_answer

# Texts made of the pieces that the rules look at, and any text at all: control, bidi and astral characters included.
PIECES = [
    "a", "the", "one", "none", "1,0", "2.5", ".", "...", " ", "  ", "-", "/", '"', "?", ",", "'s", "dont", "couldnt've",
    "somebody'd", "[", "]", "\n", "\t", "\r", "٣,٠", "İ", "ß", "%", "45%", "1e2", "nan", "inf", "[3, 4]", "['a', 'b']",
    "\u2028", "\u202e", "\u200b", "\x00", "红色", "👍🏽",
]  # fmt: skip
TEXT = st.one_of(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text(max_size=30))
REFERENCES = st.lists(TEXT, min_size=1, max_size=10)
FEW = settings(max_examples=60, deadline=None)

SAMPLE_METRICS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("vqa_accuracy", {}, {}),
    ("textvqa_accuracy", {}, {}),
    ("anls", {}, {}),
    ("anls", {"threshold": 0.0}, {}),
    ("relaxed_accuracy", {}, {}),
    ("ocrbench", {}, {"dataset": "HME100k"}),
    ("ocrbench", {}, {"dataset": "IIIT5K"}),
    ("exact_match", {"normalise": list(NORMALISATIONS)}, {}),
    ("gqa", {}, {}),
    ("token_f1", {}, {}),
    ("ned", {}, {}),
    ("wer", {}, {}),
    ("cer", {}, {}),
]


@pytest.mark.parametrize(("name", "options", "columns"), SAMPLE_METRICS)
@FEW
@given(prediction=TEXT, references=REFERENCES, seed=st.integers(0, 9))
def test_any_text_scores_in_range_whatever_the_order_of_references(
    name: str, options: dict[str, Any], columns: dict[str, Any], prediction: str, references: list[str], seed: int
) -> None:
    metric = get_metric(name, **options)
    shuffled = random.Random(seed).sample(references, len(references))
    given_columns = {column: [value, value] for column, value in columns.items()}
    first, second = metric.score_samples([prediction] * 2, [references, shuffled], **given_columns)
    assert first is not None
    assert first == second
    assert first >= 0
    assert first <= 1 or name in ("wer", "cer")


@pytest.mark.parametrize(("name", "options", "columns"), SAMPLE_METRICS)
@FEW
@given(references=st.lists(TEXT, min_size=1, max_size=3))
def test_a_reference_given_as_the_answer_is_as_good_as_can_be(
    name: str, options: dict[str, Any], columns: dict[str, Any], references: list[str]
) -> None:
    if name in ("vqa_accuracy", "textvqa_accuracy"):
        references = references[:1] * 10
    given_columns = {column: [value] for column, value in columns.items()}
    (score,) = get_metric(name, **options).score_samples([references[0]], [references], **given_columns)
    expected = 0.0 if name in ("wer", "cer") else 1.0
    if name == "token_f1" and not normalise_answer(references[0]):  # nothing left to share, as the official script says
        expected = 0.0
    not_a_number = name == "relaxed_accuracy" and score == 0  # "nan" differs from itself, "inf" has no tolerance
    assert score == expected or (not_a_number and any(word in references[0].lower() for word in ("nan", "inf", "e")))


@FEW
@given(prediction=TEXT, reference=TEXT, year=st.sampled_from(["YES", "NO"]))
def test_chartqapro_takes_any_text(prediction: str, reference: str, year: str) -> None:
    (score,) = get_metric("chartqapro").score_samples([prediction], [[reference]], year=[year])
    assert score is not None
    assert 0 <= score <= 1


@pytest.mark.parametrize("normalise", [vqa.trim, fold, *NORMALISATIONS.values()])
@FEW
@given(text=TEXT)
def test_normalising_twice_is_normalising_once(normalise: Any, text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize("normalise", [vqa.normalise, textvqa.normalise])
@FEW
@given(
    text=st.lists(st.sampled_from(["red", "two", "the", "Dog", "dont", "can't", "1,000", "?", "- ", " "])).map(" ".join)
)
def test_vqa_normalisation_of_plain_answers_settles_at_once(normalise: Any, text: str) -> None:
    """Not so for any text: a mark that becomes a space uncovers a word (``one/a``); the official rules pass once."""
    once = normalise(text)
    assert normalise(once) == once


@FEW
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_error_rates_of_a_set_equal_jiwer(rows: list[tuple[str, str]]) -> None:
    predictions = [prediction for prediction, _ in rows]
    references = [reference for _, reference in rows]
    expected = jiwer.process_words(references, predictions)
    lists = [[reference] for reference in references]
    assert get_metric("wer").compute(predictions, lists) == pytest.approx(
        {"wer": expected.wer, "mer": expected.mer, "wil": expected.wil}
    )
    assert get_metric("cer").compute(predictions, lists) == pytest.approx({"cer": jiwer.cer(references, predictions)})
    assert all(word and " " not in word for prediction in predictions for word in words(prediction))


@FEW
@given(prediction=TEXT, reference=TEXT)
def test_anls_without_a_threshold_is_the_plain_normalised_distance(prediction: str, reference: str) -> None:
    (score,) = get_metric("anls", threshold=0.0).score_samples([prediction], [[reference]])
    longest = max(len(prediction.upper()), len(reference.upper()))
    distance = Levenshtein.distance(fold(prediction), fold(reference)) / longest if longest else 0.0
    assert score == pytest.approx(max(0, 1 - distance))  # "İ" is longer in lower case than in upper


@FEW
@given(predictions=st.lists(st.none() | TEXT, max_size=4))
def test_checked_rows_keep_failed_requests(predictions: list[str | None]) -> None:
    check_rows("anls", predictions, [["x"]] * len(predictions))
