"""The command `baseline`."""

from __future__ import annotations

import argparse


def change_baseline(options: argparse.Namespace) -> int:
    """Create or update a baseline, or keep profiles' speed in its folder; says what changed.

    Raises:
        SpecError: no name. EvalError: as :mod:`evals.gate.baseline` says.
    """
    from evals.cli.profile_commands import keep_speed
    from evals.cli.selection import margins_of
    from evals.errors import SpecError
    from evals.gate import Margins, create_baseline, update_baseline
    from evals.store import open_run

    if options.action == "speed":
        return keep_speed(options)
    runs = [open_run(path) for path in options.runs]
    margins, noise = margins_of(options.margin), options.noise
    if options.action == "update":
        _, changes = update_baseline(options.out, runs, margins=margins, single_reason=options.single, noise_file=noise)
        print("\n".join(changes) or "nothing changed")
        return 0
    if not options.name:
        raise SpecError("baseline create needs --name: what reports call this baseline.")
    made = create_baseline(
        runs,
        options.out,
        options.name,
        margins=margins or Margins(),
        single_reason=options.single,
        noise_file=noise,
    )
    print(f"{options.out}: baseline {made.name!r} of {len(made.run.results['tasks'])} tasks")
    return 0
