"""Runs that are interrupted, terminated, killed or out of disk, as processes of their own: what is answered stays."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_processes import answered, asked, equals_uninterrupted, finish, start, wait_for
from scripted_adapters import Scripted
from small_tasks import SmallTask, small_task

from evals.errors import AdapterError
from evals.runner import execute
from model_adapters.contract import Request

N = 40


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path, n=N)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_batch_and_the_same_command_continues(task: SmallTask, number: signal.Signals) -> None:
    out = task.folder / "cut" / "run"
    out.parent.mkdir()
    process = start(task, out)
    wait_for(out, 7)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"{number.name}: finishing the batch in flight" in err
    assert "Traceback" not in err
    before = asked(out)
    assert answered(task, out) == set(before)  # whatever was asked is answered and kept
    assert len(before) < N
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    assert not (out / "lock").exists()
    code, err = finish(task, out, batch=5)
    assert code == 0
    assert f"{len(before)} answers were there already and were not asked again" in err
    assert sorted(asked(out)) == sorted({*asked(out)})
    assert equals_uninterrupted(task, out)


def test_a_second_signal_stops_at_once_and_keeps_what_is_answered(task: SmallTask) -> None:
    out = task.folder / "cut" / "run"
    out.parent.mkdir()
    process = start(task, out, batch=30, delay_s=0.05)
    wait_for(out, 5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(asked(out)) < 30
    assert finish(task, out)[0] == 0
    assert equals_uninterrupted(task, out)


def kill_and_continue(task: SmallTask, out: Path, at: int, *, torn: int = 0) -> None:
    """Kill a run after so many requests, tear its journal, run again; check that only what was in flight is redone."""
    out.parent.mkdir(parents=True)
    process = start(task, out)
    wait_for(out, at)
    process.kill()
    process.communicate()
    journal = out / "responses" / f"{task.name}.jsonl"
    if torn and journal.exists():
        journal.write_bytes(journal.read_bytes()[:-torn])
    kept, before = answered(task, out), len(asked(out))
    code, err = finish(task, out, batch=3)
    assert code == 0, err
    assert not kept & set(asked(out)[before:])
    assert len(asked(out)) - before == N - len(kept)
    assert equals_uninterrupted(task, out)


def test_a_killed_run_continues_and_equals_an_uninterrupted_one(task: SmallTask) -> None:
    kill_and_continue(task, task.folder / "cut" / "run", 20)


def test_a_run_killed_in_the_middle_of_a_line_continues(task: SmallTask) -> None:
    kill_and_continue(task, task.folder / "cut" / "run", 39, torn=30)


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_points_continues(task: SmallTask) -> None:
    rng = random.Random(7)
    for number in range(20):
        kill_and_continue(task, task.folder / f"cut{number}" / "run", rng.randrange(N), torn=rng.choice([0, 1, 50]))
        shutil.rmtree(task.folder / "whole")


def test_doubled_and_torn_lines_change_nothing(task: SmallTask) -> None:
    """What a copied folder or a badly joined file looks like: every line twice, the last one without its end."""
    out = task.folder / "cut" / "run"
    execute(task.job(out), Scripted)
    journal = out / "responses" / f"{task.name}.jsonl"
    data = journal.read_bytes()
    journal.write_bytes(data + data[:-20])
    again = Scripted()
    execute(task.job(out), lambda: again)
    assert again.asked == []
    assert equals_uninterrupted(task, out)


def test_a_clock_that_jumps_changes_nothing_but_the_time_stamps(
    task: SmallTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first session stops half way; the second one begins a year before it."""
    out = task.folder / "cut" / "run"
    stamps = iter([f"203{year}-01-01T00:00:00+00:00" for year in (1, 1, 1, *[0] * 20)])
    monkeypatch.setattr("evals.runner._now", lambda: next(stamps))

    def stop_half_way(request: Request) -> None:
        if request.request_id == "q00020":
            raise AdapterError("the power went")

    with pytest.raises(AdapterError, match="power"):
        execute(task.job(out), lambda: Scripted(hook=stop_half_way))
    kept, again = answered(task, out), Scripted()
    execute(task.job(out), lambda: again)
    assert not kept & set(again.asked)
    assert equals_uninterrupted(task, out)


def test_a_second_process_in_the_same_folder_is_refused(task: SmallTask) -> None:
    out = task.folder / "both" / "run"
    out.parent.mkdir()
    first = start(task, out, delay_s=30.0)
    wait_for(out, 1)
    code, err = finish(task, out)
    assert code == 2
    assert err.startswith("error: ")
    assert f"is being written by process {first.pid}" in err
    assert "Traceback" not in err
    first.kill()
    first.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_ends_the_run_with_one_paragraph_and_loses_nothing(task: SmallTask, small_disk: Path) -> None:
    out = small_disk / "run"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (44 << 10))
    code, err = finish(task, out, delay_s=0.0)
    assert code == 2
    assert err.startswith("error: Could not write")
    assert "No space left on device" in err
    assert "Traceback" not in err
    kept = answered(task, out)
    ballast.unlink()
    before = len(asked(out))
    code, err = finish(task, out, delay_s=0.0)
    assert code == 0, err
    assert not kept & set(asked(out)[before:])
    assert equals_uninterrupted(task, out)
