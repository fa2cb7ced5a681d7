"""Runs with worker processes that are interrupted or killed: batches in flight are finished, no worker is left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from run_processes import answered, asked, equals_uninterrupted, finish, start, wait_for
from small_tasks import SmallTask, small_task

N = 60


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "cut").mkdir()
    return tmp_path / "cut" / "run"


@pytest.fixture
def task(tmp_path: Path) -> SmallTask:
    return small_task(tmp_path, n=N, images=9)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def end(processes: list[psutil.Process]) -> bool:
    """Whether all of them are gone soon."""
    return not psutil.wait_procs(processes, timeout=60)[1]


def test_a_signal_lets_workers_finish_their_batches_and_another_number_of_them_continues(
    task: SmallTask, out: Path
) -> None:
    process = start(task, out, "--workers", "2")
    wait_for(out, 7)
    workers = workers_of(process)
    assert len(workers) == 2
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "SIGTERM: finishing the batch in flight" in err
    assert "Traceback" not in err
    assert end(workers)
    before = asked(out)
    assert answered(task, out) == set(before)  # whatever was asked is answered and kept
    assert len(before) < N
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    assert not (out / "lock").exists()
    code, err = finish(task, out, "--workers", "1", batch=5)
    assert code == 0, err
    assert f"{len(before)} answers were there already and were not asked again" in err
    assert sorted(asked(out)) == sorted({*asked(out)})
    assert equals_uninterrupted(task, out)


def test_a_second_signal_stops_at_once_and_leaves_no_worker(task: SmallTask, out: Path) -> None:
    process = start(task, out, "--workers", "2", batch=30, delay_s=0.5)
    wait_for(out, 4)
    workers = workers_of(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert end(workers)
    assert len(asked(out)) < 30


def test_workers_end_with_the_run_that_started_them_and_it_continues_without_them(task: SmallTask, out: Path) -> None:
    process = start(task, out, "--workers", "2", delay_s=0.1)
    wait_for(out, 9)
    workers = workers_of(process)
    process.kill()
    process.communicate()
    assert end(workers)
    kept, before = answered(task, out), len(asked(out))
    assert kept
    code, err = finish(task, out)
    assert code == 0, err
    assert not kept & set(asked(out)[before:])
    assert equals_uninterrupted(task, out)


def test_one_of_two_workers_is_killed_from_outside(task: SmallTask, out: Path) -> None:
    process = start(task, out, "--workers", "2", delay_s=0.05)
    wait_for(out, 5)
    os.kill(workers_of(process)[0].pid, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "was ended by SIGKILL; it is started again" in err
    assert len(asked(out)) - N <= 2  # the batch that was in flight
    assert equals_uninterrupted(task, out)
