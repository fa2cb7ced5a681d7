"""Word and character error rate, and normalised edit distance.

    WER, CER = (substitutions + deletions + insertions) / reference length, edits and lengths pooled over the set
    1 - NED  = 1 - edit distance / longer text's length, averaged over the set

Source: jiwer 4.0 with its default transforms (several white-space characters in a row become one space, ends trimmed,
words are what spaces separate) and rapidfuzz. A set's rate is not the mean of its samples' rates. An empty reference
counts its insertions. With several references the one with the lowest rate counts (jiwer knows one).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import SampleMetric, check_rows

_SPACES = re.compile(r"\s\s+")


def words(text: str) -> list[str]:
    """What spaces separate; single line feeds and tabs do not."""
    return [word for word in _SPACES.sub(" ", text).strip().split(" ") if word]


def characters(text: str) -> str:
    """All code points but white space at the ends."""
    return text.strip()


@dataclass(frozen=True, slots=True)
class Edits:
    """What turns a reference into a prediction, in words or characters."""

    errors: int
    hits: int
    expected: int
    predicted: int

    @property
    def rate(self) -> float:
        """Errors per reference unit; the number of errors where the reference is empty."""
        return self.errors / self.expected if self.expected else float(self.errors)


def count_edits(expected: Sequence[str], predicted: Sequence[str]) -> Edits:
    """Counts of a shortest edit script (rapidfuzz's, where several are equally short)."""
    errors = hits = 0
    for operation in Levenshtein.opcodes(expected, predicted):
        if operation.tag == "equal":
            hits += operation.src_end - operation.src_start
        else:
            errors += max(operation.src_end - operation.src_start, operation.dest_end - operation.dest_start)
    return Edits(errors, hits, len(expected), len(predicted))


class _ErrorRate(Metric):
    """Pooled edits over pooled reference lengths."""

    def edits(self, prediction: str, reference: str) -> Edits:
        raise NotImplementedError

    def _rows(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], columns: dict[str, Sequence[Any]]
    ) -> list[Edits | None]:
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        return [
            None
            if prediction is None
            else min((self.edits(prediction, one) for one in accepted), key=lambda edits: edits.rate)
            for prediction, accepted in zip(predictions, references, strict=True)
        ]

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """The rate of each row, at least 0, above 1 where much was inserted."""
        return [None if edits is None else edits.rate for edits in self._rows(predictions, references, columns)]

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """The pooled rate."""
        return [self._rate(self._rows(predictions, references, columns))]

    def _rate(self, found: Sequence[Edits | None]) -> Statistic:
        kept = [(row, edits) for row, edits in enumerate(found) if edits is not None]
        vectors = np.array([[edits.errors, edits.expected] for _, edits in kept], dtype=np.float64).reshape(
            len(kept), 2
        )
        rows = tuple(row for row, _ in kept)
        return Statistic(self.headline, rows, vectors, "error_rate", scale=(0.0, math.inf), higher_is_better=False)


class Wer(_ErrorRate):
    """Word error rate; beside it match error rate (``mer``) and word information lost (``wil``)."""

    name = "wer"
    headline = "wer"
    source = "jiwer 4.0.0 process_words"

    def edits(self, prediction: str, reference: str) -> Edits:
        """Edits between the words of two texts."""
        return count_edits(words(reference), words(prediction))

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """Pooled WER, MER (errors among all aligned pairs) and WIL."""
        found = self._rows(predictions, references, columns)
        rate = self._rate(found)
        kept = [edits for edits in found if edits is not None]
        counts = np.array([[e.errors, e.hits, e.expected, e.predicted] for e in kept], dtype=np.float64).reshape(-1, 4)
        matched = np.column_stack([counts[:, 0], counts[:, 0] + counts[:, 1]])
        return [
            rate,
            Statistic("mer", rate.rows, matched, "error_rate", higher_is_better=False),
            Statistic("wil", rate.rows, counts[:, 1:], "information_lost", higher_is_better=False),
        ]


class Cer(_ErrorRate):
    """Character error rate, over Unicode code points."""

    name = "cer"
    headline = "cer"
    source = "jiwer 4.0.0 process_characters"

    def edits(self, prediction: str, reference: str) -> Edits:
        """Edits between the characters of two texts; the hits are not needed and left 0."""
        expected, predicted = characters(reference), characters(prediction)
        return Edits(Levenshtein.distance(expected, predicted), 0, len(expected), len(predicted))


class Ned(SampleMetric):
    """Normalised edit similarity, 1 - NED, of the raw texts (the "1-NED" of OCR tables), and NED itself."""

    name = "ned"
    headline = "one_minus_ned"
    source = "1 - rapidfuzz Levenshtein distance / longer length, code points of the raw texts"

    def score_one(self, prediction: str, references: Sequence[str]) -> float:
        """1 - NED in [0, 1] to the nearest reference; 1 where both are empty."""
        return max(1.0 - Levenshtein.normalized_distance(prediction, reference) for reference in references)

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """Mean similarity, and mean distance (lower is better)."""
        scores = self.score_samples(predictions, references, **columns)
        distances = [None if score is None else 1.0 - score for score in scores]
        return [mean_statistic(self.headline, scores), mean_statistic("ned", distances, higher_is_better=False)]
