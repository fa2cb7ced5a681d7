"""The vectors that ship with the project come out as written, and a scorer that drifts is caught."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.metrics.registry import METRICS
from evals.metrics.selfcheck import VECTORS, check_file, check_vectors


def test_every_vector_file_comes_out_as_written() -> None:
    results = check_vectors()
    assert results
    assert {result.file: result.differences for result in results if not result.ok} == {}


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_a_vector_file_names_a_metric_and_has_scored_cases(path: Path) -> None:
    vectors = json.loads(path.read_text(encoding="utf-8"))
    assert vectors["metric"] in METRICS
    assert len(vectors["cases"]) >= 5


def test_a_changed_score_is_reported_with_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "anls.json"
    cases = [{"prediction": "a", "references": ["a"], "score": 0.25}]
    path.write_text(json.dumps({"metric": "anls", "cases": cases, "numbers": {"anls": 1.0}}), encoding="utf-8")
    result = check_file(path)
    assert not result.ok
    assert result.checked == 2
    assert result.differences == ("case 0 ('a'): expected 0.25, found 1.0",)


def test_a_file_without_scores_is_not_good(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.write_text(json.dumps({"metric": "anls", "cases": []}), encoding="utf-8")
    assert not check_file(path).ok
