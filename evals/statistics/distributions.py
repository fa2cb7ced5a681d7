"""Normal, t, binomial and beta distributions on the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from evals.statistics.incomplete_beta import binomial_density, incomplete_beta

SUMMED = 64  # trials of a binomial whose terms are simply added up
_STEPS = 200  # a root is found in some ten; halving alone takes less than this


def normal_cdf(z: float) -> float:
    """P(Z <= z) for a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def normal_quantile(probability: float) -> float:
    """The z with P(Z <= z) = probability; Wichura's AS 241 as the standard library has it."""
    if 0.0 < probability < 1.0:
        return NormalDist().inv_cdf(probability)
    return math.inf if probability >= 1.0 else -math.inf


def t_cdf(t: float, df: float) -> float:
    """P(T <= t) for Student's t with ``df`` > 0 degrees of freedom (``df`` may be a fraction)."""
    return 1 - _t_tail(t, df) if t > 0 else _t_tail(-t, df)


def _t_tail(t: float, df: float) -> float:
    """P(T > t) for t >= 0."""
    if math.isinf(t):
        return 0.0
    whole = df + t * t
    return 0.5 * incomplete_beta(df / 2, 0.5, df / whole, t * t / whole)


def _t_density(t: float, df: float) -> float:
    scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(scale - (df + 1) / 2 * math.log1p(t * t / df))


def t_quantile(probability: float, df: float) -> float:
    """The t with P(T <= t) = probability for ``df`` > 0 degrees of freedom."""
    tail = min(probability, 1 - probability)
    if tail <= 0.0 or tail == 0.5:
        return 0.0 if tail == 0.5 else math.copysign(math.inf, probability - 0.5)
    high = 2.0
    while _t_tail(high, df) > tail:
        high *= 2
    found = _root(
        lambda t: math.log(tail / _t_tail(t, df)),
        lambda t: _t_density(t, df) / _t_tail(t, df),
        (0.0, high),
        -normal_quantile(tail),
    )
    return math.copysign(found, probability - 0.5)


def binomial_cdf(k: int, n: int, probability: float) -> float:
    """P(X <= k) for X ~ Bin(n, probability); 0 for k < 0."""
    if k < 0:
        return 0.0
    if n <= SUMMED:
        terms = (math.comb(n, i) * probability**i * (1 - probability) ** (n - i) for i in range(min(k, n) + 1))
        return math.fsum(terms)
    return 1.0 if k >= n else incomplete_beta(n - k, k + 1, 1 - probability, probability)


def binomial_pmf(k: int, n: int, probability: float) -> float:
    """P(X = k) for X ~ Bin(n, probability)."""
    return binomial_cdf(k, n, probability) - binomial_cdf(k - 1, n, probability)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """Quantile of Beta(a, b) with the limits that make Clopper-Pearson bounds whole: 0 at a = 0, 1 at b = 0."""
    if a <= 0:
        return 0.0
    if b <= 0:
        return 1.0

    def density(x: float) -> float:
        return a * b / (a + b) * binomial_density(a, b, x, 1 - x) / (x * (1 - x))

    return _root(lambda x: incomplete_beta(a, b, x, 1 - x) - probability, density, (0.0, 1.0), a / (a + b))


def _root(
    function: Callable[[float], float], slope: Callable[[float], float], within: tuple[float, float], start: float
) -> float:
    """Where an increasing function is 0: Newton's steps, or halving where one would leave what is known to hold it."""
    (low, high), x = within, start
    for _ in range(_STEPS):
        value = function(x)
        low, high = (x, high) if value < 0 else (low, x)
        steep = slope(x)
        new = x - value / steep if steep > 0 else low
        if not low < new < high:
            new = (low + high) / 2
        if abs(new - x) <= 2e-16 * abs(new):
            return new
        x = new
    return x
