"""The speed gate: runs are the replicates, they are interleaved, on one machine, or there is no verdict."""

import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.stats
from memory_runs import MemoryRun, MemoryTask

from evals.errors import ComparisonError
from evals.gate import write_verdict
from evals.gate.speed import judge_speed, run_speed
from evals.gate.speed_rule import judge_pairs, judge_stored, schedule


def noisy(rng, level, runs=5, spread=0.01):
    return (level * np.exp(rng.normal(0, spread, runs))).tolist()


def test_bounds_are_those_of_the_paired_t_on_logs():
    rng = np.random.default_rng(1)
    a, b = noisy(rng, 100), noisy(rng, 103)
    found = judge_pairs("latency_ms", a, b)
    logs = np.log(b) - np.log(a)
    low, high = scipy.stats.ttest_1samp(logs, 0).confidence_interval(0.90)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((low, high))
    assert math.log(found.ratio) == pytest.approx(logs.mean())


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, "PASS"), (1.1, "FAIL"), (0.8, "PASS")])
def test_equal_slower_and_faster(factor, outcome):
    rng = np.random.default_rng(2)
    assert judge_pairs("latency_ms", noisy(rng, 100), noisy(rng, 100 * factor)).outcome == outcome


def test_a_throughput_is_worse_when_it_falls():
    rng = np.random.default_rng(3)
    assert judge_pairs("requests_per_s", noisy(rng, 50), noisy(rng, 45)).outcome == "FAIL"
    assert judge_pairs("requests_per_s", noisy(rng, 50), noisy(rng, 55)).outcome == "PASS"


def test_too_few_or_too_noisy_runs_are_inconclusive():
    rng = np.random.default_rng(4)
    assert "at least 3" in judge_pairs("latency_ms", [1.0, 1.0], [1.2, 1.2]).reason
    found = judge_pairs("latency_ms", noisy(rng, 100, spread=0.08), noisy(rng, 110, spread=0.08))
    assert (found.outcome, "not quiet" in found.reason) == ("INCONCLUSIVE", True)
    assert judge_pairs("latency_ms", [], []).outcome == "INCONCLUSIVE"


def test_values_that_cannot_be_paired_are_refused():
    with pytest.raises(ComparisonError, match="3 baseline and 2 candidate"):
        judge_pairs("latency_ms", [1.0] * 3, [1.0] * 2)
    with pytest.raises(ComparisonError, match="positive"):
        judge_pairs("latency_ms", [1.0, 0.0, 1.0], [1.0] * 3)


def test_identical_times_pass():
    assert judge_pairs("tpot_ms", [5.0] * 5, [5.0] * 5).outcome == "PASS"


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, "PASS"), (1.10, "FAIL"), (0.9, "PASS")])
def test_stored_runs_bound_the_candidate(factor, outcome):
    rng = np.random.default_rng(5)
    assert judge_stored("latency_ms", noisy(rng, 100, 12), noisy(rng, 100 * factor, 3)).outcome == outcome


def test_stored_runs_that_vary_more_than_the_margin_cannot_tell():
    stored = np.linspace(80, 120, 11).tolist()
    assert judge_stored("latency_ms", stored, [107.0]).outcome == "INCONCLUSIVE"
    assert judge_stored("latency_ms", stored[:5], [107.0]).outcome == "INCONCLUSIVE"


def test_schedule_turns_every_pair():
    assert schedule(5) == "ABBAABBAAB"


def timed(name, minute, level, seed, hardware="cpu-1", **task):
    waits = np.random.default_rng(seed).lognormal(math.log(level), 0.3, 80).tolist()
    held = MemoryTask([1.0] * 80, waits_ms=waits, **task)
    return MemoryRun(name, {"t": held}, created=f"2030-01-01T00:{minute:02d}:00+00:00", hardware_key=hardware)


def sides(factor, order="ABBAABBAAB"):
    """The same requests each time (equal seeds), so that only the level and a little noise differ."""
    rng = np.random.default_rng(6)
    found = {"A": [], "B": []}
    for minute, side in enumerate(order):
        level = 100 * (factor if side == "B" else 1.0) * math.exp(rng.normal(0, 0.01))
        found[side].append(timed(f"{side}{minute}", minute, level, 0))
    return found["A"], found["B"]


def test_runs_are_paired_in_time_and_judged():
    assert judge_speed(*sides(1.0)).outcome == "PASS"
    slower = judge_speed(*sides(1.1))
    assert (slower.outcome, slower.exit_code) == ("FAIL", 1)
    assert slower.findings[0].ratio == pytest.approx(1.1, rel=0.02)
    assert "latency_ms slower by" in slower.sentence


def test_the_verdict_is_written_for_programs_ci_and_people(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    write_verdict(judge_speed(*sides(1.1)), tmp_path)
    document = json.loads((tmp_path / "verdict.json").read_text())
    assert (document["kind"], document["outcome"], document["exit_code"]) == ("speed_verdict", "FAIL", 1)
    root = ElementTree.fromstring((tmp_path / "junit.xml").read_bytes())
    assert (root.get("tests"), root.get("failures")) == ("1", "1")
    assert "| latency_ms | +" in (tmp_path / "report.md").read_text()


def test_runs_that_were_not_interleaved_are_refused():
    with pytest.raises(ComparisonError, match="order AAABBB"):
        judge_speed(*sides(1.0, "AAABBB"))


def test_other_hardware_is_not_comparable():
    a, b = sides(1.0)
    with pytest.raises(ComparisonError, match="different or unknown hardware"):
        judge_speed(a, [*b[:-1], timed("B9", 9, 100, 0, hardware="cpu-2")])


def test_other_workloads_are_refused():
    a, b = sides(1.0)
    with pytest.raises(ComparisonError, match="generation differs"):
        judge_speed(a, [*b[:-1], timed("B9", 9, 100, 0, identity={"generation": {"max_new_tokens": 1}})])


def test_runs_without_times_are_refused():
    runs = [MemoryRun(f"r{i}", {"t": MemoryTask([1.0])}, created=f"2030-01-01T00:0{i}:00+00:00") for i in range(2)]
    assert run_speed(runs[0]) == {}
    with pytest.raises(ComparisonError, match="measured a latency"):
        judge_speed(runs[:1], runs[1:])
