"""Fresh processes one after the other; of two sides in turns, A B B A, so that the machine's drift is nobody's gain."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from evals.errors import AdapterError, EvalError
from evals.files import PROJECT
from evals.gate.speed_rule import schedule
from evals.perf.job import ProfileJob, Side
from evals.perf.timeline import ProcessRecord
from evals.perf.worker import Order, Outcome, read_outcome, write_order


def run_replicates(
    sides: Mapping[str, Side], folders: Mapping[str, Path], job: ProfileJob, repeats: int
) -> dict[str, list[ProcessRecord]]:
    """Measure one or two sides.

    Args:
        sides: by letter: ``A`` alone, or ``A`` and ``B``.
        folders: where each side's raw records are kept, ``raw/replicate-N.json.gz``.
        repeats: processes a side.

    Raises:
        EvalError: what a process could not do, in its own words.
    """
    order = schedule(repeats) if len(sides) > 1 else "A" * repeats
    records: dict[str, list[ProcessRecord]] = {letter: [] for letter in sides}
    for number, letter in enumerate(order, start=1):
        index = len(records[letter])
        print(f"process {number} of {len(order)}{_named(letter, sides)}", file=sys.stderr, flush=True)
        traced = job if index == 0 and letter == max(sides) else replace(job, traces=None)
        raw = folders[letter] / "raw" / f"replicate-{index + 1}.json.gz"
        records[letter].append(run_process(Order(sides[letter], traced, index), raw))
    return records


def run_process(order: Order, raw: Path) -> ProcessRecord:
    """One fresh process; its raw record is kept at ``raw``.

    Raises:
        EvalError: with the process's message and exit code.
        AdapterError: the process ended without a word (killed, or crashed).
    """
    code = order.side.code or PROJECT
    raw.parent.mkdir(parents=True, exist_ok=True)
    raw.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="profile-") as scratch:
        job = Path(scratch) / "order.json"
        write_order(job, order)
        # -P: the working folder is no place for modules, or it would be measured instead of the other checkout.
        command = [sys.executable, "-P", "-m", "evals.perf.worker", str(job), str(raw.resolve())]
        done = subprocess.run(command, env=_environment(code), check=False)  # noqa: S603 - our own module
    if not raw.is_file():
        raise AdapterError(
            f"A measuring process of {order.side.model} ended with code {done.returncode} and left no record. What it "
            "said stands above; -9 is what the system does when memory runs out."
        )
    outcome = read_outcome(raw)
    return _record(outcome, raw)


def _record(outcome: Outcome, raw: Path) -> ProcessRecord:
    if outcome.record is not None:
        return outcome.record
    raw.unlink()
    error = EvalError(outcome.error)
    error.exit_code = outcome.exit_code
    raise error


def _environment(code: Path) -> dict[str, str]:
    """This environment, with the measured checkout's modules first."""
    paths = [str(code.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _named(letter: str, sides: Mapping[str, Side]) -> str:
    return "" if len(sides) == 1 else f": {'baseline' if letter == 'A' else 'candidate'}"
