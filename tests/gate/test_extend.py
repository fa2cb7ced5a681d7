"""`gate --extend`: an inconclusive verdict asks more of the baseline's samples, and asks nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import run_eval
from evals.store import open_run
from tests.harness.small_tasks import SmallTask, small_task


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path / "task", n=900, images=0)


def run(task: SmallTask, out: Path, *more: object) -> Path:
    options = ["run", task.yaml, "--model", "null", "--data-root", task.folder, "--out", out, "--quiet", "--no-report"]
    assert run_eval.main([str(option) for option in [*options, *more]]) == 0
    return out


@pytest.fixture
def baseline(task: SmallTask, tmp_path: Path) -> Path:
    run(task, tmp_path / "whole")
    folder = tmp_path / "baseline"
    made = [
        "baseline",
        "create",
        tmp_path / "whole",
        "--single",
        "the adapter is exact",
        "--name",
        "b",
        "--out",
        folder,
    ]
    assert run_eval.main([str(option) for option in [*made, "--margin", "macro=0.02"]]) == 0
    return folder


def gate(baseline: Path, candidate: Path, *more: str) -> int:
    return run_eval.main(["gate", "--baseline", str(baseline), "--candidate", str(candidate), "--json", *more])


def test_a_candidate_of_few_samples_is_extended_until_it_is_settled(
    task: SmallTask, baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = tmp_path / "few"
    run(task, candidate, "--limit", 60)
    capsys.readouterr()
    assert gate(baseline, candidate, "--allow", "data") == 3
    before = json.loads(capsys.readouterr().out)
    assert gate(baseline, candidate, "--extend") == 0
    found = capsys.readouterr()
    after = json.loads(found.out)
    assert after["outcome"] == "PASS"
    assert before["samples"] == 60 < after["samples"] <= 900
    assert "60 answers were there already and were not asked again" in found.err
    (extended,) = tmp_path.glob("few-*-samples")
    assert len((extended / "responses" / f"{task.name}.jsonl").read_text().splitlines()) == after["samples"]


def test_joined_shards_are_extended_by_their_own_command(
    task: SmallTask, baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard in ("0/2", "1/2"):
        run(task, tmp_path / "few", "--limit", 60, "--shard", shard)
    parts = [str(tmp_path / f"few-shard-{k}-of-2") for k in range(2)]
    assert run_eval.main(["merge", *parts, "--out", str(tmp_path / "joined"), "--no-report"]) == 0
    capsys.readouterr()
    assert gate(baseline, tmp_path / "joined", "--extend") == 0
    found = capsys.readouterr()
    assert json.loads(found.out)["samples"] > 60
    assert "60 answers were there already and were not asked again" in found.err
    (extended,) = tmp_path.glob("joined-*-samples")
    (session,) = open_run(extended).manifest["sessions"]
    assert session["shard"] is None
    assert "--limit 60" in session["command"]
    assert "--shard" not in session["command"]


def test_a_run_without_a_command_of_its_own_is_not_extended_and_says_why(
    task: SmallTask, baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = open_run(run(task, tmp_path / "few", "--limit", 60))
    kept = {key: value for key, value in candidate.manifest.items() if key != "sessions"}
    candidate.write_manifest(kept | {"command": "run_eval.py merge a b --out few"})  # as an older version joined it
    capsys.readouterr()
    assert gate(baseline, candidate.path, "--extend") == 2
    said = capsys.readouterr().err
    assert "was made by 'merge a b --out few', and its manifest tells no session" in said
    assert "join its shards again" in said


def test_the_command_prints_what_to_read_with_care(
    task: SmallTask, baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = run(task, tmp_path / "few", "--limit", 60)
    capsys.readouterr()
    assert run_eval.main(["gate", "--baseline", str(baseline), "--candidate", str(few), "--allow", "data"]) == 3
    first, *notes = capsys.readouterr().out.splitlines()
    assert first.startswith("INCONCLUSIVE")
    assert f"note: {task.name}: 840 rows have no score on both sides and are left out" in notes


def test_a_conclusive_verdict_asks_nothing(task: SmallTask, baseline: Path, tmp_path: Path) -> None:
    whole = run(task, tmp_path / "all")
    assert gate(baseline, whole, "--extend") == 0
    assert list(tmp_path.glob("all-*")) == []


def test_a_candidate_on_other_data_is_not_extended(
    task: SmallTask, baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row | {"answer": "purple"} for row in task.rows]
    (task.folder / f"{task.name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = run(task, tmp_path / "other", "--limit", 60)
    assert gate(baseline, other, "--extend") == 4
    assert "60 samples of other are not in baseline b" in capsys.readouterr().err


def test_answers_of_another_model_are_not_taken_over(task: SmallTask, tmp_path: Path) -> None:
    from dataclasses import replace

    from evals.errors import StoreError
    from evals.runner import execute
    from model_adapters import load_adapter

    earlier = open_run(run(task, tmp_path / "earlier", "--limit", 5))
    manifest = dict(earlier.manifest)
    manifest["identity"]["model"]["weights"] = "others"
    earlier.write_manifest(manifest)
    job = replace(task.job(tmp_path / "new"), taken_from=earlier)
    with pytest.raises(StoreError, match="its model differs in weights"):
        execute(job, lambda: load_adapter("null"))
