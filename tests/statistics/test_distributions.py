"""Probabilities on the standard library alone equal scipy's."""

import math
import subprocess
import sys

import pytest
import scipy.special
import scipy.stats
from hypothesis import assume, example, given
from hypothesis import strategies as st

from evals.statistics.distributions import beta_quantile, binomial_cdf, normal_cdf, t_cdf, t_quantile
from evals.statistics.incomplete_beta import binomial_density, incomplete_beta
from evals.statistics.quantiles import rank_below

PARAMETERS = st.floats(-1.0, 6.0).map(lambda exponent: 10.0**exponent)
TAILS = st.floats(-12.0, -0.31).map(lambda exponent: 10.0**exponent)


def near(value: float, digits: int = 11) -> object:
    return pytest.approx(value, rel=10.0**-digits, abs=1e-300)


@given(PARAMETERS, PARAMETERS, st.floats(-8, 8))
@example(55.65258042903129, 870912.9507278588, 1.0)  # where 1 - x alone would lose five digits
@example(452098.0, 452164.0, 0.0)
def test_the_incomplete_beta_function_is_scipys(a: float, b: float, away: float) -> None:
    """Around the mean, where it is neither 0 nor 1."""
    mean = a / (a + b)
    x = min(max(mean + away * (mean * (1 - mean) / (a + b + 1)) ** 0.5, 1e-15), 1 - 1e-15)
    assert incomplete_beta(a, b, x, 1 - x) == near(scipy.special.betainc(a, b, x))


@given(PARAMETERS, PARAMETERS)
def test_the_incomplete_beta_function_runs_from_0_to_1(a: float, b: float) -> None:
    assert incomplete_beta(a, b, 0.0, 1.0) == 0.0
    assert incomplete_beta(a, b, 1.0, 0.0) == 1.0


@given(st.integers(1, 500), st.data())
def test_the_binomial_density_is_scipys(n: int, data: st.DataObject) -> None:
    k, x = data.draw(st.integers(1, max(1, n - 1))), data.draw(st.floats(0.01, 0.99))
    assume(k < n)
    assert binomial_density(k, n - k, x, 1 - x) == near(scipy.stats.binom.pmf(k, n, x), 10)


@given(st.floats(-40, 40), st.floats(0, 6).map(lambda exponent: 10.0**exponent))
def test_students_t_is_scipys(t: float, df: float) -> None:
    assume(abs(t) > 0.001)  # nearer to 0 scipy's has half the digits only
    assert t_cdf(t, df) == near(scipy.special.stdtr(df, t), 10)
    assert t_cdf(t, df) + t_cdf(-t, df) == pytest.approx(1.0, abs=1e-15)


@given(TAILS, st.floats(0, 6).map(lambda exponent: 10.0**exponent))
def test_quantiles_of_students_t_are_scipys_and_symmetric(tail: float, df: float) -> None:
    assert t_quantile(tail, df) == near(scipy.special.stdtrit(df, tail), 10)
    assert t_quantile(1 - tail, df) == near(-t_quantile(1 - (1 - tail), df), 6)


def test_students_t_next_to_0_has_its_digits() -> None:
    """Of one degree of freedom it is 1/2 + arctan(t) / pi."""
    assert t_cdf(1e-9, 1.0) - 0.5 == pytest.approx(1e-9 / math.pi, rel=1e-6)


def test_the_ends_of_students_t() -> None:
    assert [t_quantile(p, 7) for p in (0.0, 0.5, 1.0)] == [-float("inf"), 0.0, float("inf")]
    assert [t_cdf(t, 7) for t in (-float("inf"), 0.0, float("inf"))] == [0.0, 0.5, 1.0]


@given(st.integers(65, 200_000), st.floats(0, 1), st.floats(-6, 6))
@example(100, 0.0, 0.0)
@example(100, 1.0, 0.0)
def test_a_binomial_of_many_trials_is_scipys(n: int, probability: float, away: float) -> None:
    k = round(n * probability + away * (n * probability * (1 - probability)) ** 0.5)
    expected = scipy.stats.binom.cdf(k, n, probability)
    assert binomial_cdf(k, n, probability) == pytest.approx(expected, rel=1e-9, abs=1e-13)


@given(st.integers(1, 100_000), st.sampled_from((0.005, 0.025, 0.5, 0.975, 0.995)), st.data())
def test_beta_quantiles_are_scipys(n: int, probability: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    expected = scipy.special.betaincinv(k, n - k + 1, probability)
    assert beta_quantile(probability, k, n - k + 1) == near(expected, 10)


def test_beta_quantiles_at_the_ends_are_whole() -> None:
    assert beta_quantile(0.025, 0, 11) == 0.0
    assert beta_quantile(0.975, 11, 0) == 1.0


@given(st.floats(-37, 37))
def test_the_normal_distribution_is_scipys(z: float) -> None:
    assert normal_cdf(z) == near(scipy.special.ndtr(z))


@given(st.integers(0, 400), st.floats(0.001, 0.999), st.sampled_from((0.025, 0.05, 0.5)))
def test_the_rank_below_is_the_largest_that_leaves_the_tail(n: int, probability: float, tail: float) -> None:
    r = rank_below(n, probability, tail)
    assert r == 0 or binomial_cdf(r - 1, n, probability) <= tail
    assert r == n or binomial_cdf(r, n, probability) > tail


def test_statistics_need_no_scipy() -> None:
    program = """
import sys
sys.modules["scipy"] = None
from evals.statistics import quantile
from evals.statistics.distributions import beta_quantile, binomial_cdf, normal_cdf, t_cdf, t_quantile
t_quantile(0.975, 499), t_cdf(2.0, 30), binomial_cdf(300, 1000, 0.3), beta_quantile(0.5, 3, 90), normal_cdf(1.0)
print(quantile(range(1000), 0.9).low)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "880.0\n"
