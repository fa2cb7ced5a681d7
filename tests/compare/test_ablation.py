"""Checkpoints in order: steps are found, curves carry intervals, and gains are called only when tests say so."""

import json

import pytest
from memory_runs import MemoryRun, MemoryTask, flipped, right

from evals.compare import ablate, as_json
from evals.compare.ablation import step_of
from evals.compare.panel import align, load_evidence
from evals.errors import ComparisonError


def trained(step, gain, n=400, lost=0, tasks=("words", "shapes")):
    scores = {task: right(n, 0.4, seed) for seed, task in enumerate(tasks)}
    changed = {task: MemoryTask(flipped(s, lost, gain, step), weight=1.0) for task, s in scores.items()}
    return MemoryRun(f"step-{step}", changed)


@pytest.mark.parametrize(
    ("run_id", "model", "step"),
    [
        ("step-002000", {}, 2000),
        ("step_12k", {}, 12000),
        ("checkpoint-500", {}, 500),
        ("final", {"step": 9000}, 9000),
        ("final", {"options": {"checkpoint": "out/step-300/model"}}, 300),
        ("final", {"name": "omnilmm"}, None),
        ("footstep", {}, None),
    ],
)
def test_steps_are_read_from_names_and_metadata(run_id, model, step):
    assert step_of(MemoryRun(run_id, {"t": MemoryTask([1.0])}, model=model)) == step


def test_runs_are_ordered_and_the_best_has_a_rank_interval():
    found = ablate([trained(3000, 120), trained(1000, 0), trained(2000, 115, lost=2)])
    assert found.steps == (1000, 2000, 3000)
    assert found.best == 2
    assert found.ranks == ((3, 3), (1, 2), (1, 2))
    assert "rank is between 1 and 2: no significant difference to step-2000" in found.sentence
    assert [p.step for p in found.macro] == [1000, 2000, 3000]
    assert all(p.low < p.value < p.high for curve in found.curves for p in curve.points)
    json.dumps(as_json(found), allow_nan=False)


def test_a_clear_best_is_called_so():
    assert "significantly above all others" in ablate([trained(1, 0), trained(2, 100)]).sentence


def test_the_first_significant_gain_is_a_step_and_noise_is_none():
    found = ablate([trained(1, 0), trained(2, 13, lost=12), trained(3, 60, lost=10), trained(4, 80, lost=5)])
    assert [curve.first_gain for curve in found.curves] == [3, 3]
    assert found.curves[0].p_gain[0] > 0.05
    still = ablate([trained(1, 0), trained(2, 12, lost=12)])
    assert [curve.first_gain for curve in still.curves] == [None, None]


def test_runs_without_or_with_equal_steps_are_refused():
    with pytest.raises(ComparisonError, match="no step number"):
        ablate([trained(1, 0), MemoryRun("final", {"words": MemoryTask([1.0])})])
    with pytest.raises(ComparisonError, match="both step 1"):
        ablate([trained(1, 0), trained(1, 5)])


def test_other_tasks_or_settings_are_refused():
    with pytest.raises(ComparisonError, match="only one has shapes"):
        ablate([trained(1, 0), trained(2, 0, tasks=("words",))])
    other = MemoryRun("step-2", {"words": MemoryTask(right(400, 0.4, 0), identity={"prompt": "p9"})})
    with pytest.raises(ComparisonError, match="prompt differs"):
        ablate([trained(1, 0, tasks=("words",)), other])


def test_alignment_keeps_the_units_all_have():
    runs = [
        MemoryRun(f"r{i}", {"t": MemoryTask(scores)}) for i, scores in enumerate([[1, 0, None, 1], [1, 1, 1, None]])
    ]
    one, two = align([load_evidence(run, "t") for run in runs])
    assert [row for row, _ in one.ids] == [row for row, _ in two.ids] == ["q0", "q1"]
    with pytest.raises(ComparisonError, match="no scored sample in common"):
        align([load_evidence(MemoryRun(x, {"t": MemoryTask([1.0], prefix=x)}), "t") for x in "ab"])
