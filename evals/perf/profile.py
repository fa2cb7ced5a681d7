"""A profile from start to end: fresh processes, one document a side, and of two sides a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import SpecError, StoreError
from evals.perf.document import build_document
from evals.perf.fit import Fit, check_fit
from evals.perf.job import ProfileJob, Side
from evals.perf.launch import run_replicates
from evals.perf.stored import FILE, Profile, write_profile
from model_adapters.registry import adapter_class

if TYPE_CHECKING:
    from evals.gate import SpeedVerdict

SIDES = {"A": "baseline", "B": "candidate"}


@dataclass(frozen=True, slots=True)
class Profiled:
    """What a profile gave: the profile, and with a baseline that one's and the verdict."""

    profile: Profile
    baseline: Profile | None = None
    verdict: SpeedVerdict | None = None

    @property
    def exit_code(self) -> int:
        """2 where nothing was measured, 0 otherwise; with a baseline the verdict's."""
        if self.verdict is not None:
            return self.verdict.exit_code
        return 0 if any(not case["skipped"] for case in self.profile.document["cases"]) else 2


def plan_profile(side: Side, job: ProfileJob) -> Fit:
    """What would fit, without loading anything.

    Raises:
        AdapterError: an adapter, checkpoint or device that is not there.
    """
    return check_fit(adapter_class(side.model).footprint(**side.options), job.batches)


def run_profile(
    side: Side, against: Side | None, job: ProfileJob, *, repeats: int, out: Path, command: str
) -> Profiled:
    """Measure one side, or two in turns.

    Args:
        side: the model; with ``against`` it is the candidate.
        out: its folder; with ``against`` each side has one inside.

    Raises:
        StoreError: the folder holds a profile already.
        SpecError: no repeats. EvalError: what a process could not do.
    """
    if repeats < 1:
        raise SpecError(f"--repeats {repeats}: expected at least 1.")
    sides = {"A": side} if against is None else {"A": against, "B": side}
    folders = {letter: out if against is None else out / SIDES[letter] for letter in sides}
    for folder in folders.values():
        if (folder / FILE).exists():
            raise StoreError(f"{folder} already holds a profile. Choose another folder with --out.")
    records = run_replicates(sides, folders, job, repeats)
    profiles: Mapping[str, Profile] = {
        letter: write_profile(
            folders[letter],
            build_document(
                records[letter],
                sides[letter],
                job,
                profile_id=f"{out.name}-{SIDES[letter]}" if against else out.name,
                command=command,
            ),
        )
        for letter in sides
    }
    if against is None:
        return Profiled(profiles["A"])
    from evals.gate import judge_speed, write_verdict

    verdict = judge_speed([profiles["A"]], [profiles["B"]])
    write_verdict(verdict, out)
    return Profiled(profiles["B"], profiles["A"], verdict)


def default_folder(side: Side) -> Path:
    """``profiles/<model>``, or that with the first number that is free."""
    name = str(side.options.get("checkpoint", side.model)).rstrip("/").rpartition("/")[2]
    folder, number = Path("profiles") / name, 2
    while folder.exists():
        folder, number = folder.with_name(f"{name}-{number}"), number + 1
    return folder
