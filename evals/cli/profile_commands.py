"""The commands about speed: `profile`, and what `compare`, `baseline` and `gate` do with profiles."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from evals.perf.stored import open_profile

if TYPE_CHECKING:
    from evals.perf.profile import Profiled

__all__ = ["compare_measured", "gate_speed", "keep_speed", "measure", "plan_only"]


def plan_only(options: argparse.Namespace) -> int:
    """Say what would fit."""
    from pathlib import Path

    from evals.cli.profile_selection import job_of, side_of
    from evals.cli.profile_views import show_fit
    from evals.perf.profile import plan_profile

    return show_fit(plan_profile(side_of(options), job_of(options, Path())), as_json=options.json)


def measure(options: argparse.Namespace, command: str) -> Profiled:
    """Measure a model, or two in turns, and print the main numbers."""
    from evals.cli.profile_selection import against_of, job_of, repeats_of, side_of
    from evals.cli.profile_views import show_profiled
    from evals.perf.profile import default_folder, run_profile

    side, against = side_of(options), against_of(options)
    out = options.out or default_folder(side)
    done = run_profile(side, against, job_of(options, out), repeats=repeats_of(options), out=out, command=command)
    show_profiled(done, as_json=options.json)
    return done


def compare_measured(options: argparse.Namespace) -> int:
    """Hold two profiles against each other."""
    from evals.cli.profile_views import show_profile_comparison
    from evals.compare.profiles import compare_profiles
    from evals.errors import SpecError

    if len(options.runs) != 2:
        raise SpecError(f"compare takes two profiles at a time, the baseline first; {len(options.runs)} were given.")
    show_profile_comparison(compare_profiles(*map(open_profile, options.runs)), as_json=options.json)
    return 0


def keep_speed(options: argparse.Namespace) -> int:
    """Keep the speed of profiles in a baseline's folder."""
    from evals.gate import store_speed

    print(store_speed([open_profile(path) for path in options.runs], options.out))
    return 0


def gate_speed(options: argparse.Namespace) -> int:
    """Judge speed; where no verdict is possible, the same files say why.

    Raises:
        ComparisonError: other hardware or work, an invalid profile, runs that were not interleaved.
    """
    from evals.cli.decision_views import show_verdict
    from evals.errors import ComparisonError
    from evals.gate import judge_measurements, write_not_comparable, write_verdict

    first = options.candidate[0]
    out = options.out or (first.parent if first.is_file() else first) / "gate"
    try:
        verdict = judge_measurements(options.baseline, options.candidate)
    except ComparisonError as error:
        write_not_comparable(error, out)
        raise
    write_verdict(verdict, out)
    show_verdict(verdict, as_json=options.json)
    return verdict.exit_code
