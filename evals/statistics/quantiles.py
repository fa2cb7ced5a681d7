"""Percentiles with distribution-free intervals from order statistics; null where the sample cannot hold one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.statistics.distributions import binomial_cdf


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
    rank_low = _rank(n, probability, tail)
    rank_high = n + 1 - _rank(n, 1 - probability, tail)
    low = float(ordered[rank_low - 1]) if rank_low >= 1 else None
    high = float(ordered[rank_high - 1]) if rank_high <= n else None
    return Quantile(probability, float(np.quantile(ordered, probability)), low, high, n)


def _rank(n: int, probability: float, tail: float) -> int:
    """Largest r with P(Bin(n, probability) <= r - 1) <= tail; 0 if none."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if binomial_cdf(middle - 1, n, probability) <= tail else (low, middle - 1)
    return low
