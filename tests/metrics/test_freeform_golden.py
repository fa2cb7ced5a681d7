"""The free-form metrics equal the official scorers on every golden case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.metrics import get_metric, textvqa, vqa
from evals.metrics.chartqapro import correctness

TOLERANCE = 1e-9

Case = dict[str, Any]


def cases_of(shared: Path, name: str) -> list[Case]:
    return json.loads((shared / "golden" / f"{name}.json").read_text(encoding="utf-8"))["cases"]


def assert_equal(cases: list[Case], expected: list[float], found: list[float | None]) -> None:
    wrong = [
        (case["prediction"], case["references"], want, got)
        for case, want, got in zip(cases, expected, found, strict=True)
        if got is None or abs(want - got) > TOLERANCE
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("golden", "metric", "key", "columns"),
    [
        ("vqa_v2", "vqa_accuracy", None, ["question_type", "answer_type"]),
        ("textvqa", "textvqa_accuracy", None, []),
        ("anls_docvqa", "anls", None, []),
        ("infovqa", "anls", None, ["answer_type", "evidence", "operation/reasoning"]),
        ("chartqa_relaxed", "relaxed_accuracy", None, ["type"]),
        ("ocrbench", "ocrbench", None, ["dataset", "question_type"]),
        ("wer_cer", "wer", "wer", []),
        ("wer_cer", "cer", "cer", []),
        ("wer_cer", "ned", "one_minus_ned", []),
    ],
)
def test_every_case_scores_as_the_official_scorer_does(
    shared: Path, golden: str, metric: str, key: str | None, columns: list[str]
) -> None:
    cases = cases_of(shared, golden)
    scores = get_metric(metric).score_samples(
        [case["prediction"] for case in cases],
        [case["references"] for case in cases],
        **{name: [case[name] for case in cases] for name in columns},
    )
    assert_equal(cases, [case["score"] if key is None else case["score"][key] for case in cases], scores)


def test_vqa_answers_are_normalised_as_the_official_script_does(shared: Path) -> None:
    for case in cases_of(shared, "vqa_v2"):
        assert vqa.normalise(case["prediction"]) == case["normalized_prediction"]


def test_textvqa_answers_are_normalised_as_the_official_script_does(shared: Path) -> None:
    for case in cases_of(shared, "textvqa"):
        assert textvqa.normalise(case["prediction"]) == case["normalized_prediction"]
        assert [textvqa.normalise(reference) for reference in case["references"]] == case["normalized_references"]


@pytest.mark.parametrize(("column", "flag"), [("score_chartqapro_year_no", "NO"), ("score_chartqapro_year_yes", "YES")])
def test_chartqapro_scores_as_its_script_does(shared: Path, column: str, flag: str) -> None:
    cases = [case for case in cases_of(shared, "chartqa_relaxed") if case[column] is not None]
    found: list[float | None] = [correctness(case["prediction"], case["references"][0], [flag]) for case in cases]
    assert_equal(cases, [case[column] for case in cases], found)


def test_word_alignment_numbers_equal_jiwer(shared: Path) -> None:
    for case in cases_of(shared, "wer_cer"):
        found = get_metric("wer").compute([case["prediction"]], [case["references"]])
        assert found == pytest.approx({name: case["score"][name] for name in ("wer", "mer", "wil")}, abs=TOLERANCE)


def test_infovqa_means_by_answer_type_count_a_sample_in_each_of_its_types(shared: Path) -> None:
    cases = cases_of(shared, "infovqa")
    found = get_metric("anls").compute(
        [case["prediction"] for case in cases],
        [case["references"] for case in cases],
        answer_type=[case["answer_type"] for case in cases],
    )
    for kind in ("image span", "question span", "multiple spans", "non span"):
        of_kind = [case["score"] for case in cases if kind in case["answer_type"]]
        assert found[f"answer_type={kind}"] == pytest.approx(sum(of_kind) / len(of_kind))
