"""Normal, t, binomial and beta functions from ``scipy.special``.

It is imported when first asked, which costs 0.25 s; ``scipy.stats`` would cost 0.5 s. What is as exact without it does
without.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from types import ModuleType

SUMMED = 64  # trials of a binomial whose terms are simply added up


@cache
def _special() -> ModuleType:
    from scipy import special

    return special  # type: ignore[no-any-return]


def normal_cdf(z: float) -> float:
    """P(Z <= z) for a standard normal Z."""
    return float(_special().ndtr(z))


def normal_quantile(probability: float) -> float:
    """The z with P(Z <= z) = probability; Wichura's AS 241 as the standard library has it, which costs no import."""
    if 0.0 < probability < 1.0:
        return NormalDist().inv_cdf(probability)
    return math.inf if probability >= 1.0 else -math.inf


def t_cdf(t: float, df: float) -> float:
    """P(T <= t) for Student's t with ``df`` > 0 degrees of freedom (``df`` may be a fraction)."""
    if math.isinf(t):
        return 1.0 if t > 0 else 0.0
    return float(_special().stdtr(df, t))


def t_quantile(probability: float, df: float) -> float:
    """The t with P(T <= t) = probability for ``df`` > 0 degrees of freedom."""
    return float(_special().stdtrit(df, probability))


def binomial_cdf(k: int, n: int, probability: float) -> float:
    """P(X <= k) for X ~ Bin(n, probability); 0 for k < 0."""
    if k < 0:
        return 0.0
    if n <= SUMMED:
        terms = (math.comb(n, i) * probability**i * (1 - probability) ** (n - i) for i in range(min(k, n) + 1))
        return math.fsum(terms)
    return float(_special().bdtr(k, n, probability))


def binomial_pmf(k: int, n: int, probability: float) -> float:
    """P(X = k) for X ~ Bin(n, probability)."""
    return binomial_cdf(k, n, probability) - binomial_cdf(k - 1, n, probability)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """Quantile of Beta(a, b) with the limits that make Clopper-Pearson bounds whole: 0 at a = 0, 1 at b = 0."""
    if a <= 0:
        return 0.0
    if b <= 0:
        return 1.0
    return float(_special().betaincinv(a, b, probability))
