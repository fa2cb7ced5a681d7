"""Trackio: a local SQLite file a project, shown by ``trackio show``."""

from __future__ import annotations

import os

from evals.exports.numbers import numbers_of, settings_of
from evals.exports.registry import Destination, tracker
from evals.store import Run


def export(run: Run, to: Destination) -> str:
    """One run with settings as its config and all numbers as one step."""
    to.folder.mkdir(parents=True, exist_ok=True)
    os.environ["TRACKIO_DIR"] = str(to.folder.resolve())  # the only way in; it is read when the package is imported
    trackio = tracker("trackio", "trackio")
    trackio.init(project=to.project, name=run.manifest["run_id"], config=settings_of(run), embed=False)
    trackio.log(numbers_of(run))
    trackio.finish()
    return f"{to.folder}: show it with `TRACKIO_DIR={to.folder} trackio show --project {to.project}`"
