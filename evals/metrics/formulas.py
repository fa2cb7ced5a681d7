"""Numbers that are functions of summed unit vectors, other than a plain ratio. Each takes totals of shape (..., k).

They stand apart from the metrics that use them, so that a stored statistic can be combined again (resampled, restricted
to a category, paired with another run's) without the metric's code. NaN is "undefined".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLEU_TINY, BLEU_SMALL = 1e-15, 1e-9  # keep ratios of zero counts finite; pycocoevalcap bleu_scorer.py


def error_rate(totals: Array) -> Array:
    """Errors / reference length, from (errors, length); over empty references the errors themselves, as in jiwer 4."""
    errors, length = totals[..., 0], totals[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(length == 0, errors, errors / length)


def information_lost(totals: Array) -> Array:
    """Word information lost, ``1 - H/N * H/P``, from (hits H, reference words N, predicted words P).

    Source: Morris et al. 2004. Nothing is lost where both texts are empty, everything where only one is.
    """
    hits, expected, predicted = totals[..., 0], totals[..., 1], totals[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where((expected > 0) & (predicted > 0), hits / expected * (hits / predicted), 0.0)
    return np.where((expected == 0) & (predicted == 0), 0.0, 1.0 - kept)


def bleu(totals: Array, order: int) -> Array:
    """BLEU of n-grams up to ``order``, from (correct 1..4, guessed 1..4, predicted length, reference length).

    Geometric mean of the n-gram precisions times ``exp(1 - reference length / predicted length)`` where that is below 1
    (Papineni et al. 2002), with the constants of pycocoevalcap.
    """
    correct, guessed = totals[..., :order], totals[..., 4 : 4 + order]
    mean = np.prod((correct + BLEU_TINY) / (guessed + BLEU_SMALL), axis=-1) ** (1.0 / order)
    ratio = (totals[..., 8] + BLEU_TINY) / (totals[..., 9] + BLEU_SMALL)
    return np.asarray(mean * np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio)))


MME_COLUMNS = 4  # a category's sums: right answers, questions, images with both right, images
MME_MAX_PER_CATEGORY = 200.0


def mme(totals: Array) -> Array:
    """Sum over categories of 100 x (right / questions + both right / images), from four sums a category.

    A category without rows adds nothing (its share of a resample may be empty). NaN where all are empty, and where a
    category has questions but no image with both answers.
    Source: MME eval_tool/calculation.py.
    """
    sums = totals.reshape(*totals.shape[:-1], -1, MME_COLUMNS)
    right, count = sums[..., 0::2], sums[..., 1::2]  # (..., categories, 2): questions and images
    score = 100.0 * np.divide(right, count, out=np.zeros_like(right), where=count > 0).sum(axis=(-2, -1))
    half_known = ((count[..., 0] > 0) & (count[..., 1] == 0)).any(axis=-1)
    return np.where((count > 0).any(axis=(-2, -1)) & ~half_known, score, np.nan)


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "error_rate": error_rate,
    "information_lost": information_lost,
    "mme": mme,
    **{f"bleu_{order}": partial(bleu, order=order) for order in (1, 2, 3, 4)},
}
