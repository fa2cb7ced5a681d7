"""One part of a run for each of several jobs that know nothing of each other: static sharding, without collectives.

Every job makes the same plan and takes its own stretch of it; ``merge`` joins their run directories afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evals.errors import SpecError
from evals.executors.processes import visible_gpus
from evals.plan import TaskPlan

# A launcher's variables: this job's number, how many jobs there are, its number on this machine.
LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "SLURM": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
}


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` of ``of``, counted from 0."""

    index: int
    of: int

    def part(self, plan: TaskPlan) -> range:
        """This shard's stretch of a plan: about as many questions as any other's, and whole pictures only."""
        before = np.concatenate(([0], np.cumsum(plan.counts, dtype=np.int64)))
        first = np.append(np.flatnonzero(plan.starts), len(plan.order))
        ends = [int(np.searchsorted(before[first], plan.requests * k / self.of)) for k in (self.index, self.index + 1)]
        start, stop = (int(first[end]) for end in ends)
        return range(start, stop)

    def __str__(self) -> str:
        return f"shard {self.index} of {self.of}"


def read_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """A shard from ``I/N``, or from a launcher's variables where the text is ``env``.

    Raises:
        SpecError: neither of both, variables that are not set or contradict each other, or no such part.
    """
    if text == "env":
        index, of, where = _of_environment(environment)
    else:
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None:
            raise SpecError(f"--shard {text}: expected I/N, for example 0/4 for the first of four, or env.")
        index, of, where = int(found[1]), int(found[2]), f"--shard {text}"
    if not 0 <= index < of:
        raise SpecError(f"{where}: shards are numbered from 0, so of {of} the last one is {max(of - 1, 0)}/{of}.")
    return Shard(index, of)


def _of_environment(environment: Mapping[str, str]) -> tuple[int, int, str]:
    for launcher, (rank, size, _) in LAUNCHERS.items():
        given = {name: environment[name] for name in (rank, size) if name in environment}
        if len(given) == 1:
            missing = size if rank in given else rank
            raise SpecError(f"--shard env: {next(iter(given))} is set but {missing} is not; {launcher} sets both.")
        if given:
            where = f"--shard env: {rank}={given[rank]} and {size}={given[size]}"
            try:
                return int(given[rank]), int(given[size]), where
            except ValueError:
                raise SpecError(f"{where} are not both whole numbers.") from None
    names = " nor ".join(" and ".join(names[:2]) for names in LAUNCHERS.values())
    raise SpecError(f"--shard env: neither {names} are set. Start it with torchrun or srun, or give --shard I/N.")


def take_own_gpu() -> None:
    """Under a launcher with several jobs a machine: let this process see the GPU of its number there only.

    To be called before any library looks for GPUs.
    """
    gpus = visible_gpus()
    for _, _, local in LAUNCHERS.values():
        if local in os.environ and os.environ[local].isdigit() and len(gpus) > 1:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[int(os.environ[local]) % len(gpus)]
            return
