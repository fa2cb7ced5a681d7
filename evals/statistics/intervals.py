"""One number with its interval: which method fits which statistic, and what is said when none does.

=================================================  ====================  ==========================================
statistic                                          ``method``            interval
=================================================  ====================  ==========================================
mean of 0/1 scores, every cluster of one unit      ``wilson``            Wilson score
mean of any other scores                           ``cluster_t``         mean ± t(G-1) × clustered error (CR1)
any other function of sums (WER, F1, BLEU ...)     ``cluster_bca``       BCa cluster bootstrap, seeded
no variation between clusters                      ``exact_bound``       Clopper-Pearson bound on unseen clusters
fewer than two clusters, or no defined value       ``undefined``         null
=================================================  ====================  ==========================================
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.metrics.base import COMBINE, Statistic
from evals.statistics.bootstrap import RESAMPLES, SEED, bca_interval, bootstrap_values
from evals.statistics.clusters import (
    FEW_CLUSTERS,
    check_statistic,
    cluster_codes,
    cluster_totals,
    influence,
    is_mean,
    leave_one_out,
    standard_error,
)
from evals.statistics.distributions import beta_quantile, normal_quantile, t_quantile


@dataclass(frozen=True, slots=True)
class Interval:
    """A number and how sure it is.

    Attributes:
        value: the number; None where it is undefined.
        low, high: ends of the interval, within the statistic's scale; None where no interval can be given.
        se: clustered standard error; None with fewer than two clusters.
        method: see the module's table.
        n_units, n_clusters: units and independent clusters behind it.
        few_clusters: fewer than 20 clusters: the interval is given but optimistic.
        confidence: coverage aimed at.
    """

    value: float | None
    low: float | None
    high: float | None
    se: float | None
    method: str
    n_units: int
    n_clusters: int
    few_clusters: bool
    confidence: float = 0.95


def interval(
    statistic: Statistic,
    clusters: Sequence[Hashable] | NDArray[np.integer[Any]],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """The statistic's value with its interval.

    Args:
        statistic: unit vectors and how they combine.
        clusters: cluster key of each unit, in the order of ``statistic.vectors``.
        confidence: coverage aimed at, in (0, 1).
        resamples, seed: of the bootstrap, where one is needed.

    Raises:
        DataError: a unit vector is not finite, or the number of keys is not the number of units.
    """
    check_statistic(statistic, clusters)
    codes, n_clusters = cluster_codes(clusters)
    value = statistic.value
    psi = influence(statistic, codes, n_clusters)
    se = None if psi is None else standard_error(psi)
    method, ends = _ends(statistic, codes, n_clusters, se, confidence, resamples, seed)
    low, high = (None, None) if ends is None else _clip(ends, statistic.scale)
    few = n_clusters < FEW_CLUSTERS
    return Interval(value, low, high, se, method, len(statistic.vectors), n_clusters, few, confidence)


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927; Brown, Cai & DasGupta 2001), n >= 1."""
    z = normal_quantile((1 + confidence) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def constant_interval(
    value: float, n_clusters: int, scale: tuple[float, float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Interval of a mean where all clusters agree: zero width would claim to know the clusters not seen.

    At the confidence level at most p = 1 - ((1 - confidence) / 2)^(1/G) of all clusters differ (Clopper-Pearson with no
    success in G); those lie anywhere on the scale. None where the scale has no end.
    """
    if not all(math.isfinite(end) for end in scale):
        return None
    differing = beta_quantile((1 + confidence) / 2, 1, n_clusters)
    return value - differing * (value - scale[0]), value + differing * (scale[1] - value)


def _ends(
    statistic: Statistic,
    codes: NDArray[np.intp],
    n_clusters: int,
    se: float | None,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[str, tuple[float, float] | None]:
    """Method and unclipped ends; None instead of the ends where there are none."""
    value = statistic.value
    if value is None or n_clusters < 2:
        return "undefined", None
    mean = is_mean(statistic)
    scores = statistic.vectors[:, 0]
    if mean and n_clusters == len(scores) and bool(np.isin(scores, (0.0, 1.0)).all()):
        return "wilson", wilson_interval(float(scores.sum()), n_clusters, confidence)
    if se == 0.0:
        return "exact_bound", constant_interval(value, n_clusters, statistic.scale, confidence)
    if mean and se is not None:
        half = t_quantile((1 + confidence) / 2, n_clusters - 1) * se
        return "cluster_t", (value - half, value + half)
    totals = cluster_totals(statistic.vectors, codes, n_clusters)
    draws = bootstrap_values(totals, COMBINE[statistic.combine], resamples, seed)
    ends = bca_interval(value, draws, leave_one_out(totals, statistic.combine), confidence)
    return ("undefined" if ends is None else "cluster_bca"), ends


def _clip(ends: tuple[float, float], scale: tuple[float, float]) -> tuple[float | None, float | None]:
    """The ends within the scale; None for an end that is not finite."""
    low, high = (float(min(max(end, scale[0]), scale[1])) for end in ends)
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)
