"""The caption tokenizer and metrics equal pycocoevalcap on every golden case, without Java."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.metrics import get_metric
from evals.metrics.ptb import tokenize

TOLERANCE = 1e-6


def golden(shared: Path, name: str) -> dict[str, Any]:
    return json.loads((shared / "golden" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_caption_is_tokenised_as_the_java_program_does(shared: Path) -> None:
    cases = golden(shared, "ptb_tokenizer")["cases"]
    differing = [case["prediction"] for case in cases if tokenize(case["prediction"]) != case["score"]]
    assert cases
    assert not differing


@pytest.mark.parametrize("corpus", ["varied_ref_counts", "two_images", "edges"])
def test_cider_d_of_each_corpus(shared: Path, corpus: str) -> None:
    data = golden(shared, "cider_d")
    cases = [case for case in data["cases"] if case["corpus"] == corpus]
    predictions, references = [c["prediction"] for c in cases], [c["references"] for c in cases]
    scores = get_metric("cider_d").score_samples(predictions, references)
    assert scores == pytest.approx([case["score"] for case in cases], abs=TOLERANCE)
    value = get_metric("cider", tokenizer="none").compute(predictions, references)["cider"]
    assert value == pytest.approx(data["aggregate"][corpus]["cider_d"], abs=TOLERANCE)


def test_coco_captions_from_raw_text(shared: Path) -> None:
    data = golden(shared, "coco_caption")
    cases, expected = data["cases"], data["aggregate"]["first10"]
    predictions, references = [c["prediction"] for c in cases], [c["references"] for c in cases]
    assert [tokenize(text) for text in predictions] == [case["tokenized_prediction"] for case in cases]
    assert [[tokenize(t) for t in texts] for texts in references] == [case["tokenized_references"] for case in cases]
    found = get_metric("bleu").compute(predictions, references)
    assert [found[f"bleu_{n}"] for n in (1, 2, 3, 4)] == pytest.approx(expected["Bleu"], abs=TOLERANCE)
    assert get_metric("rouge_l").compute(predictions, references)["rouge_l"] == pytest.approx(expected["ROUGE_L"])
    assert get_metric("cider").compute(predictions, references)["cider"] == pytest.approx(expected["CIDEr"])
    per_image = get_metric("cider").score_samples(predictions, references)
    assert per_image == pytest.approx(expected["CIDEr_per_image"], abs=TOLERANCE)
