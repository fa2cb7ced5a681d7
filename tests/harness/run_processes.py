"""Runs as processes of their own: started, watched until they have asked so much, and looked at afterwards."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from scripted_adapters import Scripted, results_without_times
from small_tasks import SmallTask

from evals.journal import read_answers
from evals.runner import execute

DRIVE = Path(__file__).parent / "drive.py"


def start(task: SmallTask, out: Path, *options: str, batch: int = 2, delay_s: float = 0.02) -> subprocess.Popen[str]:
    """A run whose adapter takes its time and notes each request that it is asked."""
    command = [sys.executable, str(DRIVE), "run", str(task.yaml), "--model", "scripted", "--batch-size", str(batch)]
    command += ["-o", f"delay_s={delay_s}", "-o", f"log={out.parent / 'asked.log'}"]
    command += ["--data-root", str(task.folder), "--out", str(out), "--no-report", "--quiet", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(task: SmallTask, out: Path, *options: str, **kwargs: float) -> tuple[int, str]:
    """Exit code and stderr of such a run that nobody disturbs."""
    process = start(task, out, *options, **kwargs)  # type: ignore[arg-type]
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def asked(out: Path) -> list[str]:
    """Every request that the adapter was asked, as often as it was."""
    log = out.parent / "asked.log"
    return log.read_text().splitlines() if log.exists() else []


def wait_for(out: Path, count: int) -> None:
    """Until so many requests were asked."""
    deadline = time.monotonic() + 120
    while len(asked(out)) < count and time.monotonic() < deadline:
        time.sleep(0.005)


def answered(task: SmallTask, out: Path) -> set[str]:
    """Requests with an answer in the journal."""
    return {a.request_id for a in read_answers(out / "responses" / f"{task.name}.jsonl") if a.failure is None}


def equals_uninterrupted(task: SmallTask, out: Path) -> bool:
    """Whether results.json is, apart from times, what one undisturbed process writes."""
    whole = task.folder / "whole" / out.name
    execute(task.job(whole), Scripted)
    return results_without_times(whole / "results.json") == results_without_times(out / "results.json")
