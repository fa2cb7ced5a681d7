"""Intervals: equal to the reference values, never zero-width by accident, null where nothing can be said."""

import json
import math
import time

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from evals.errors import DataError
from evals.metrics.base import Statistic, mean_statistic
from evals.statistics import interval
from evals.statistics.bootstrap import bca_interval, bootstrap_values
from evals.statistics.clusters import cluster_codes, influence, standard_error
from evals.statistics.intervals import constant_interval, wilson_interval


def golden(shared, kind):
    cases = json.loads((shared / "golden" / "stats.json").read_text())["cases"]
    return [case for case in cases if case["kind"] == kind]


def mean_of(values, **kwargs):
    return mean_statistic("accuracy", list(values), **kwargs)


def ratio_of(numerators, denominators, **kwargs):
    vectors = np.column_stack([numerators, denominators]).astype(float)
    return Statistic("rate", tuple(range(len(vectors))), vectors, **kwargs)


def test_clustered_error_equals_the_reference(shared):
    for case in golden(shared, "clustered_se"):
        keys = case["clusters"] or list(range(len(case["values"])))
        result = interval(mean_of(case["values"], scale=(-math.inf, math.inf)), keys)
        assert result.value == pytest.approx(case["score"]["mean"], abs=1e-12)
        expected = case["score"]["se_cluster_CR1_statsmodels"]
        if expected is None:
            assert result.se is None, case["id"]
        else:
            assert result.se == pytest.approx(expected, abs=1e-12), case["id"]


def test_wilson_equals_the_reference(shared):
    for case in golden(shared, "proportion_ci"):
        expected = case["score"]["wilson"]
        assert wilson_interval(case["k"], case["n"], 1 - case["alpha"]) == pytest.approx(expected, abs=1e-12), case[
            "id"
        ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8)), min_size=5, max_size=60).filter(
        lambda rows: len({c for _, c in rows}) > 1 and np.ptp([y for y, _ in rows]) > 0.01
    )
)
def test_mean_equals_least_squares_with_clustered_covariance(rows):
    scores, clusters = map(np.array, zip(*rows, strict=True))
    fit = sm.OLS(scores, np.ones(len(scores))).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    result = interval(mean_of(scores, scale=(-math.inf, math.inf)), clusters.tolist())
    if result.method == "wilson" or result.se < 1e-9:
        return
    assert result.se == pytest.approx(fit.bse[0], rel=1e-9)
    assert (result.low, result.high) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-6, abs=1e-9)


def test_zero_one_scores_with_single_unit_clusters_get_wilson():
    result = interval(mean_of([1.0] * 97 + [0.0] * 3), range(100))
    assert result.method == "wilson"
    assert (result.low, result.high) == pytest.approx(proportion_confint(97, 100, method="wilson"))


def test_zero_one_scores_that_share_images_get_the_clustered_t():
    result = interval(mean_of([1.0, 1.0, 0.0, 0.0] * 10), [i // 2 for i in range(40)])
    assert result.method == "cluster_t"
    assert result.n_clusters == 20
    assert not result.few_clusters


def test_correlated_questions_widen_the_interval():
    scores = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0] * 10
    clustered = interval(mean_of(scores), [i // 3 for i in range(60)])
    alone = interval(mean_of(scores), range(60))
    assert clustered.high - clustered.low > 1.5 * (alone.high - alone.low)


@pytest.mark.parametrize("scores", [[], [1.0], [0.5, 0.7]])
def test_fewer_than_two_clusters_have_no_interval(scores):
    result = interval(mean_of(scores), ["one image"] * len(scores))
    assert (result.low, result.high, result.se, result.method) == (None, None, None, "undefined")
    assert result.few_clusters
    assert result.value == (pytest.approx(np.mean(scores)) if scores else None)


@pytest.mark.parametrize(("score", "low", "high"), [(1.0, 0.83, 1.0), (0.0, 0.0, 0.17), (0.5, 0.4, 0.6)])
def test_constant_clusters_do_not_claim_certainty(score, low, high):
    """All right, all wrong, or one graded score everywhere: the width is what 20 agreeing clusters allow."""
    result = interval(mean_of([score] * 40), [i // 2 for i in range(40)])
    assert result.method == "exact_bound"
    assert result.se == 0.0
    assert result.low == pytest.approx(low, abs=0.02)
    assert result.high == pytest.approx(high, abs=0.02)


def test_all_right_and_all_wrong_with_single_units():
    assert interval(mean_of([1.0] * 50), range(50)).high == 1.0
    assert 0.9 < interval(mean_of([1.0] * 50), range(50)).low < 1.0
    assert interval(mean_of([0.0] * 50), range(50)).low == 0.0


def test_constant_scores_on_an_open_scale_have_no_interval():
    assert constant_interval(0.3, 50, (0.0, math.inf)) is None
    assert interval(ratio_of([1] * 9, [2] * 9, scale=(0.0, math.inf)), range(9)).low is None


def test_not_finite_scores_are_refused_with_the_row():
    with pytest.raises(DataError, match=r"unit 1 \(row 1\).*None"):
        interval(mean_of([0.5, math.nan, 1.0]), "abc")


def test_number_of_keys_must_be_the_number_of_units():
    with pytest.raises(DataError, match="3 units but 2 cluster keys"):
        interval(mean_of([0.5, 0.1, 1.0]), "ab")


def test_few_clusters_are_flagged():
    rng = np.random.default_rng(1)
    result = interval(mean_of(rng.random(19)), range(19))
    assert result.few_clusters
    assert result.low < result.value < result.high


def test_interval_stays_on_the_scale():
    result = interval(mean_of([0.9, 1.0, 1.0, 0.2]), range(4))
    assert result.high == 1.0
    assert result.low == 0.0 or result.low > 0


def test_a_zero_denominator_is_undefined():
    result = interval(ratio_of([0, 0, 0], [0, 0, 0]), range(3))
    assert (result.value, result.low, result.method) == (None, None, "undefined")


def test_a_ratio_gets_the_bca_cluster_bootstrap_of_scipy():
    rng = np.random.default_rng(3)
    lengths = rng.integers(3, 40, size=120)
    edits = rng.binomial(lengths, 0.15)
    result = interval(ratio_of(edits, lengths, scale=(0.0, math.inf)), range(120))
    oracle = scipy.stats.bootstrap(
        (edits, lengths),
        lambda e, n, axis=-1: e.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        n_resamples=20000,
        method="BCa",
        rng=np.random.default_rng(0),
    )
    width = oracle.confidence_interval.high - oracle.confidence_interval.low
    assert result.method == "cluster_bca"
    assert result.low == pytest.approx(oracle.confidence_interval.low, abs=0.06 * width)
    assert result.high == pytest.approx(oracle.confidence_interval.high, abs=0.06 * width)
    assert result.se == pytest.approx(oracle.standard_error, rel=0.05)


def test_jackknife_error_of_a_ratio_written_as_another_combination_agrees(monkeypatch):
    from evals.metrics.base import COMBINE

    monkeypatch.setitem(COMBINE, "same_ratio", lambda totals: totals[..., 0] / totals[..., 1])
    rng = np.random.default_rng(5)
    lengths = rng.integers(5, 50, size=200)
    edits = rng.binomial(lengths, 0.2)
    codes, n = cluster_codes(range(200))
    robust = standard_error(influence(ratio_of(edits, lengths), codes, n))
    jackknife = standard_error(influence(ratio_of(edits, lengths, combine="same_ratio"), codes, n))
    assert jackknife == pytest.approx(robust, rel=0.02)


def test_bootstrap_of_a_mean_has_the_analytic_error():
    rng = np.random.default_rng(7)
    scores = rng.random(300)
    totals = np.column_stack([scores, np.ones(300)])
    draws = bootstrap_values(totals, lambda t: t[..., 0] / t[..., 1], resamples=4000)
    assert draws.std(ddof=1) == pytest.approx(scores.std() / math.sqrt(300), rel=0.05)


@pytest.mark.parametrize("levels", [2, 10**6])
def test_bootstrap_does_not_depend_on_the_order_of_the_clusters(levels):
    """Both ways of drawing: few distinct totals, and all distinct (merged into blocks)."""
    rng = np.random.default_rng(11)
    totals = np.column_stack([rng.integers(0, levels, 6000), np.ones(6000)]).astype(float)
    ratio = lambda t: t[..., 0] / t[..., 1]  # noqa: E731
    one, two = bootstrap_values(totals, ratio, 200), bootstrap_values(totals[::-1], ratio, 200)
    assert np.array_equal(one, two)
    assert one.std(ddof=1) == pytest.approx(totals[:, 0].std() / math.sqrt(6000), rel=0.2)


def test_percentiles_of_given_resamples_equal_the_reference(shared):
    """With no bias and no acceleration the interval is the plain percentile interval."""
    for case in golden(shared, "bootstrap_given_indices"):
        values, indices = np.array(case["values"]), np.array(case["indices"])
        means = values[indices].mean(axis=1)
        assert means[:5] == pytest.approx(case["score"]["means_first5"])
        assert means.std(ddof=1) == pytest.approx(case["score"]["se_ddof1"])
        ends = bca_interval(-math.inf, means, np.zeros(3), 0.95)
        assert ends == pytest.approx(tuple(case["score"]["ci95_linear"]))


def test_bca_is_undefined_where_draws_are():
    assert bca_interval(0.5, np.array([0.4, math.nan, math.nan, 0.6]), np.zeros(3)) is None


def test_speed_of_twenty_thousand_units():
    """Well under 0.3 s of CPU for a mean, and about that for a corpus ratio with all totals distinct."""
    rng = np.random.default_rng(0)
    keys = [f"image-{i}" for i in range(20000)]
    means, ratio = mean_of(rng.random(20000).tolist()), ratio_of(rng.random(20000), rng.random(20000) + 1)
    start = time.process_time()
    interval(means, keys)
    middle = time.process_time()
    interval(ratio, keys)
    assert middle - start < 0.3
    assert time.process_time() - middle < 1.0
