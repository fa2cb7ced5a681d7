"""Average normalised Levenshtein similarity (ANLS) of DocVQA and InfographicVQA.

    ANLS = mean over questions of max over references of s,  s = 1 - NL if 1 - NL >= threshold else 0
    NL   = edit distance / length                            (Biten et al. 2019, equation 1)

Source: the RRC evaluation script of docvqa.org (infographicsvqa_eval.py). Its ways that are kept: the distance is taken
on lower-cased text with white space collapsed, but divided by the longer *raw* text's length in upper case, so padding
raises the score; two empty texts are equal; a similarity of exactly the threshold counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from evals.errors import SpecError
from evals.metrics.rows import SampleMetric


def fold(text: str) -> str:
    """Lower case, white space collapsed and trimmed."""
    return " ".join(text.lower().split())


def similarity(prediction: str, references: Sequence[str], threshold: float = 0.5) -> float:
    """Similarity in [0, 1] of a prediction to the nearest of its references; 0 below ``threshold``."""
    folded, length = fold(prediction), len(prediction.upper())
    nearest = 1.0
    for reference in references:
        longest = max(length, len(reference.upper()))
        distance = Levenshtein.distance(fold(reference), folded) / longest if longest else 0.0
        nearest = min(nearest, distance)
    found = 1.0 - nearest
    return found if found >= threshold else 0.0


class Anls(SampleMetric):
    """ANLS, also by answer type, evidence and operation where those columns are given (lists are counted in each).

    Args:
        threshold: similarities below it count as 0; in [0, 1], 0.5 in all published results.
    """

    name = "anls"
    headline = "anls"
    optional_columns = ("answer_type", "evidence", "operation/reasoning")
    source = "RRC (docvqa.org) infographicsvqa_eval.py, as shipped in QwenLM/Qwen-VL aa00ed0"

    def __init__(self, threshold: float = 0.5) -> None:
        if not 0 <= threshold <= 1:
            raise SpecError(
                f"Metric 'anls': threshold is {threshold!r}, expected a number from 0 to 1. Published results use 0.5."
            )
        self.threshold = threshold

    def score_one(self, prediction: str, references: Sequence[str]) -> float:
        """Similarity in [0, 1] to the nearest reference."""
        return similarity(prediction, references, self.threshold)
