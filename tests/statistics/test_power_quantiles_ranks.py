"""Adjusted p values, power, percentiles, macro means and ranks."""

import json
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from evals.metrics.base import COMBINE, Statistic, mean_statistic
from evals.statistics import (
    benjamini_hochberg,
    detectable_effect,
    difference_part,
    holm,
    interval,
    macro_mean,
    paired_difference,
    quantile,
    rank_intervals,
    sample_size,
    score_part,
    significantly_better,
    tie_groups,
    units_needed,
)
from evals.statistics.bootstrap import bootstrap_values
from evals.statistics.distributions import binomial_cdf, normal_quantile
from evals.statistics.macro import TaskNumber
from evals.statistics.quantiles import values_needed


def test_adjusted_p_values_equal_the_reference(shared):
    cases = json.loads((shared / "golden" / "stats.json").read_text())["cases"]
    for case in (c for c in cases if c["kind"] == "multiple_testing"):
        assert holm(case["pvalues"]) == pytest.approx(case["score"]["holm"]["adjusted"], abs=1e-12)
        assert benjamini_hochberg(case["pvalues"]) == pytest.approx(case["score"]["fdr_bh"]["adjusted"], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values_equal_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1].tolist())


def test_a_missing_p_is_not_in_the_family():
    assert holm([0.02, None, 0.5]) == [0.04, None, 0.5]
    assert benjamini_hochberg([None, None]) == [None, None]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("discordance", "effect", "n"),
    [(0.01, 0.005, 2474), (0.03, 0.01, 1855), (0.06, 0.01, 3710), (0.06, 0.02, 928), (0.15, 0.03, 1031)],
)
def test_sample_sizes_are_those_of_the_protocol(discordance, effect, n):
    assert sample_size(discordance, effect, sides=1) == pytest.approx(n, abs=1)
    power = TTestPower().solve_power(
        effect_size=effect / math.sqrt(discordance), alpha=0.05, power=0.8, alternative="larger"
    )
    assert sample_size(discordance, effect, sides=1) == pytest.approx(power, abs=3)


def test_a_thousand_questions_cannot_see_less_than_1_9_points():
    """Six percent of answers differ, one-sided at 5 %: the protocol's example."""
    assert detectable_effect(math.sqrt(0.06 / 1000), sides=1) == pytest.approx(0.0193, abs=1e-4)
    assert units_needed(1000, math.sqrt(0.06 / 1000), 0.01, sides=1) == sample_size(0.06, 0.01, sides=1)
    assert sample_size(0.1, 0.0) is None
    assert units_needed(0, 0.1, 0.1) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_percentile_intervals_equal_scipys_order_statistics(n, probability):
    values = np.random.default_rng(n).exponential(size=n)
    result = quantile(values.tolist(), probability)
    if n < values_needed(probability):
        assert (result.value, result.low, result.high) == (None, None, None)
        return
    oracle = scipy.stats.quantile_test(values, p=probability).confidence_interval(0.95)
    for ours, theirs in zip((result.low, result.high), oracle, strict=True):
        assert (ours is None) if math.isnan(theirs) else ours == pytest.approx(theirs)
    assert result.value == pytest.approx(np.quantile(values, probability))


def test_percentiles_need_enough_values():
    assert [values_needed(q) for q in (0.5, 0.95, 0.99)] == [5, 59, 299]


def means(rng, n, mean):
    return mean_statistic("accuracy", (rng.random(n) < mean).astype(float).tolist())


def test_macro_of_separate_tasks_adds_weighted_variances():
    rng = np.random.default_rng(1)
    one, two = means(rng, 200, 0.6), means(rng, 50, 0.8)
    keys = [[f"a{i}" for i in range(200)], [f"b{i}" for i in range(50)]]
    macro = macro_mean([score_part("one", one, keys[0], weight=3), score_part("two", two, keys[1])])
    errors = [interval(s, k).se for s, k in zip((one, two), keys, strict=True)]
    variances = [(0.75 * errors[0]) ** 2, (0.25 * errors[1]) ** 2]
    assert macro.value == pytest.approx(0.75 * one.value + 0.25 * two.value)
    assert macro.se == pytest.approx(math.sqrt(sum(variances)))
    assert macro.df == pytest.approx(sum(variances) ** 2 / (variances[0] ** 2 / 199 + variances[1] ** 2 / 49))
    assert not macro.shared_clusters
    assert macro.high - macro.value == pytest.approx(scipy.stats.t.ppf(0.975, macro.df) * macro.se)


def test_macro_of_tasks_on_the_same_images_equals_the_image_bootstrap():
    rng = np.random.default_rng(2)
    ease = rng.random(150)
    statistics = [mean_statistic("accuracy", (rng.random(150) < ease).astype(float).tolist()) for _ in range(3)]
    keys = [f"image{i}" for i in range(150)]
    macro = macro_mean([score_part(f"task{i}", s, keys) for i, s in enumerate(statistics)])
    totals = np.hstack([s.vectors for s in statistics])
    draws = bootstrap_values(totals, lambda t: (t[..., 0] + t[..., 2] + t[..., 4]) / 3 / t[..., 1], resamples=6000)
    apart = macro_mean([score_part(f"task{i}", s, [f"{i}-{key}" for key in keys]) for i, s in enumerate(statistics)])
    assert macro.shared_clusters
    assert macro.se == pytest.approx(draws.std(ddof=1), rel=0.04)
    assert macro.se > 1.1 * apart.se
    assert macro.df <= 149


def test_macro_is_null_with_a_missing_value_and_has_no_error_with_a_missing_error():
    known = score_part("a", means(np.random.default_rng(3), 50, 0.5), range(50))
    gone = score_part("b", mean_statistic("accuracy", []), [])
    alone = score_part("c", mean_statistic("accuracy", [1.0]), ["x"])
    assert macro_mean([known, gone]).value is None
    assert macro_mean([]).value is None
    assert macro_mean([known, alone]).value is not None
    assert macro_mean([known, alone]).se is None
    assert macro_mean([known, alone]).lower(0.05) is None


def test_a_perfect_task_does_not_make_the_macro_certain():
    part = score_part("perfect", mean_statistic("accuracy", [1.0] * 30), range(30))
    macro = macro_mean([part])
    assert macro.se > 0.02
    assert macro.low < 0.96


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_the_macro_of_one_task_without_variation_covers_what_its_interval_covers(score):
    statistic = mean_statistic("accuracy", [score] * 13)
    own = interval(statistic, range(13))
    low, high = macro_mean([score_part("only", statistic, range(13))]).score_interval
    assert low <= own.low + 1e-12
    assert high >= own.high - 1e-12


def test_an_open_or_reversed_scale_in_the_macro():
    rate = Statistic("wer", (0, 1), np.array([[1.0, 4], [2, 4]]), "ratio", (0.0, math.inf), higher_is_better=False)
    closed = Statistic("wer", (0, 1), np.array([[1.0, 4], [2, 4]]), "ratio", (0.0, 1.0), higher_is_better=False)
    assert score_part("open", rate, range(2)).value is None
    assert score_part("closed", closed, range(2)).value == pytest.approx(1 - 3 / 8)


def test_macro_difference_uses_exact_bounds_of_unchanged_tasks():
    rng = np.random.default_rng(5)
    same = means(rng, 500, 0.7)
    still = paired_difference(same, same, range(500)).gain()
    macro = macro_mean([difference_part(str(i), still, [f"{i}-{j}" for j in range(500)]) for i in range(4)])
    assert macro.value == 0.0
    assert -0.006 < macro.lower(0.05) < -0.002


def test_macro_difference_is_directed():
    parts = [TaskNumber("t", 1.0, -0.1, 0.02, np.full(100, 0.002) * np.resize([1, -1], 100), tuple(range(100)))]
    macro = macro_mean(parts)
    assert macro.p_fall < 1e-4
    assert macro.p == pytest.approx(2 * macro.p_fall)
    assert macro.upper(0.01) < 0


def pairwise(scores, noise):
    """Differences and p of K models, as independent tests with this standard error would give them."""
    scores = np.array(scores, dtype=float)
    differences = scores[:, None] - scores[None, :]
    return differences, 2 * scipy.stats.norm.sf(np.abs(differences) / noise)


def test_rank_intervals_and_letters_of_three_clear_groups():
    better = significantly_better(*pairwise([0.9, 0.5, 0.89, 0.1], noise=0.02))
    assert rank_intervals(better) == [(1, 2), (3, 3), (1, 2), (4, 4)]
    assert tie_groups(better, [0, 2, 1, 3]) == ["a", "b", "a", "c"]


def test_overlapping_ties_share_letters():
    """Neighbours cannot be told apart, the ends can: the middle one belongs to both groups."""
    better = significantly_better(*pairwise([0.60, 0.56, 0.52], noise=0.025))
    assert rank_intervals(better) == [(1, 2), (1, 3), (2, 3)]
    assert tie_groups(better, [0, 1, 2]) == ["a", "ab", "b"]


def test_pairs_without_a_test_prove_nothing():
    differences, p_values = pairwise([0.9, 0.1], noise=0.01)
    assert not significantly_better(differences, np.full_like(p_values, np.nan)).any()
    assert rank_intervals(np.zeros((1, 1), dtype=bool)) == [(1, 1)]
    assert tie_groups(np.zeros((0, 0), dtype=bool), []) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=9), st.floats(0.01, 0.3))
def test_models_share_a_letter_exactly_if_no_test_separates_them(scores, noise):
    better = significantly_better(*pairwise(scores, noise))
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    letters = tie_groups(better, order)
    for i in range(len(scores)):
        low, high = rank_intervals(better)[i]
        assert 1 <= low <= order.index(i) + 1 <= high <= len(scores)
        for j in range(i):
            assert bool(set(letters[i]) & set(letters[j])) == (not (better[i, j] or better[j, i]))


def test_statistics_of_a_registered_combination_work_throughout(monkeypatch):
    monkeypatch.setitem(COMBINE, "root", lambda totals: np.sqrt(totals[..., 0] / totals[..., 1]))
    rng = np.random.default_rng(8)
    vectors = np.column_stack([rng.random(80), np.ones(80)])
    statistic = Statistic("root", tuple(range(80)), vectors, "root")
    part = score_part("t", statistic, range(80))
    assert part.se == pytest.approx(interval(statistic, range(80)).se)
    expected = vectors[:, 0].std(ddof=1) / math.sqrt(80) / (2 * statistic.value)  # delta method
    assert part.se == pytest.approx(expected, rel=0.02)


@given(st.integers(0, 64), st.floats(0, 1), st.data())
def test_binomial_and_normal_functions_equal_the_references(n, probability, data):
    k = data.draw(st.integers(-1, n))
    assert binomial_cdf(k, n, probability) == pytest.approx(scipy.stats.binom.cdf(k, n, probability), abs=1e-12)
    assert normal_quantile(probability) == pytest.approx(scipy.stats.norm.ppf(probability), rel=1e-12)


def test_the_interval_of_a_mean_of_scores_stays_within_the_scale_and_that_of_a_difference_does_not() -> None:
    perfect = mean_statistic("accuracy", [1.0] * 40)
    macro = macro_mean([score_part("t", perfect, [str(i) for i in range(40)])])
    assert macro.high is not None
    assert macro.high > 1.0
    assert macro.score_interval == (macro.low, 1.0)
