"""Paired differences: equal to the references where they have the method, careful where little changed."""

import json
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from evals.errors import ComparisonError
from evals.metrics.base import COMBINE, Statistic, mean_statistic
from evals.statistics import difference_part, macro_mean, paired_difference
from evals.statistics.distributions import beta_quantile
from evals.statistics.exact import mcnemar_exact_p, mcnemar_mid_p, mid_p_fall, sign_flip_p_fall

OPEN = (-math.inf, math.inf)


def golden(shared, kind):
    cases = json.loads((shared / "golden" / "stats.json").read_text())["cases"]
    return [case for case in cases if case["kind"] == kind]


def compare(a, b, clusters=None, **kwargs):
    a, b = (mean_statistic("accuracy", [float(v) for v in values], **kwargs) for values in (a, b))
    return paired_difference(a, b, clusters if clusters is not None else range(len(a.vectors)))


def scores_with(n, lost, gained, right=0.6):
    """0/1 scores of two runs with so many answers lost and gained."""
    a = np.zeros(n)
    a[: int(n * right)] = 1
    b = a.copy()
    b[:lost] = 0
    b[n - gained : n] = 1 if gained else b[n - gained : n]
    return a, b


def test_differences_equal_the_reference(shared):
    """The reference subtracts the second run from the first."""
    for case in golden(shared, "paired_difference"):
        score, n = case["score"], len(case["a"])
        alone = compare(case["b"], case["a"], scale=OPEN)
        assert alone.value == pytest.approx(score["mean_diff"], abs=1e-12)
        if score["se_diff"] is not None:
            assert alone.se == pytest.approx(score["se_diff"], abs=1e-12), case["id"]
        if alone.test == "cluster_t":
            assert alone.p == pytest.approx(score["p_t"], abs=1e-9), case["id"]
        if alone.method == "cluster_t" and n > 1:
            assert (alone.low, alone.high) == pytest.approx(score["ci_t"], abs=1e-9), case["id"]
        if case["clusters"]:
            clustered = compare(case["b"], case["a"], case["clusters"], scale=OPEN)
            expected = score["clustered_diff"]["se_cluster_CR1_statsmodels"]
            assert clustered.se == pytest.approx(expected, abs=1e-12), case["id"]
            assert clustered.n_clusters == score["clustered_diff"]["clusters"]


def test_mcnemar_equals_the_reference(shared):
    for case in golden(shared, "mcnemar"):
        b, c = case["score"]["b"], case["score"]["c"]
        assert mcnemar_exact_p(b, c) == pytest.approx(case["score"]["exact_p"], abs=1e-12), case["id"]
        assert mcnemar_mid_p(b, c) == pytest.approx(case["score"]["mid_p"], abs=1e-12), case["id"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_equals_statsmodels_and_its_mid_p_is_twice_the_one_sided(lost, gained):
    assert mcnemar_exact_p(lost, gained) == pytest.approx(mcnemar([[9, lost], [gained, 9]], exact=True).pvalue)
    assert min(mid_p_fall(lost, gained), mid_p_fall(gained, lost)) * 2 == pytest.approx(mcnemar_mid_p(lost, gained))
    assert mid_p_fall(lost, gained) + mid_p_fall(gained, lost) == pytest.approx(1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1).filter(lambda x: x == 0 or abs(x) > 1e-3), min_size=2, max_size=9))
def test_sign_flips_equal_scipys_permutation_test(sums):
    sums = np.array(sums)
    if (sums != 0).sum() < 2:
        assert sign_flip_p_fall(sums) == (0.5 if sums.sum() < 0 else 1.0)
        return
    oracle = scipy.stats.permutation_test(
        (sums[sums != 0],), np.sum, permutation_type="samples", alternative="less", n_resamples=np.inf
    )
    assert sign_flip_p_fall(sums) == pytest.approx(oracle.pvalue)


def test_drawn_sign_flips_agree_with_the_normal_limit_and_repeat():
    sums = np.random.default_rng(2).normal(-0.15, 1, size=400)
    expected = scipy.stats.norm.cdf(sums.sum() / math.sqrt((sums**2).sum()))
    assert sign_flip_p_fall(sums) == pytest.approx(expected, abs=0.01)
    assert sign_flip_p_fall(sums) == sign_flip_p_fall(sums)


def test_under_25_discordant_answers_use_mcnemar_and_more_the_t():
    few, many = compare(*scores_with(400, 12, 8)), compare(*scores_with(400, 20, 10))
    assert (few.test, few.p) == ("mcnemar_mid_p", pytest.approx(mcnemar_mid_p(12, 8)))
    assert many.test == "cluster_t"
    assert many.discordance == pytest.approx(30 / 400)
    assert (many.n_fell, many.n_rose, many.n_changed) == (20, 10, 30)
    assert few.method == "cluster_t"


def test_few_changed_answers_use_the_conservative_exact_bound():
    same = compare(*scores_with(500, 0, 0))
    assert same.lower(0.05) == pytest.approx(-0.006, abs=1e-4)  # the protocol's worked number
    assert (same.value, same.p, same.test, same.method) == (0.0, 1.0, "identical", "exact_bound")
    few = compare(*scores_with(500, 4, 2))
    assert few.lower(0.05) == pytest.approx(-beta_quantile(0.95, 5, 496))
    assert few.upper(0.05) == pytest.approx(beta_quantile(0.95, 3, 498))
    assert few.low < few.lower(0.05) < few.value < few.upper(0.05) < few.high
    assert few.effective_se > few.se


def test_exact_bound_counts_clusters_and_the_heaviest_of_them():
    a = np.ones(100)
    b = a.copy()
    b[:3] = 0
    alone = compare(a, b)
    grouped = compare(a, b, [i // 5 for i in range(100)])
    assert grouped.clusters_fell == 1
    assert grouped.lower(0.05) == pytest.approx(-beta_quantile(0.95, 2, 19))
    assert grouped.lower(0.05) < alone.lower(0.05)
    assert grouped.test == "sign_flip"
    assert grouped.p == 1.0


def test_all_answers_moved_alike_is_as_sure_as_its_clusters_allow():
    result = compare([0.2] * 12, [0.3] * 12)
    assert result.se == 0.0
    assert result.test == "sign_flip"
    assert result.p == pytest.approx(2 * 0.5**12)
    assert result.p_rise == pytest.approx(0.5**12)


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (0.0, 1.0), (0.2, 0.3), (0.9, 0.1)])
@pytest.mark.parametrize("n", [2, 13, 400])
def test_answers_that_all_moved_alike_do_not_make_the_difference_certain(a, b, n):
    """Clusters that were not seen may have moved otherwise: the interval has a width, less with more clusters."""
    result, larger = compare([a] * n, [b] * n), compare([a] * (2 * n), [b] * (2 * n))
    assert result.low <= result.value <= result.high
    assert 0 < larger.high - larger.low < result.high - result.low
    assert result.low >= -1
    assert result.high <= 1
    assert result.effective_se > 0
    part = difference_part("task", result.gain(), range(n))
    macro = macro_mean([part])
    assert macro.lower(0.05) < result.value < macro.upper(0.05)


def test_one_cluster_gives_a_difference_without_error():
    result = compare([0, 1, 0], [1, 1, 0], ["image"] * 3)
    assert result.value == pytest.approx(1 / 3)
    assert (result.low, result.high, result.se, result.p, result.lower(0.05), result.effective_se) == (None,) * 6


def test_no_units_is_undefined():
    result = compare([], [])
    assert (result.value, result.discordance, result.p) == (None, None, None)


def test_different_statistics_cannot_be_paired():
    with pytest.raises(ComparisonError, match=r"3 units.*2 units"):
        compare([1, 0, 1], [1, 0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 12)), min_size=3, max_size=60))
def test_swapping_the_runs_turns_everything_around(rows):
    a, b, clusters = (np.array(column) / 4 for column in zip(*rows, strict=True))
    there, back = compare(a, b, clusters.tolist()), compare(b, a, clusters.tolist())
    assert there.value == pytest.approx(-back.value)
    assert (there.n_rose, there.n_fell) == (back.n_fell, back.n_rose)
    if there.p is not None:
        assert there.p == pytest.approx(back.p)
        assert there.p_fall == pytest.approx(back.p_rise)
        assert there.lower(0.05) == pytest.approx(-back.upper(0.05))
        assert there.lower(0.05) <= there.value + 1e-9
        assert there.low == pytest.approx(-back.high)


def rates(errors, lengths):
    vectors = np.column_stack([errors, lengths]).astype(float)
    return Statistic("wer", tuple(range(len(vectors))), vectors, "ratio", (0.0, math.inf), higher_is_better=False)


def test_a_rate_gets_a_paired_bootstrap_and_lower_is_better():
    rng = np.random.default_rng(9)
    lengths = rng.integers(5, 30, 200)
    before = rng.binomial(lengths, 0.3)
    after = rng.binomial(before, 0.7)
    result = paired_difference(rates(before, lengths), rates(after, lengths), range(200))
    assert result.method == "cluster_bca"
    assert result.test == "jackknife_t"
    assert result.low < result.value < result.high < 0
    gain = result.gain()
    assert gain.value == -result.value
    assert gain.low == -result.high
    assert (gain.n_rose, gain.n_fell) == (result.n_fell, result.n_rose)
    assert gain.p_fall == pytest.approx(result.p_rise)
    assert np.array_equal(gain.psi, -result.psi)


def test_gain_is_in_parts_of_the_scale():
    wide = compare([0, 200, 0, 200] * 5, [200, 200, 0, 200] * 5, scale=(0.0, 200.0))
    unit = compare([0, 1, 0, 1] * 5, [1, 1, 0, 1] * 5)
    assert wide.gain().value == pytest.approx(unit.value)
    assert wide.gain().se == pytest.approx(unit.se)
    assert wide.gain().lower(0.05) == pytest.approx(unit.lower(0.05))


def test_an_unchanged_corpus_statistic_still_has_a_bound(monkeypatch):
    def f1(totals):
        return 2 * totals[..., 0] / (2 * totals[..., 0] + totals[..., 1] + totals[..., 2])

    monkeypatch.setitem(COMBINE, "f1_here", f1)
    vectors = np.eye(4)[np.random.default_rng(4).integers(0, 4, 300)][:, :3]
    f = Statistic("f1", tuple(range(300)), vectors, "f1_here")
    result = paired_difference(f, f, range(300))
    assert (result.value, result.p, result.method, result.n_rose) == (0.0, 1.0, "exact_bound", None)
    assert -0.1 < result.lower(0.05) < -0.01
