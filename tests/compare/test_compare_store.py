"""Comparisons of run directories say the same as those of the runs they were written from."""

import json

import numpy as np
import pytest
from memory_runs import MemoryRun, MemoryTask, flipped, right, stored

import run_eval
from evals.compare import compare_runs, comparison_json
from evals.errors import StoreError
from evals.gate import create_baseline, judge
from evals.leaderboard import board_json, build_board
from evals.store import open_run


@pytest.fixture
def runs():
    colours = {"colour": ["red", "blue"] * 200}
    waits = np.random.default_rng(0).lognormal(3, 0.3, 400).tolist()
    scores = {"a": right(400, 0.7, 1), "b": [*right(399, 0.5, 2), None]}
    other = {"a": flipped(scores["a"], 4, 30), "b": scores["b"]}
    return [
        MemoryRun(name, {t: MemoryTask(s, categories=colours, waits_ms=waits) for t, s in tasks.items()})
        for name, tasks in (("run-a", scores), ("run-b", other))
    ]


@pytest.fixture
def on_disk(runs, tmp_path):
    return [open_run(stored(run, tmp_path / run.manifest["run_id"])) for run in runs]


def test_comparison_leaderboard_and_gate_read_run_directories(runs, on_disk, tmp_path):
    assert comparison_json(compare_runs(on_disk)) == comparison_json(compare_runs(runs))
    assert board_json(build_board(on_disk)) == board_json(build_board(runs))
    named = (("from-disk", on_disk), ("from-memory", runs))
    folders = [create_baseline([r[0]], tmp_path / n, "n", single_reason="a test") for n, r in named]
    verdicts = [judge(folder, r[1]) for folder, r in zip(folders, (on_disk, runs), strict=True)]
    assert verdicts[0].sentence == verdicts[1].sentence
    assert verdicts[0].baseline_sha256 == verdicts[1].baseline_sha256


def test_a_run_that_was_not_scored_is_refused_with_the_remedy(on_disk):
    (on_disk[1].path / "results.json").unlink()
    with pytest.raises(StoreError, match=r"has not been scored.*score"):
        compare_runs([on_disk[0], open_run(on_disk[1].path)])


def test_documents_hold_no_nan(on_disk):
    text = json.dumps(comparison_json(compare_runs(on_disk)), allow_nan=False)
    assert "NaN" not in text


def test_a_task_of_which_every_request_failed_is_undefined(tmp_path):
    paths = [stored(MemoryRun(n, {"t": MemoryTask([None] * 5)}), tmp_path / n) for n in ("one", "two")]
    runs = [open_run(path) for path in paths]
    task = compare_runs(runs)[0].tasks[0]
    assert (task.verdict, task.difference.value, task.unscored) == ("undefined", None, 0)
    assert "not every sample was scored in t" in build_board(runs).groups[0].entries[0].unranked


def test_checkpoints_on_the_command_line_are_ordered_and_shown_as_a_series(tmp_path, capsys):
    scores = right(300, 0.4)
    paths = [
        str(stored(MemoryRun(f"step-{step}", {"t": MemoryTask(flipped(scores, 0, gain))}), tmp_path / f"step-{step}"))
        for step, gain in ((300, 90), (100, 0), (200, 40))
    ]
    assert run_eval.main(["compare", *paths, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [c["a"] for c in document["comparisons"]] == ["step-100", "step-100"]
    assert document["ablation"]["steps"] == [100, 200, 300]
    assert run_eval.main(["compare", *paths]) == 0
    assert "significantly above the first step from step 200 on" in capsys.readouterr().out


def test_the_gate_on_the_command_line_has_its_exit_codes(tmp_path):
    scores = right(500, 0.7)
    made = {"a": scores, "b": scores, "bad": flipped(scores, 90, 0)}
    paths = {n: str(stored(MemoryRun(n, {"t": MemoryTask(s)}), tmp_path / n)) for n, s in made.items()}
    base = str(tmp_path / "baseline")
    assert run_eval.main(["baseline", "create", paths["a"], paths["b"], "--name", "n", "--out", base]) == 0
    assert run_eval.main(["gate", "--baseline", base, "--candidate", paths["b"]]) == 0
    assert run_eval.main(["gate", "--baseline", base, "--candidate", paths["bad"]]) == 1
    assert (tmp_path / "bad" / "gate" / "junit.xml").exists()
    other = MemoryRun("other", {"t": MemoryTask(scores, identity={"prompt": "p9"})})
    assert run_eval.main(["gate", "--baseline", base, "--candidate", str(stored(other, tmp_path / "other"))]) == 4
    assert json.loads((tmp_path / "other" / "gate" / "verdict.json").read_text())["outcome"] == "NOT COMPARABLE"
    assert run_eval.main(["gate", "--baseline", base, base, "--candidate", paths["b"]]) == 2
