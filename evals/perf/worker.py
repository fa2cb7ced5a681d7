"""``python -m evals.perf.worker``: one replicate in a process of its own. Reads a job, writes a record or an error."""

from __future__ import annotations

import gzip
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from evals.errors import EvalError
from evals.files import write_bytes
from evals.perf.job import ProfileJob, Side
from evals.perf.timeline import ProcessRecord


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is asked to do."""

    side: Side
    job: ProfileJob
    index: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: a record, or an error of ours (message and exit code)."""

    record: ProcessRecord | None = None
    error: str = ""
    exit_code: int = 0


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def write_order(path: Path, order: Order) -> None:
    """Write an order as JSON."""
    write_bytes(path, _adapter(Order).dump_json(order))


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write an outcome as compressed JSON; equal outcomes give equal bytes."""
    write_bytes(path, gzip.compress(_adapter(Outcome).dump_json(outcome), mtime=0))


def read_outcome(path: Path) -> Outcome:
    """Read an outcome."""
    found: Outcome = _adapter(Outcome).validate_json(gzip.decompress(path.read_bytes()))
    return found


def main(order_path: str, outcome_path: str) -> int:
    """Do what is ordered; an error of ours is written down, any other ends the process with its traceback."""
    from evals.perf.process import profile_process

    order: Order = _adapter(Order).validate_json(Path(order_path).read_bytes())
    try:
        outcome = Outcome(profile_process(order.side, order.job, order.index))
    except EvalError as error:
        outcome = Outcome(error=str(error), exit_code=error.exit_code)
    write_outcome(Path(outcome_path), outcome)
    return outcome.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:  # it reaches the whole group; who started this process says what it means
        sys.exit(130)
