"""Percentiles with distribution-free intervals from order statistics; null where the sample cannot hold one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from evals.statistics.distributions import binomial_cdf, normal_quantile


@dataclass(frozen=True, slots=True)
class Quantile:
    """A percentile and its interval, in the unit of the values; None where ``n`` is too small for it."""

    probability: float
    value: float | None
    low: float | None
    high: float | None
    n: int


def values_needed(probability: float, confidence: float = 0.95) -> int:
    """Fewest values that reach beyond the percentile with this confidence: 5 for p50, 59 for p95, 299 for p99."""
    tail = max(probability, 1 - probability)
    return math.ceil(math.log(1 - confidence) / math.log(tail))


def quantile(values: Sequence[float], probability: float, confidence: float = 0.95) -> Quantile:
    """The percentile with its order-statistic interval (Conover 1999, section 3.2).

    Args:
        values: independent measurements, any order, finite.
        probability: in (0, 1).
        confidence: at least this coverage.

    Returns:
        value: None below :func:`values_needed`. low, high: None where no order statistic lies far enough out.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if n < values_needed(probability, confidence):
        return Quantile(probability, None, None, None, n)
    tail = (1 - confidence) / 2
    # The r-th smallest is a lower bound if P(fewer than r values below the percentile) <= tail, and mirrored above.
    rank_low = rank_below(n, probability, tail)
    rank_high = n + 1 - rank_below(n, 1 - probability, tail)
    low = float(ordered[rank_low - 1]) if rank_low >= 1 else None
    high = float(ordered[rank_high - 1]) if rank_high <= n else None
    return Quantile(probability, float(np.quantile(ordered, probability)), low, high, n)


@lru_cache(maxsize=1024)
def rank_below(n: int, probability: float, tail: float) -> int:
    """Largest r with P(Bin(n, probability) < r) <= tail; 0 if none."""
    low, high = 0, n
    spread = math.sqrt(n * probability * (1 - probability))
    near = math.floor(n * probability + normal_quantile(tail) * spread)
    for place in (near - 2, near + 3):  # the normal approximation is seldom further off than that
        if low < place <= high:
            low, high = _halves(low, place, high, binomial_cdf(place - 1, n, probability) <= tail)
    while low < high:
        place = (low + high + 1) // 2
        low, high = _halves(low, place, high, binomial_cdf(place - 1, n, probability) <= tail)
    return low


def _halves(low: int, place: int, high: int, reached: bool) -> tuple[int, int]:
    """What is left to search, whether or not the place is still within."""
    return (place, high) if reached else (low, place - 1)
