"""Cluster bootstrap of a function of sums, and the BCa interval (Efron 1987) from it.

Only cluster totals are resampled, so a draw of any statistic costs one product of weights and totals and no scoring.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evals.statistics.distributions import normal_cdf, normal_quantile

Floats = NDArray[np.float64]
Combine = Callable[[Floats], Floats]

SEED = 20240229
RESAMPLES = 2000
# More clusters than this are first merged at random into so many blocks. That adds 1.1 %, 1 / sqrt(2 x 4096),
# of error to the standard error, below the 1.6 % of 2,000 resamples.
MAX_BLOCKS = 4096
_CHUNK = 1 << 18  # drawn cluster numbers held at once


def bootstrap_values(totals: Floats, combine: Combine, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Values of ``combine(totals of a resample)`` over resamples of whole clusters.

    The result depends on the multiset of cluster totals and the seed, not on the order of the clusters.

    Args:
        totals: shape (clusters, k), sums by cluster.
        combine: from totals (..., k) to values (...).
        resamples: how many draws.
        seed: of the generator; recorded with results.

    Returns:
        Shape (resamples,); NaN where a draw leaves the value undefined.
    """
    rng = np.random.default_rng(seed)
    rows, counts = np.unique(totals, axis=0, return_counts=True)
    n_clusters = int(counts.sum())
    if (
        len(rows) * 16 < n_clusters
    ):  # few distinct totals (0/1 scores): drawing how often each appears is the same and cheaper
        drawn = rng.multinomial(n_clusters, counts / n_clusters, size=resamples) @ rows
    else:
        drawn = _resampled_sums(_blocks(np.repeat(rows, counts, axis=0), rng), resamples, rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(combine(drawn), dtype=np.float64)


def _blocks(totals: Floats, rng: np.random.Generator) -> Floats:
    """Merge clusters at random into at most MAX_BLOCKS blocks of (nearly) equal numbers of clusters."""
    if len(totals) <= MAX_BLOCKS:
        return totals
    shuffled = totals[rng.permutation(len(totals))]
    starts = np.linspace(0, len(totals), MAX_BLOCKS, endpoint=False).astype(np.intp)
    return np.asarray(np.add.reduceat(shuffled, starts, axis=0))


def _resampled_sums(totals: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Sums of as many totals as there are, drawn with replacement: shape (resamples, k)."""
    size = len(totals)
    sums = np.empty((resamples, totals.shape[1]))
    columns = [np.ascontiguousarray(column) for column in totals.T]
    step = max(1, _CHUNK // size)
    for start in range(0, resamples, step):
        draws = min(step, resamples - start)
        picks = rng.integers(0, size, size=(draws, size), dtype=np.uint16)  # 16 bits hold MAX_BLOCKS, and are quick
        for k, column in enumerate(columns):
            sums[start : start + draws, k] = column.take(picks).sum(axis=1)
    return sums


def bca_interval(value: float, draws: Floats, without: Floats, confidence: float = 0.95) -> tuple[float, float] | None:
    """Bias-corrected and accelerated percentile interval.

    Args:
        value: the number on all clusters.
        draws: its bootstrap values.
        without: its values with each cluster (or block) left out, shape (clusters,), for the acceleration.
        confidence: coverage aimed at, in (0, 1).

    Returns:
        (low, high); None where more than a twentieth of the draws is undefined.
    """
    finite = np.sort(draws[np.isfinite(draws)])
    if len(finite) < 0.95 * len(draws) or not np.isfinite(without).all():
        return None
    below = (np.searchsorted(finite, value, "left") + np.searchsorted(finite, value, "right")) / (2 * len(finite))
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if 0 < below < 1:
        z0 = normal_quantile(float(below))
        centred = without.mean() - without
        spread = float(np.square(centred).sum())
        acceleration = float((centred**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0
        shifted = [z0 + normal_quantile(float(tail)) for tail in tails]
        tails = np.array([_accelerated(z0, z, acceleration) for z in shifted])
    low, high = np.quantile(finite, tails)
    return float(low), float(high)


def _accelerated(z0: float, z: float, acceleration: float) -> float:
    """Percentile that BCa reads for the shifted normal quantile ``z``; past its pole, the end it runs towards."""
    scale = 1 - acceleration * z
    if scale <= 0:
        return 1.0 if z > 0 else 0.0
    return normal_cdf(z0 + z / scale)
