"""Token F1 and exact match of SQuAD 1.1, as WebSRC and other extractive question sets score."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import check_rows

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, then without the articles a, an and the, white space collapsed.

    Source: normalize_answer of the official SQuAD 1.1 evaluation script.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(prediction: str, reference: str) -> float:
    """F1 between two bags of blank-separated tokens after normalisation; 0.0 where they share none.

    Two answers that are both empty after normalisation share nothing: 0.0, as in the official script of SQuAD 1.1.
    """
    found, wanted = normalise_answer(prediction).split(), normalise_answer(reference).split()
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted)) if shared else 0.0


class TokenF1(Metric):
    """The best token F1 over a sample's references (``f1``, the headline), and exact match after normalisation."""

    name = "token_f1"
    headline = "f1"
    source = "SQuAD 1.1 evaluate-v1.1.py: f1_score, exact_match_score, metric_max_over_ground_truths"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """F1 in [0, 1]; None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        return [
            None if prediction is None else max(token_f1(prediction, str(reference)) for reference in given)
            for prediction, given in zip(predictions, references, strict=True)
        ]

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """``f1`` and ``exact_match``."""
        scores = self.score_samples(predictions, references, **columns)
        exact: Scores = [
            None
            if prediction is None
            else float(normalise_answer(prediction) in {normalise_answer(str(reference)) for reference in given})
            for prediction, given in zip(predictions, references, strict=True)
        ]
        return [mean_statistic("f1", scores), mean_statistic("exact_match", exact)]
