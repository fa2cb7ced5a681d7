#!/usr/bin/env python3
"""The fault probes that were put to other suites, put to this one: 200 samples, sample 100 is the odd one.

    python benchmarks/fault_probes.py

Prints a line a probe. It uses the tasks and adapters of the harness tests, and real processes and kills.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests" / "harness")]

from scripted_adapters import Decoding, Returns, Scripted  # noqa: E402 - the path comes first
from small_tasks import SmallTask, small_task  # noqa: E402

from evals.runner import Outcome, execute  # noqa: E402
from model_adapters.contract import Request, Response  # noqa: E402

N, ODD = 200, "q00100"


def said(outcome: Outcome) -> str:
    """Score, samples, errors and exit code of a run."""
    (task,) = outcome.results["tasks"].values()
    value = task["statistics"][task["headline"]]["value"]
    bounds = task["bounds"]
    return (
        f"score {value:.4f} of {task['n_scored']} samples, between {bounds['all_wrong']:.4f} and "
        f"{bounds['all_right']:.4f} with the failed; {task['n_errors']} error records; exit {outcome.exit_code}"
    )


def truncated_picture(task: SmallTask) -> str:
    """(a) A picture that ends in the middle."""
    picture = task.folder / "images" / "100.png"
    picture.write_bytes(picture.read_bytes()[:50])
    return said(execute(task.job(task.folder / "run"), Decoding))


def command(task: SmallTask, out: Path, *more: str) -> list[str]:
    """The command line that runs the task with the scripted model, which notes what it is asked."""
    model = ["--model", "scripted", "-o", f"log={task.folder / 'asked.log'}", "-o", "delay_s=0.01"]
    place = ["--data-root", str(task.folder), "--out", str(out), "--no-report", "--quiet"]
    driver = str(PROJECT / "tests" / "harness" / "drive.py")
    return [sys.executable, driver, "run", str(task.yaml), *model, *place, *more]


def asked(task: SmallTask) -> list[str]:
    log = task.folder / "asked.log"
    return log.read_text().splitlines() if log.exists() else []


def run_until(task: SmallTask, out: Path, calls: int) -> subprocess.Popen[bytes]:
    """A process that was asked so many questions."""
    process = subprocess.Popen(command(task, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(asked(task)) < calls and process.poll() is None:
        time.sleep(0.005)
    return process


def killed(task: SmallTask) -> str:
    """(b) kill -9 at call 100, then the same command again."""
    out = task.folder / "run"
    process = run_until(task, out, 100)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command(task, out), capture_output=True, check=False)
    return f"{len(asked(task))} calls in all, exit {done.returncode}"


def torn(task: SmallTask) -> str:
    """(b') The journal cut by half, then the same command again."""
    out = task.folder / "run"
    subprocess.run(command(task, out), capture_output=True, check=False)
    journal = out / "responses" / f"{task.name}.jsonl"
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) // 2])
    done = subprocess.run(command(task, out), capture_output=True, check=False)
    return f"{len(asked(task)) - N} of {N} asked again, exit {done.returncode}"


def raising(task: SmallTask) -> str:
    """(c) The model raises "CUDA out of memory" on one sample."""

    def fail(request: Request) -> None:
        if request.request_id == ODD:
            raise RuntimeError("CUDA out of memory")

    return said(execute(task.job(task.folder / "run"), lambda: Scripted(8, hook=fail)))


def misspelt(task: SmallTask) -> str:
    """(d) Typing errors in task, model, option and flag."""
    lines = []
    for arguments in (
        ["run", "easyvqq"],
        ["run", str(task.yaml), "--model", "omnilm"],
        ["run", str(task.yaml), "--model", "null", "-o", "anwser=x"],
        ["run", str(task.yaml), "--limt", "3"],
    ):
        where = ["--data-root", str(task.folder), *arguments[1:]]
        done = subprocess.run(
            [sys.executable, "run_eval.py", "run", *where], capture_output=True, text=True, cwd=PROJECT, check=False
        )
        lines.append(f"{arguments[-1]}: exit {done.returncode}, {done.stderr.strip().splitlines()[-1][:110]}")
    return "\n    ".join(["", *lines])


def silent(task: SmallTask) -> str:
    """(e) All answers empty."""
    return said(execute(task.job(task.folder / "run"), lambda: Returns(lambda r: [Response(r.request_id, "")])))


def twice(task: SmallTask) -> str:
    """(f) Two processes into one folder."""
    out = task.folder / "run"
    first = run_until(task, out, 1)
    second = subprocess.run(command(task, out), capture_output=True, text=True, check=False)
    code = first.wait()
    lines = (out / "responses" / f"{task.name}.jsonl").read_text().count("\n")
    return f"first exit {code} with {lines} lines; second exit {second.returncode}: {second.stderr.strip()[:90]}"


PROBES: tuple[Callable[[SmallTask], str], ...] = (truncated_picture, killed, torn, raising, misspelt, silent, twice)


def main() -> None:
    """Put all probes and print what came of each."""
    for probe in PROBES:
        with tempfile.TemporaryDirectory() as name:
            task = small_task(Path(name), n=N, images=N)
            print(f"{str(probe.__doc__).splitlines()[0]} {probe(task)}", flush=True)


if __name__ == "__main__":
    main()
