"""Comparisons of runs: paired, refused where they must be, and worded so that nothing is claimed unseen."""

import json
import math
import time

import numpy as np
import pytest
from memory_runs import MemoryRun, MemoryTask, flipped, right

from evals.compare import Options, compare_runs, comparison_json
from evals.errors import ComparisonError, SpecError
from evals.metrics.base import Statistic, mean_statistic
from evals.statistics import holm, paired_difference


def two(a, b, options=None, **manifest):
    runs = [MemoryRun("run-a", {"t": a} if isinstance(a, MemoryTask) else a)]
    runs.append(MemoryRun("run-b", {"t": b} if isinstance(b, MemoryTask) else b, **manifest))
    return compare_runs(runs, options)[0]


def test_a_clear_gain_is_said_with_its_interval():
    a = right(1000, 0.6)
    b = flipped(a, 20, 80)
    compared = two(MemoryTask(a), MemoryTask(b)).tasks[0]
    direct = paired_difference(mean_statistic("accuracy", a), mean_statistic("accuracy", b), range(1000))
    assert compared.verdict == "better"
    assert compared.difference.value == pytest.approx(0.06)
    assert (compared.difference.low, compared.difference.high) == pytest.approx((direct.low, direct.high))
    assert (compared.difference.n_rose, compared.difference.n_fell) == (80, 20)
    assert compared.difference.discordance == pytest.approx(0.1)
    assert compared.sentence.startswith("B is better: +6.0 points, 95 % interval +4.")


def test_a_run_that_was_broken_off_is_named():
    scores = MemoryTask(right(100, 0.6))
    assert any("run-b has not finished" in line for line in two(scores, scores, status="interrupted").warnings)
    assert two(scores, scores, status="incomplete").warnings == ()


def test_no_evidence_is_not_called_the_same():
    a = right(1000, 0.6)
    compared = two(MemoryTask(a), MemoryTask(flipped(a, 30, 33)))
    task = compared.tasks[0]
    expected = 2.8016 * math.sqrt(0.063 / 1000)  # (z_.975 + z_.8) x error of the difference
    assert task.verdict == "undetected"
    assert task.detectable == pytest.approx(expected, rel=0.002)
    assert task.sentence == "No detectable difference; effects under 2.2 points cannot be seen with 1,000 questions."
    assert "2.2 points cannot be seen" in compared.sentence


def test_many_questions_with_few_changes_are_equivalent():
    a = right(4000, 0.6)
    task = two(MemoryTask(a), MemoryTask(flipped(a, 12, 11))).tasks[0]
    assert task.verdict == "equivalent"
    assert task.sentence.startswith("Equivalent within ±1.0 points")


def test_the_same_run_twice():
    a = MemoryTask(right(2000, 0.6))
    compared = two(a, a)
    assert compared.tasks[0].agreement == 1.0
    assert compared.tasks[0].difference.discordance == 0.0
    assert compared.verdict == "equivalent"
    assert compared.warnings == ()


def test_p_values_are_adjusted_over_all_tasks_of_all_comparisons():
    base = {f"t{i}": right(300, 0.6, i) for i in range(3)}
    runs = [MemoryRun("a", {name: MemoryTask(scores) for name, scores in base.items()})]
    for j in range(2):
        tasks = {name: MemoryTask(flipped(scores, 10, 20 + j * 10, j)) for name, scores in base.items()}
        runs.append(MemoryRun(f"b{j}", tasks))
    found = compare_runs(runs)
    raw = [task.difference.p for comparison in found for task in comparison.tasks]
    assert [task.p_holm for comparison in found for task in comparison.tasks] == holm(raw)
    assert [comparison.b for comparison in found] == ["b0", "b1"]


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        ("generation", {"max_new_tokens": 16, "num_beams": 3}, "num_beams: 1 → 3"),
        ("prompt", "p1", "prompt: 'p0' → 'p1'"),
        ("task", {"version": 2, "preset": "default"}, "version: 1 → 2"),
        ("scorer", {"metrics": [], "extractor": "last_line"}, "extractor"),
    ],
)
def test_other_settings_are_refused_by_name_unless_allowed(part, value, named):
    a, b = MemoryTask(right(50, 0.5)), MemoryTask(right(50, 0.5), identity={part: value})
    with pytest.raises(ComparisonError, match=f"task t: {part} differs") as refusal:
        two(a, b)
    assert named in str(refusal.value)
    assert f"--allow {part}" in str(refusal.value)
    assert refusal.value.exit_code == 4
    allowed = two(a, b, Options(allow=[part]))
    assert allowed.allowed[0].part == part
    assert f"{part} differs and was allowed" in allowed.warnings[0]


def test_a_mistyped_part_is_named():
    with pytest.raises(SpecError, match="Did you mean 'generation'"):
        two(MemoryTask([1.0]), MemoryTask([1.0]), Options(allow=["generatoin"]))


def test_other_data_is_refused_and_disjoint_data_even_when_allowed():
    a, b = MemoryTask(right(50, 0.5)), MemoryTask(right(50, 0.5), prefix="other")
    with pytest.raises(ComparisonError, match="data differs"):
        two(a, b)
    with pytest.raises(ComparisonError, match="no scored sample in common"):
        two(a, b, Options(allow=["data"]))


def test_runs_of_different_sizes_compare_on_the_common_rows_when_allowed():
    a = right(60, 0.5)
    compared = two(MemoryTask(a), MemoryTask(a[:40]), Options(allow=["data"]))
    task = compared.tasks[0]
    assert (task.only_a, task.only_b, task.difference.n_units) == (20, 0, 40)
    assert any("20 rows only in A" in line for line in compared.warnings)


def test_failed_requests_are_left_out_and_said():
    a, b = right(40, 0.5), right(40, 0.5)
    b[3] = None
    a[5] = None
    compared = two(MemoryTask(a), MemoryTask(b))
    assert (compared.tasks[0].unscored, compared.tasks[0].difference.n_units) == (2, 38)
    assert any("2 rows have no score" in line for line in compared.warnings)


def test_missing_tasks_leave_no_overall_difference():
    scores = {f"t{i}": MemoryTask(right(30, 0.5, i)) for i in range(10)}
    compared = two(scores, {name: scores[name] for name in list(scores)[:8]})
    assert compared.missing == ("t8", "t9")
    assert compared.overall is None
    assert len(compared.tasks) == 8
    assert "only one of the runs has t8, t9" in compared.sentence


def test_no_common_task_and_a_single_run_are_refused():
    one = MemoryRun("a", {"x": MemoryTask([1.0])})
    with pytest.raises(ComparisonError, match="no task in common: x against y"):
        compare_runs([one, MemoryRun("b", {"y": MemoryTask([1.0])})])
    with pytest.raises(ComparisonError, match="at least two runs"):
        compare_runs([one])


def test_overall_is_the_weighted_mean_of_the_tasks():
    a = {"x": right(200, 0.5, 1), "y": right(100, 0.7, 2)}
    b = {"x": flipped(a["x"], 5, 25), "y": flipped(a["y"], 4, 8)}
    weights = {"x": 3.0, "y": 1.0}
    runs = [{name: MemoryTask(s, weight=weights[name]) for name, s in scores.items()} for scores in (a, b)]
    compared = two(*runs)
    assert compared.overall.value == pytest.approx(0.75 * 0.1 + 0.25 * 0.04)
    assert compared.overall_b - compared.overall_a == pytest.approx(compared.overall.value)
    assert compared.overall.n_tasks == 2


@pytest.mark.parametrize("scores", [[1.0], [1.0, 1.0, 0.0]])
def test_one_sample_or_one_cluster_is_undefined(scores):
    task = MemoryTask(scores, clusters=["image"] * len(scores))
    compared = two(task, task)
    assert compared.tasks[0].verdict == "undefined"
    assert compared.tasks[0].sentence.startswith("Nothing can be said")
    assert compared.overall.value == 0.0
    assert compared.overall.low is None


@pytest.mark.parametrize("level", [0.0, 1.0, 0.5])
def test_all_right_all_wrong_and_constant_scores_are_bounded_not_certain(level):
    task = two(MemoryTask([level] * 30), MemoryTask([level] * 30)).tasks[0]
    assert task.verdict == "undetected"
    assert task.difference.low < -0.05
    assert task.difference.high > 0.05
    json.dumps(comparison_json([two(MemoryTask([level] * 30), MemoryTask([level] * 30))]), allow_nan=False)


def test_categories_are_adjusted_for_exploration():
    a = right(400, 0.6)
    colours = ["red", "green", "blue", "grey"] * 100
    b = [0.0 if c == "red" else s for s, c in zip(a, colours, strict=True)]
    compared = two(MemoryTask(a, categories={"colour": colours}), MemoryTask(b, categories={"colour": colours}))
    cells = {cell.value: cell for cell in compared.tasks[0].categories}
    assert set(cells) == set(colours)
    assert cells["red"].p_bh < 1e-6
    assert cells["blue"].p_bh == 1.0
    assert cells["red"].difference.n_units == 100
    assert two(MemoryTask(a), MemoryTask(b), Options(categories=False)).tasks[0].categories == ()


def rate_task(errors, lengths):
    vectors = np.column_stack([errors, lengths]).astype(float)
    statistic = Statistic("wer", tuple(range(len(vectors))), vectors, "ratio", (0.0, math.inf), higher_is_better=False)
    return MemoryTask([0.0] * len(vectors), statistic=statistic)


def test_an_error_rate_that_falls_is_better_and_has_no_place_in_the_macro():
    rng = np.random.default_rng(1)
    lengths = rng.integers(5, 30, 300)
    before = rng.binomial(lengths, 0.4)
    compared = two(rate_task(before, lengths), rate_task(rng.binomial(before, 0.8), lengths))
    assert compared.tasks[0].verdict == "better"
    assert compared.tasks[0].difference.value < 0
    assert compared.overall is None
    assert "closed scale" in compared.sentence


def test_efficiency_is_compared_on_the_same_hardware_only():
    rng = np.random.default_rng(0)
    waits = rng.lognormal(3, 0.3, 200)
    a = MemoryTask(right(200, 0.5), waits_ms=waits.tolist(), requests_per_s=10.0)
    b = MemoryTask(right(200, 0.5), waits_ms=(waits * 1.1).tolist(), requests_per_s=9.0)
    same = two(a, b)
    ratios = {e.name: e for e in same.tasks[0].efficiency}
    assert ratios["latency_ms"].ratio == pytest.approx(1.1)
    assert ratios["latency_ms"].low <= ratios["latency_ms"].ratio <= ratios["latency_ms"].high
    assert ratios["requests_per_s"].ratio == pytest.approx(0.9)
    other = two(a, b, hardware_key="cpu-2")
    assert other.tasks[0].efficiency == ()
    assert "different hardware" in other.efficiency_note


def test_json_is_plain_and_names_what_was_compared():
    a = right(100, 0.5)
    document = comparison_json([two(MemoryTask(a), MemoryTask(flipped(a, 5, 9)))])
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text)["comparisons"][0]["a"] == "run-a"
    assert "psi" not in text


def test_ten_tasks_of_twenty_thousand_samples_take_under_three_seconds_of_cpu():
    tasks_a, tasks_b = {}, {}
    for i in range(10):
        scores = right(20000, 0.6, i)
        tasks_a[f"t{i}"], tasks_b[f"t{i}"] = MemoryTask(scores), MemoryTask(flipped(scores, 500, 600, i))
    runs = [MemoryRun("a", tasks_a), MemoryRun("b", tasks_b)]
    start = time.process_time()
    compare_runs(runs)
    assert time.process_time() - start < 3.0
