"""Error rates of what the project decides, simulated with fixed seeds. Figures of the long version are in the docs."""

import math

import numpy as np
import pytest

from evals.gate.margins import Margins
from evals.gate.rule import apply_rule
from evals.gate.speed_rule import judge_pairs
from evals.metrics.base import Statistic, mean_statistic
from evals.statistics import difference_part, interval, paired_difference
from tools.speed_gate_trials import PAIRED, STORED, Setting, rates


def coverage(draw, truth, runs):
    """Share of simulated intervals that hold the true value."""
    held = 0
    for seed in range(runs):
        statistic, clusters = draw(np.random.default_rng(seed))
        found = interval(statistic, clusters)
        held += found.low <= truth <= found.high
    return held / runs


def clustered_binary(rng, images=150, questions=4, spread=0.25):
    """Questions of an image share its ease; true mean 0.7 by symmetry of the ease around it."""
    ease = np.clip(0.7 + rng.uniform(-spread, spread, images), 0, 1)
    scores = (rng.random((images, questions)) < ease[:, None]).astype(float).ravel()
    return mean_statistic("accuracy", scores.tolist()), np.repeat(np.arange(images), questions).tolist()


def single_binary(rng, n=400, share=0.9):
    return mean_statistic("accuracy", (rng.random(n) < share).astype(float).tolist()), list(range(n))


def pooled_rate(rng, n=200):
    """Word errors over words; true rate 0.2."""
    words = rng.integers(5, 30, n)
    errors = rng.binomial(words, np.clip(rng.normal(0.2, 0.05, n), 0, 0.4))
    vectors = np.column_stack([errors, words]).astype(float)
    return Statistic("wer", tuple(range(n)), vectors, "ratio", (0.0, math.inf)), list(range(n))


CASES = [(clustered_binary, 0.7), (single_binary, 0.9), (pooled_rate, 0.2)]


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "truth"), CASES)
def test_95_percent_intervals_cover_94_to_96_percent(draw, truth):
    assert 0.94 <= coverage(draw, truth, 4000) <= 0.96


@pytest.mark.parametrize(("draw", "truth"), CASES)
def test_95_percent_intervals_cover_in_a_short_simulation(draw, truth):
    assert 0.90 <= coverage(draw, truth, 120) <= 0.99


def gate_outcome(rng, drops, n=1000, psi=0.06, share=0.7):
    """The rule's outcome for tasks of ``n`` of which a share ``psi`` of the answers changes, the drop included."""
    gains, parts = {}, []
    for i, drop in enumerate(drops):
        a = rng.random(n) < share
        lost = rng.random(n) < (psi + drop) / 2 / share
        gained = rng.random(n) < (psi - drop) / 2 / (1 - share)
        b = np.where(a, ~lost, gained)
        one, two = (mean_statistic("accuracy", x.astype(float).tolist()) for x in (a, b))
        keys = range(i * n, (i + 1) * n)
        gains[f"t{i}"] = paired_difference(one, two, keys).gain()
        parts.append(difference_part(f"t{i}", gains[f"t{i}"], keys))
    return apply_rule(gains, parts, Margins()).outcome


def gate_rates(drops, runs, psi=0.06):
    outcomes = [gate_outcome(np.random.default_rng(seed), drops, psi=psi) for seed in range(runs)]
    return {outcome: outcomes.count(outcome) / runs for outcome in ("PASS", "FAIL", "INCONCLUSIVE")}


@pytest.mark.slow
def test_the_gate_fails_an_unchanged_model_in_at_most_2_percent():
    rates = gate_rates([0.0] * 4, 2000)
    assert rates["FAIL"] <= 0.02
    assert rates["PASS"] >= 0.78


@pytest.mark.slow
def test_the_gate_catches_five_points_in_one_of_four_tasks_of_1000():
    assert gate_rates([0.05, 0.0, 0.0, 0.0], 1000)["FAIL"] >= 0.99


@pytest.mark.slow
def test_the_gate_catches_two_points_in_all_of_four_tasks():
    assert gate_rates([0.02] * 4, 1000)["FAIL"] >= 0.99


def test_the_gate_in_a_short_simulation():
    assert gate_rates([0.0] * 4, 20)["FAIL"] <= 0.1
    assert gate_rates([0.05, 0.0, 0.0, 0.0], 10)["FAIL"] >= 0.9


def speed_rates(factor, runs, spread=0.01):
    outcomes = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        a, b = np.exp(rng.normal(0, spread, 5)), factor * np.exp(rng.normal(0, spread, 5))
        outcomes.append(judge_pairs("latency_ms", a.tolist(), b.tolist()).outcome)
    return {outcome: outcomes.count(outcome) / runs for outcome in ("PASS", "FAIL", "INCONCLUSIVE")}


def test_the_speed_gate_is_silent_on_noise_and_catches_ten_percent():
    """Cheap enough to run always: one percent of noise between runs, five pairs."""
    same = speed_rates(1.0, 1500)
    assert same["FAIL"] <= 0.05
    assert same["PASS"] >= 0.99
    assert speed_rates(1.1, 1500)["FAIL"] >= 0.99


# A profile's quantities are one family: 34 are those of six scenarios at batch 1 and 8 on a GPU.
MANY = [Setting(34, noise=0.02), Setting(34, noise=0.02, shared=0.8), Setting(12, noise=0.02)]


@pytest.mark.slow
@pytest.mark.parametrize("setting", MANY, ids=str)
def test_many_quantities_together_call_unchanged_code_slower_in_at_most_5_percent(setting):
    assert rates(PAIRED["Holm"], setting, 1000)["FAIL"] <= 0.05
    assert rates(STORED["Holm"], setting, 1000, stored=10)["FAIL"] <= 0.05
    assert rates(PAIRED["alone"], setting, 300)["FAIL"] >= 0.08


@pytest.mark.slow
def test_one_slower_quantity_of_many_is_heard():
    assert rates(PAIRED["Holm"], Setting(34, slower=1.10, how_many=1), 500)["FAIL"] >= 0.99
    assert rates(PAIRED["Holm"], Setting(34, pairs=9, slower=1.05, how_many=1), 500)["FAIL"] >= 0.90
    assert rates(STORED["Holm"], Setting(34, slower=1.10, how_many=1), 500, stored=10)["FAIL"] >= 0.99


def test_many_quantities_together_in_a_short_simulation():
    same, slower = Setting(12, noise=0.02), Setting(12, slower=1.10, how_many=1)
    for rules, stored in ((PAIRED, 0), (STORED, 10)):
        assert rates(rules["Holm"], same, 60, stored)["FAIL"] <= 0.05
        assert rates(rules["Holm"], slower, 30, stored)["FAIL"] >= 0.9
