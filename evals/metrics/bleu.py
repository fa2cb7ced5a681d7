"""BLEU-1 to BLEU-4 of captions.

The formula stands in :mod:`evals.metrics.formulas`; here are the counts: n-grams of a prediction that a reference has
too (each at most as often as in the reference that has it most), and the length of the reference that is closest in
length, the shorter where two are. A set's BLEU is a function of the summed counts, not a mean.

Source: pycocoevalcap 1.2 bleu/bleu_scorer.py (Papineni et al. 2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.metrics.base import COMBINE, Scores, Statistic
from evals.metrics.captions import CaptionMetric, CaptionSet
from evals.metrics.ngrams import MAX_ORDER


def bleu_counts(captions: CaptionSet) -> NDArray[np.float64]:
    """Shape (rows, 10): correct n-grams of order 1 to 4, guessed ones, predicted length, closest reference length."""
    n_rows, words = len(captions.predictions), captions.words
    counts = np.zeros((n_rows, 2 * MAX_ORDER + 2))
    for order in range(1, MAX_ORDER + 1):
        grams = words.counts(order)
        split = np.searchsorted(grams.caption, n_rows)
        ours, theirs = grams.take(slice(None, split)), grams.take(slice(split, None))
        # The most times that any reference of a row has an n-gram: sort by (row, n-gram), take the maximum of each run.
        keys = captions.reference_rows[theirs.caption - n_rows] * grams.n_grams + theirs.gram
        by_key = np.argsort(keys, kind="stable")
        known, first = np.unique(keys[by_key], return_index=True)
        most = np.maximum.reduceat(theirs.times[by_key], first) if len(first) else first
        correct = np.minimum(ours.times, _look_up(known, most, ours.caption * grams.n_grams + ours.gram))
        counts[:, order - 1] = np.bincount(ours.caption, correct, minlength=n_rows)
        counts[:, MAX_ORDER + order - 1] = np.maximum(0, words.lengths[:n_rows] - order + 1)
    counts[:, 8] = words.lengths[:n_rows]
    counts[:, 9] = _closest_lengths(words.lengths[:n_rows], words.lengths[n_rows:], captions.reference_rows)
    return counts


def _look_up(keys: NDArray[np.int64], values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values of the wanted keys (``keys`` sorted); 0 where a key is not there."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


def _closest_lengths(
    predicted: NDArray[np.int64], references: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each row the reference length closest to the prediction's, the shorter of two equally close."""
    order = np.lexsort((references, np.abs(references - predicted[rows]), rows))
    first = np.searchsorted(rows[order], np.arange(len(predicted)))
    return references[order][first]


class Bleu(CaptionMetric):
    """BLEU-1 to BLEU-4; the headline is BLEU-4."""

    name = "bleu"
    headline = "bleu_4"
    needs = "corpus"
    source = "pycocoevalcap 1.2 Bleu(4), option closest, after PTB tokenisation"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """Each caption's own BLEU-4, in [0, 1]; the set's is not their mean."""
        captions = self.caption_set(predictions, references, columns)
        values = COMBINE["bleu_4"](bleu_counts(captions))
        return [
            None if prediction is None else float(value)
            for prediction, value in zip(captions.predictions, values, strict=True)
        ]

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """BLEU-4, 1, 2 and 3 of the set."""
        return bleu_statistics(self.caption_set(predictions, references, columns))


def bleu_statistics(captions: CaptionSet) -> list[Statistic]:
    """BLEU-4, 1, 2 and 3 of the answered rows."""
    rows = captions.answered
    counts = bleu_counts(captions)[list(rows)]
    return [Statistic(f"bleu_{order}", rows, counts, f"bleu_{order}") for order in (4, 1, 2, 3)]
