"""The metric ``near_match``: full marks for the answer, half for one letter off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from evals.metrics.base import Metric, Scores


class NearMatch(Metric):
    """1 for an answer that equals a reference, 0.5 for one that is a single edit away, else 0.

    A mean of per-sample scores needs no more than this: value, interval and comparisons follow from it.
    """

    name = "near_match"
    version = "1"  # raise it whenever a score can change
    headline = "near_match"
    source = "an example; not published"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """One score a row; None for a failed request."""
        self.check(predictions, references, dict(columns))
        return [None if p is None else _score(p, accepted) for p, accepted in zip(predictions, references, strict=True)]


def _score(prediction: str, references: Sequence[str]) -> float:
    said = prediction.strip().casefold()
    edits = min((Levenshtein.distance(said, reference.casefold()) for reference in references), default=2)
    return (1.0, 0.5)[edits] if edits < 2 else 0.0
