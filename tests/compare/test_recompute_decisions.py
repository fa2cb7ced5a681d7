"""The documented script that recomputes every number with statsmodels agrees with the project."""

import importlib.util
from pathlib import Path

import pytest
from memory_runs import MemoryRun, MemoryTask, flipped, right, stored

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "recompute_decisions.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("recompute_decisions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def folders(tmp_path, **kwargs):
    base = {"a": right(300, 0.7, 1), "b": right(500, 0.5, 2), "same": right(50, 0.5, 3)}
    if kwargs.pop("changed_only", False):
        del base["same"]
    other = dict(base, a=flipped(base["a"], 8, 12), b=flipped(base["b"], 30, 50))
    named = (("run-a", base), ("run-b", other))
    return [
        str(stored(MemoryRun(n, {t: MemoryTask(s, **kwargs) for t, s in tasks.items()}), tmp_path / n))
        for n, tasks in named
    ]


def test_tasks_of_single_questions_and_their_macro_mean_agree(script, tmp_path, capsys):
    assert script.main(folders(tmp_path, changed_only=True)) == 0
    printed = capsys.readouterr().out
    assert "mid-p McNemar" in printed
    assert "macro mean" in printed
    assert printed.endswith("all agree\n")


def test_unchanged_tasks_are_skipped_and_said(script, tmp_path, capsys):
    assert script.main(folders(tmp_path)) == 0
    assert "same: skipped (exact_bound)" in capsys.readouterr().out
