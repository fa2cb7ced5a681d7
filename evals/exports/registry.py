"""Exports by name, and what they have in common."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from evals.errors import EvalError, SpecError, did_you_mean
from evals.store import Run


class ExportError(EvalError):
    """A run cannot be given to another program."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an export goes.

    Attributes:
        folder: files, or the tracker's local store, are written here.
        project: the tracker's project or experiment.
        organization: who ran the evaluation, for formats that ask.
    """

    folder: Path
    project: str = "omnilmm-eval"
    organization: str = "unknown"


class Exporter(Protocol):
    """Exports a run and says in one line where it is now."""

    def __call__(self, run: Run, to: Destination) -> str: ...


TARGETS: dict[str, str] = {
    "every-eval-ever": "evals.exports.every_eval_ever:export",
    "lm-eval-samples": "evals.exports.lm_eval_samples:export",
    "mlflow": "evals.exports.mlflow:export",
    "trackio": "evals.exports.trackio:export",
    "wandb": "evals.exports.wandb:export",
}


def export_run(run: Run, target: str, to: Destination) -> str:
    """Export a scored run.

    Raises:
        SpecError: unknown target, with the nearest name.
        ExportError: the tracker's package is not installed, with the line that installs it.
        StoreError: the run has not been scored, or the folder cannot be written.
    """
    if target not in TARGETS:
        raise SpecError(f"Unknown export {target!r}.{did_you_mean(target, TARGETS)} Known: {', '.join(TARGETS)}.")
    _ = run.results
    module, _, function = TARGETS[target].partition(":")
    exporter: Exporter = getattr(importlib.import_module(module), function)
    return exporter(run, to)


def tracker(name: str, extra: str) -> Any:
    """A tracker's module. Raises :class:`ExportError` with the pip line where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(f"{name} is not installed ({error}): pip install 'omnilmm-eval[{extra}]'.") from error
