"""What `export` prints."""

from __future__ import annotations

import argparse


def show_export(options: argparse.Namespace) -> int:
    """Export, and say where the run is now."""
    from evals.exports import Destination, export_run
    from evals.store import open_run

    to = Destination(options.out or options.run / "exports" / options.to, options.project, options.organization)
    print(export_run(open_run(options.run), options.to, to))
    return 0
