"""The manifest's sessions: who asked the model each time, and that neither identity nor results depend on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_processes import start, wait_for
from scripted_adapters import Limited, Roomy, Scripted, results_without_times
from small_tasks import SmallTask, small_task

from evals.executors.base import ExecutorChoice
from evals.executors.recipe import AdapterRecipe
from evals.executors.shard import Shard
from evals.merge import merge_runs
from evals.runner import execute
from evals.store import Run, open_run
from reports.run_report import build_report

N = 40


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path, n=N)


def sessions(run: Run, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(session[key] for key in keys) for session in open_run(run.path).manifest["sessions"]]


def test_a_session_says_who_asked_how_much_and_how_it_ended(task: SmallTask) -> None:
    (found,) = execute(task.job(task.folder / "run", command="run_eval.py run x"), Scripted).run.manifest["sessions"]
    assert found["ended"] >= found["started"]
    assert len(found.pop("hardware_key")) > 0
    assert {key: found[key] for key in found if key not in ("started", "ended")} == {
        **{"command": "run_eval.py run x", "executor": "in-process", "workers": None, "address": None, "shard": None},
        **{"status": "complete", "answered": N, "failed": 0, "batch_size": None, "auto_batch": False},
    }


@pytest.mark.usefixtures("adapters")
def test_each_continuation_is_a_session_and_results_are_those_of_one(task: SmallTask) -> None:
    job = task.job(task.folder / "a" / "run", max_error_rate=0.0)
    execute(job, lambda: Scripted(hook=lambda request: 1 / 0 if request.request_id > "q00009" else None))
    done = execute(replace(job, executor=ExecutorChoice("workers", 2)), AdapterRecipe("scripted", {}))
    assert sessions(done.run, "executor", "workers", "answered", "failed", "status") == [
        ("in-process", None, 10, 30, "incomplete"),
        ("workers", 2, 30, 0, "complete"),
    ]
    execute(job, Scripted)  # nothing is left to ask
    assert len(sessions(done.run)) == 2
    whole = execute(task.job(task.folder / "b" / "run"), Scripted).run
    assert results_without_times(done.run.path / "results.json") == results_without_times(whole.path / "results.json")
    assert done.run.manifest["identity"] == whole.manifest["identity"]


def test_a_killed_session_stays_begun(task: SmallTask) -> None:
    out = task.folder / "run"
    process = start(task, out, batch=1)
    wait_for(out, 3)
    process.kill()
    process.communicate()
    (killed,) = open_run(out).manifest["sessions"]
    assert (killed["status"], killed["ended"]) == ("started", None)


def test_a_joined_run_has_its_shards_sessions_each_once(task: SmallTask) -> None:
    parts = [execute(task.job(task.folder / "run", shard=Shard(k, 2)), Scripted).run.path for k in range(2)]
    out = task.folder / "joined"
    for _ in range(2):
        joined = merge_runs(parts, out, 0.0).run
        assert sorted(sessions(joined, "shard", "executor")) == [
            ("shard 0 of 2", "in-process"),
            ("shard 1 of 2", "in-process"),
        ]
    assert sum(answered for (answered,) in sessions(joined, "answered")) == N


def test_halvings_of_all_shards_are_in_the_joined_run(task: SmallTask) -> None:
    parts = [
        execute(task.job(task.folder / "run", shard=Shard(k, 2)), lambda: Limited(2, 4)).run.path for k in range(2)
    ]
    found = merge_runs(parts, task.folder / "joined", 0.0).run.results["tasks"]["colours"]["batch_halved"]
    assert [halving["batch_size"] for halving in found] == [2, 2]


def test_the_batch_size_at_the_end_is_told_in_process_and_by_workers(task: SmallTask, adapters: None) -> None:
    options = {"fits": 3, "batch_size": 8, "is_auto": True}
    one = execute(task.job(task.folder / "one"), lambda: Roomy(**options)).run
    job = task.job(task.folder / "two", executor=ExecutorChoice("workers", 2))
    two = execute(job, AdapterRecipe("roomy", options)).run
    assert sessions(one, "batch_size", "auto_batch") == sessions(two, "batch_size", "auto_batch") == [(2, True)]
    assert one.results["efficiency"]["auto_batch_size"] == two.results["efficiency"]["auto_batch_size"] == 2
    fixed = execute(task.job(task.folder / "fixed"), lambda: Roomy(3, 8)).run
    assert "auto_batch_size" not in fixed.results["efficiency"]
    execute(task.job(task.folder / "one"), lambda: Roomy(9, 8, is_auto=True))  # asks nothing, so it found nothing
    assert open_run(one.path).results["efficiency"]["auto_batch_size"] == 2


def test_the_report_shows_how_it_was_run(task: SmallTask) -> None:
    run = execute(task.job(task.folder / "run", thumbnails=False), Scripted).run
    written = build_report(run)
    assert "How it was run" in written.html.read_text()
    assert "one process" in written.markdown.read_text()
    manifest = json.loads(run.manifest_path.read_text())
    ray = {"executor": "ray", "workers": 3, "address": "10.0.0.1:6379", "status": "started", "shard": "shard 0 of 2"}
    manifest["sessions"].append(manifest["sessions"][0] | ray)
    run.write_manifest(manifest)
    said = build_report(run).markdown.read_text()
    assert "Ray actors at 10.0.0.1:6379" in said
    assert "killed, or still running" in said
    run.write_manifest({key: value for key, value in manifest.items() if key != "sessions"})  # of an older version
    assert "How it was run" not in build_report(run).html.read_text()
