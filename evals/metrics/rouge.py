"""ROUGE-L of captions.

    F = (1 + b²) P R / (R + b² P),  b = 1.2,  P = LCS / predicted length,  R = LCS / reference length   (Lin 2004)

where P and R are each the largest over the references, not of one reference. LCS is the longest common subsequence of
tokens, which single spaces separate here: a no-break space inside a token stays, an empty caption is one empty token.

Source: pycocoevalcap 1.2 rouge/rouge.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import Any

from rapidfuzz.distance import LCSseq

from evals.metrics.base import Scores, Statistic, mean_statistic
from evals.metrics.captions import CaptionMetric, CaptionSet

BETA_SQUARED = 1.2**2


def rouge_l(prediction: Sequence[int], references: Sequence[Sequence[int]]) -> float:
    """ROUGE-L in [0, 1] of one caption, given as numbered tokens, none of them empty."""
    common = [(LCSseq.similarity(prediction, reference), len(reference)) for reference in references]
    precision = max(length for length, _ in common) / len(prediction)
    recall = max(length / expected for length, expected in common)
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + BETA_SQUARED) * precision * recall / (recall + BETA_SQUARED * precision)


def rouge_scores(captions: CaptionSet) -> Scores:
    """ROUGE-L of each row; None for a failed request."""
    # Numbers stand for themselves in rapidfuzz, texts would be compared by their hashes.
    numbers: defaultdict[str, int] = defaultdict(count().__next__)

    def numbered(caption: str) -> list[int]:
        return [numbers[token] for token in caption.split(" ")]

    return [
        None if prediction is None else rouge_l(numbered(prediction), [numbered(one) for one in accepted])
        for prediction, accepted in zip(captions.predictions, captions.references, strict=True)
    ]


class RougeL(CaptionMetric):
    """Mean ROUGE-L F-measure."""

    name = "rouge_l"
    headline = "rouge_l"
    source = "pycocoevalcap 1.2 Rouge, after PTB tokenisation"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """One score in [0, 1] a row."""
        return rouge_scores(self.caption_set(predictions, references, columns))

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """The mean."""
        return [mean_statistic(self.headline, self.score_samples(predictions, references, **columns))]
