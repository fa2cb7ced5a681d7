"""Batches of different sizes in a short number format are said wherever two runs are held against each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from memory_runs import MemoryRun, MemoryTask

from evals.compare import compare_runs
from evals.compare.batches import board_note, rounding_notes, usual_batch
from evals.gate import create_baseline, judge
from evals.gate.outputs import markdown
from evals.leaderboard import board_markdown, build_board


def run(name: str, dtype: str | None, **sizes: int) -> MemoryRun:
    """A run of one task; ``b8=90`` is ninety answers in batches of 8."""
    made = MemoryRun(name, {"t": MemoryTask([1.0, 0.0] * 50)}, model={"name": "tiny", "dtype": dtype})
    made.results["tasks"]["t"].setdefault("efficiency", {})["batch_sizes"] = {k[1:]: n for k, n in sizes.items()}
    return made


def test_the_usual_batch_is_the_one_of_most_answers() -> None:
    assert usual_batch({"efficiency": {"batch_sizes": {"8": 4, "64": 90, "2": 6}}}) == 64
    assert usual_batch({"efficiency": {"batch_sizes": {"9": 5, "10": 5}}}) == 10
    assert usual_batch({"efficiency": {}}) is None
    assert usual_batch({"usual_batch": 3, "efficiency": {"batch_sizes": {"8": 4}}}) == 3


@pytest.mark.parametrize(
    ("dtypes", "sizes", "said"),
    [
        (("bfloat16", "bfloat16"), ({"b64": 96, "b4": 4}, {"b8": 96, "b4": 4}), "batches of 64 and 8 in bfloat16"),
        (("bfloat16", "float16"), ({"b64": 100}, {"b8": 100}), "in bfloat16 and float16"),
        (("float32", "bfloat16"), ({"b64": 100}, {"b8": 100}), "in bfloat16"),
        (("float32", "float32"), ({"b64": 100}, {"b8": 100}), ""),
        ((None, None), ({"b64": 100}, {"b8": 100}), ""),
        (("bfloat16", "bfloat16"), ({"b8": 96, "b4": 4}, {"b8": 90, "b2": 10}), ""),
        (("bfloat16", "bfloat16"), ({}, {"b8": 100}), ""),
    ],
)
def test_a_comparison_says_it_where_it_can_matter(
    dtypes: tuple[str | None, str | None], sizes: tuple[dict[str, int], dict[str, int]], said: str
) -> None:
    a, b = (run(name, dtype, **size) for name, dtype, size in zip("ab", dtypes, sizes, strict=True))
    notes = rounding_notes(a, b, ["t"])
    assert len(notes) == bool(said)
    assert all(said in note and "doctor --determinism" in note for note in notes)
    (found,) = compare_runs([a, b])
    assert [line for line in found.warnings if "batches of" in line] == notes
    assert bool(board_note([a, b])) == bool(said)


def test_a_gate_and_a_leaderboard_say_it_too(tmp_path: Path) -> None:
    old, new = run("old", "bfloat16", b64=100), run("new", "bfloat16", b8=100)
    baseline = create_baseline([old], tmp_path, name="b", single_reason="the adapter is exact")
    assert "usual_batch: 64" in (tmp_path / "baseline.yaml").read_text()
    verdict = judge(baseline, new)
    assert any("batches of 64 and 8 in bfloat16" in line for line in verdict.warnings)
    assert "batches of 64 and 8" in markdown(verdict)
    assert not any("batches of" in line for line in judge(baseline, run("same", "bfloat16", b64=100)).warnings)
    board = board_markdown(build_board([old, new]))
    assert "batches of different sizes (8: new; 64: old), some of them in bfloat16" in board
    assert "different sizes" not in board_markdown(build_board([old, run("same", "bfloat16", b64=100)]))
