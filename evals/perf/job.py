"""What a profile shall do, as plain values that another process can be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.errors import SpecError
from evals.perf.measure import QUICK, Rules

DEFAULT_SCENARIOS = ("all",)
QUICK_SCENARIOS = ("short-answer", "letter-likelihood", "caption")


@dataclass(frozen=True, slots=True)
class Side:
    """A model to be measured: adapter and options; ``code`` is another checkout of this program to measure with."""

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    code: Path | None = None


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """A task's own questions as a workload."""

    name: str
    preset: str = "default"
    limit: int | None = None
    sample: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ProfileJob:
    """What is measured, and how long.

    Attributes:
        scenarios: names; tasks: natural workloads beside them.
        batches: batch sizes, ascending; 1 is single stream.
        data_root, cache: where data lies, for tasks.
        traces: folder for a profiler's trace and a memory snapshot of the first process; None for neither.
    """

    scenarios: tuple[str, ...] = DEFAULT_SCENARIOS
    tasks: tuple[TaskChoice, ...] = ()
    batches: tuple[int, ...] = (1,)
    num_beams: int = 1
    rules: Rules = Rules()
    data_root: Path = Path("data")
    cache: Path = Path(".cache")
    traces: Path | None = None
    trace: bool = False
    memory_snapshot: bool = False

    def __post_init__(self) -> None:
        if not self.batches or any(batch < 1 for batch in self.batches):
            raise SpecError(f"--batch {self.batches}: expected batch sizes of at least 1, for example --batch 1,8,64.")
        if self.num_beams < 1:
            raise SpecError(f"--beams {self.num_beams}: expected at least 1.")
        if not self.scenarios and not self.tasks:
            raise SpecError("Nothing to measure: give --scenario or --task.")


def rules_of(*, quick: bool, seconds: float | None) -> Rules:
    """Rules by the command line's options.

    Raises:
        SpecError: a length that is not positive.
    """
    if seconds is not None and not seconds > 0:
        raise SpecError(f"--seconds {seconds}: expected more than 0.")
    base = QUICK if quick else Rules()
    if seconds is None:
        return base
    return Rules(
        least_requests=base.least_requests,
        least_s=seconds,
        most_s=max(base.most_s, 6 * seconds) if not quick else 6 * seconds,
        warm_most=base.warm_most,
        instrumented=base.instrumented,
    )
