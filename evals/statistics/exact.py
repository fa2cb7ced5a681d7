"""Exact paired tests: McNemar with its mid-p, and the sign-flip permutation test of cluster sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evals.statistics.bootstrap import SEED
from evals.statistics.distributions import binomial_cdf, binomial_pmf

ENUMERATE_UP_TO = 14  # non-zero clusters whose 2^m sign patterns are all visited; more are drawn


def mcnemar_exact_p(lost: int, gained: int) -> float:
    """Two-sided exact McNemar p: min(1, 2 P(X <= min(lost, gained))), X ~ Bin(lost + gained, 1/2)."""
    return min(1.0, 2 * binomial_cdf(min(lost, gained), lost + gained, 0.5))


def mcnemar_mid_p(lost: int, gained: int) -> float:
    """Two-sided mid-p McNemar (Fagerland, Lydersen & Laake 2013): the exact p less the point probability.

    1 where no pair differs.
    """
    n, k = lost + gained, min(lost, gained)
    return min(1.0, 2 * binomial_cdf(k, n, 0.5) - binomial_pmf(k, n, 0.5))


def mid_p_fall(lost: int, gained: int) -> float:
    """One-sided mid-p against "as many gained as lost": small where more were lost than gained."""
    n = lost + gained
    return binomial_cdf(gained, n, 0.5) - 0.5 * binomial_pmf(gained, n, 0.5)


def sign_flip_p_fall(sums: NDArray[np.float64], resamples: int = 20000, seed: int = SEED) -> float:
    """One-sided p of the sign-flip permutation test: small where the cluster sums add up to less than 0.

    Under "no difference" a cluster's difference is as likely to have the other sign. Clusters at 0 do not matter; up to
    14 others are enumerated (exact), more are sampled with the observed pattern counted in.

    Args:
        sums: shape (clusters,), summed differences.
        resamples, seed: of the sampled version.

    Returns:
        p in (0, 1]; 1 where nothing differs.
    """
    moved = sums[sums != 0]
    m = len(moved)
    if m == 0:
        return 1.0
    if (moved < 0).all():  # no other pattern reaches so low: exact for any number of clusters
        return float(0.5**m)
    slack = 1e-9 * float(np.abs(moved).sum())
    if m <= ENUMERATE_UP_TO:
        signs = 1 - 2 * ((np.arange(2**m)[:, None] >> np.arange(m)) & 1)
        return float((signs @ moved <= moved.sum() + slack).mean())
    rng = np.random.default_rng(seed)
    reached = 0
    for start in range(0, resamples, 1000):  # chunks keep memory at 1,000 x clusters bytes
        signs = 1 - 2 * rng.integers(0, 2, size=(min(1000, resamples - start), m), dtype=np.int8)
        reached += int((signs @ moved <= moved.sum() + slack).sum())
    return (reached + 1) / (resamples + 1)
