"""Arguments of what makes runs or rebuilds what they hold: `run`, `presets`, `plan`, `score`, `merge`, `report`,
`import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.argument_groups import (
    add_command,
    add_error_rate,
    add_executor,
    add_model,
    add_publishing,
    add_running,
    add_selection,
)

if TYPE_CHECKING:
    from evals.cli.argument_groups import Subcommands


def add_runs(commands: Subcommands) -> None:
    """`run`, `presets` and `plan`."""
    run = add_command(commands, "run", "evaluate a model on tasks or a suite; run again to continue", as_json=True)
    add_selection(run)
    add_model(run)
    place = run.add_argument_group("where results go")
    place.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    place.add_argument("--out", type=Path, help="the run's own folder, instead of a name made from its identity")
    place.add_argument("--new", action="store_true", help="start beside an existing run instead of continuing it")
    add_executor(run)
    add_running(run)

    presets = add_command(commands, "presets", "one task under several presets: what the protocol makes", as_json=True)
    add_selection(presets, preset=False)
    presets.add_argument("--presets", default="all", help="names with commas, the first one the reference; or all")
    add_model(presets)
    presets.add_argument("--out", type=Path, required=True, help="folder: a run for each preset, and the comparison")
    presets.set_defaults(runs_dir=None, new=False)
    add_executor(presets, shard=False)
    add_running(presets)

    plan = add_command(commands, "plan", "what a run would do, without doing it", as_json=True)
    add_selection(plan)
    plan.add_argument("--runs-dir", type=Path, default=Path("runs"), help="earlier runs, for the time it takes")


def add_finished(commands: Subcommands) -> None:
    """`score`, `merge` and `report`."""
    score = add_command(commands, "score", "score a run again from its answers; no model, no data set", as_json=True)
    score.add_argument("run", type=Path, help="run directory")

    merge = add_command(commands, "merge", "join the shards of a run into one run directory", as_json=True)
    merge.add_argument("runs", nargs="+", type=Path, metavar="RUN_SHARD", help="run directories of shards")
    merge.add_argument("--out", type=Path, required=True, help="the whole run's directory")
    add_error_rate(merge)
    merge.add_argument("--no-report", action="store_true", help="do not write report.html and report.md")

    report = add_command(commands, "report", "write a run's report again, serve it, or export its tables and figures")
    report.add_argument("run", type=Path, help="run directory")
    report.add_argument("--out", type=Path, help="folder for the report (default: the run directory)")
    add_publishing(report)


def add_import(commands: Subcommands) -> None:
    """`import`."""
    imported = add_command(commands, "import", "make a run of published predictions", as_json=True)
    imported.add_argument("format", help="format of the file, for example llava-pope, vlmevalkit, plain")
    imported.add_argument("task", metavar="TASK|FILE", help="task that says how the predictions are scored")
    imported.add_argument("predictions", type=Path, help="the predictions file (or folder)")
    imported.add_argument("--references", type=Path, nargs="+", default=[], help="files with the right answers")
    imported.add_argument("--name", required=True, help="the model's name")
    imported.add_argument("--preset", default="default", help="protocol preset of the task")
    imported.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="name of a column")
    imported.add_argument("--out", type=Path, required=True, help="run directory; an imported run takes further tasks")
