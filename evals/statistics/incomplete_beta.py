"""The regularized incomplete beta function, from which binomial, Student's t and beta probabilities follow.

``scipy.special`` has it too, but importing that takes 0.25 s and 25 MB, more than all the probabilities of a report.
The tests hold this against it.
"""

from __future__ import annotations

import math

_EXACT_FROM = 15.0  # where five terms of Stirling's series are exact to double precision
_MOST_STEPS = 100_000  # of the continued fraction; it takes some times the root of the larger parameter


def incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """I_x(a, b), the probability that a Beta(a, b) variable is at most x.

    The continued fraction of Didonato and Morris (1992), Algorithm 708, on the side of the mean where it
    converges fast.

    Args:
        a, b: above 0.
        x: in [0, 1].
        y: 1 - x; given apart, so that an x next to 1 loses no digits.
    """
    if x <= 0.0 or y <= 0.0:
        return float(x > 0.0)
    if b * x > a * y:
        return 1.0 - incomplete_beta(b, a, y, x)
    return a * b / (a + b) * binomial_density(a, b, x, y) / _fraction(a, b, x, y)


def binomial_density(a: float, b: float, x: float, y: float) -> float:
    """Γ(a + b + 1) / (Γ(a + 1) Γ(b + 1)) x^a y^b, without the cancellation of large logarithms.

    Loader (2000), Fast and Accurate Computation of Binomial Probabilities.
    """
    n = a + b
    apart = a - n * x if x < y else n * y - b  # from the smaller one, which has all its digits
    exponent = _stirling_error(n) - _stirling_error(a) - _stirling_error(b)
    exponent -= _deviance(a, n * x, apart) + _deviance(b, n * y, -apart)
    return math.exp(exponent) * math.sqrt(n / (2 * math.pi * a * b))


def _stirling_error(z: float) -> float:
    """ln Γ(z + 1) less Stirling's formula, (z + 1/2) ln z - z + ln(2π) / 2."""
    if z < _EXACT_FROM:
        return math.lgamma(z + 1) - (z + 0.5) * math.log(z) + z - 0.5 * math.log(2 * math.pi)
    s = 1 / (z * z)
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - s / 1188) * s) * s) * s) / z


def _deviance(x: float, mean: float, apart: float) -> float:
    """x ln(x / mean) + mean - x, where ``apart`` is x - mean; by its series where the two are near each other."""
    if abs(apart) >= 0.1 * (x + mean):
        return x * (-math.log1p(-apart / x) if apart < 0.5 * x else math.log(x / mean)) - apart
    v = apart / (x + mean)
    total, term, j = apart * v, 2 * x * v, 1
    while True:
        term *= v * v
        longer = total + term / (2 * j + 1)
        if longer == total:
            return total
        total, j = longer, j + 1


def _fraction(a: float, b: float, x: float, y: float) -> float:
    """The continued fraction b_0 + a_1 / (b_1 + a_2 / (b_2 + ...)) by Lentz's method."""
    beyond = a * y - b * x + 1
    value = c = _not_zero(a * beyond / (a + 1))
    d = 0.0
    for m in range(1, _MOST_STEPS):
        at = a + 2 * m
        numerator = (a + m - 1) * (a + b + m - 1) * m * (b - m) * x * x / ((at - 1) * (at - 1))
        denominator = m + m * (b - m) * x / (at - 1) + (a + m) * (beyond + m * (1 + y)) / (at + 1)
        d = 1 / _not_zero(denominator + numerator * d)
        c = _not_zero(denominator + numerator / c)
        value *= c * d
        if abs(c * d - 1) < 4e-16:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
