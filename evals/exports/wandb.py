"""Weights & Biases, offline: the run is written to a folder, and ``wandb sync`` sends it when the user says so."""

from __future__ import annotations

from evals.exports.numbers import numbers_of, settings_of
from evals.exports.registry import Destination, tracker
from evals.store import Run


def export(run: Run, to: Destination) -> str:
    """One offline run: settings as its config, all numbers as its one step."""
    wandb = tracker("wandb", "wandb")
    to.folder.mkdir(parents=True, exist_ok=True)
    name = run.manifest["run_id"]
    quiet = wandb.Settings(silent=True, console="off")
    made = wandb.init(
        mode="offline",
        project=to.project,
        name=name,
        dir=str(to.folder),
        config=settings_of(run),
        settings=quiet,
        reinit="finish_previous",
    )
    made.log(numbers_of(run))  # the last step of a run is its summary
    folder = made.settings.sync_dir
    made.finish()
    return f"{folder}: send it with `wandb sync {folder}`"
