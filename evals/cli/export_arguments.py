"""Arguments of `export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.argument_groups import add_command

if TYPE_CHECKING:
    from evals.cli.argument_groups import Subcommands


def add_export(commands: Subcommands) -> None:
    """`export`."""
    export = add_command(commands, "export", "give a scored run to a tracker, or write it in another suite's format")
    export.add_argument("run", type=Path, help="run directory")
    export.add_argument(
        "--to", required=True, metavar="TARGET", help="wandb, mlflow, trackio, every-eval-ever or lm-eval-samples"
    )
    export.add_argument("--out", type=Path, help="folder of the files or the tracker's store (default: RUN/exports)")
    export.add_argument("--project", default="omnilmm-eval", help="the tracker's project or experiment")
    export.add_argument("--organization", default="unknown", help="who ran the evaluation, for every-eval-ever")
