"""CIDEr of captions, in the variant CIDEr-D, which is what "CIDEr" means in the COCO evaluation.

For each order n = 1..4 a caption is a vector over n-grams, ``count * (ln N - ln max(1, df))``, where N is the number of
images and df the number of images with the n-gram in a reference. A reference r is compared with the caption c by

    sum(min(c, r) * r) / (|c| |r|) * exp(-(l(c) - l(r))² / (2 * 6²)),  l = number of bigrams

and a caption's score is 10 times the mean over references and orders (Vedantam et al. 2015, equations 4 and 5). N and
df are those of the whole set, so a score of a subset is another number, and a set of one image scores 0.

Source: pycocoevalcap 1.2 cider/cider_scorer.py; equal to vrama91/cider ciderD_scorer.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.metrics.base import Scores, Statistic, mean_statistic
from evals.metrics.captions import CaptionMetric, CaptionSet
from evals.metrics.ngrams import MAX_ORDER, GramCounts

SIGMA = 6.0
SCALE = 10.0


def cider_scores(captions: CaptionSet) -> Scores:
    """CIDEr-D in [0, 10] of each row; None for a failed request, whose references still count in N and df."""
    n_rows, rows = len(captions.predictions), captions.reference_rows
    if not n_rows:
        return []
    words = captions.words
    bigrams = np.maximum(0, words.lengths - 1)
    penalty = np.exp(-((bigrams[rows] - bigrams[n_rows:]) ** 2) / (2 * SIGMA**2))
    total = np.zeros(len(rows))
    for order in range(1, MAX_ORDER + 1):
        total += _similarities(words.counts(order), rows, n_rows) * penalty
    per_row = np.bincount(rows, total, minlength=n_rows) / np.bincount(rows, minlength=n_rows)
    scores = per_row / MAX_ORDER * SCALE
    return [
        None if prediction is None else float(score)
        for prediction, score in zip(captions.predictions, scores, strict=True)
    ]


def _similarities(grams: GramCounts, rows: NDArray[np.int64], n_rows: int) -> NDArray[np.float64]:
    """Shape (references,): clipped cosine between each reference and its row's prediction, for one order."""
    n_captions = n_rows + len(rows)
    row = np.concatenate([np.arange(n_rows), rows])[grams.caption]
    key = row * grams.n_grams + grams.gram  # an n-gram in a row
    split = np.searchsorted(grams.caption, n_rows)  # predictions come first
    in_references = np.sort(key[split:])  # sorted and compared by hand: numpy's unique hashes, ten times slower
    first = np.diff(in_references, prepend=-1) > 0
    frequency = np.bincount(in_references[first] % max(1, grams.n_grams), minlength=grams.n_grams)
    weight = np.log(n_rows) - np.log(np.maximum(1, frequency))
    value = grams.times * weight[grams.gram]
    norm = np.sqrt(np.bincount(grams.caption, value**2, minlength=n_captions))

    shared: NDArray[np.float64] = np.zeros(len(rows))
    if split:
        at = np.minimum(np.searchsorted(key[:split], key[split:]), split - 1)
        there = key[at] == key[split:]
        expected, predicted = value[split:][there], value[at[there]]
        reference = grams.caption[split:][there] - n_rows
        shared += np.bincount(reference, np.minimum(predicted, expected) * expected, minlength=len(rows))
    norms = norm[rows] * norm[n_rows:]
    return np.asarray(shared / np.where(norms == 0, 1.0, norms))


class Cider(CaptionMetric):
    """Mean CIDEr-D. Its range is 0 to 10; papers print 100 times the value."""

    name = "cider"
    headline = "cider"
    needs = "corpus"
    source = "pycocoevalcap 1.2 Cider (CIDEr-D), after PTB tokenisation"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """One score in [0, 10] a row, relative to the whole set that is given."""
        return cider_scores(self.caption_set(predictions, references, columns))

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """The mean. Intervals take the set's document frequencies as given."""
        return [cider_statistic(self.score_samples(predictions, references, **columns), self.headline)]


class CiderD(Cider):
    """CIDEr-D of captions that are tokenised already, as the original scorer takes them."""

    name = "cider_d"
    headline = "cider_d"
    source = "vrama91/cider ciderD_scorer.py (df = corpus)"

    def __init__(self, tokenizer: str = "none") -> None:
        super().__init__(tokenizer)


def cider_statistic(scores: Scores, name: str = "cider") -> Statistic:
    """The mean of per-row scores on CIDEr's scale."""
    return mean_statistic(name, scores, scale=(0.0, SCALE))
