"""The command line's arguments. Only argparse is imported here, so that --help answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.argument_groups import add_command, add_model, add_places, add_running, add_selection
from evals.cli.decision_arguments import add_compare, add_decisions
from evals.cli.serve_arguments import add_serve

if TYPE_CHECKING:
    from evals.cli.argument_groups import Subcommands

EPILOG = "`run_eval.py COMMAND --help` tells more about one command. Documentation: docs/."


def parser() -> argparse.ArgumentParser:
    """The whole command line. Only argparse is imported, so that --help answers at once."""
    top = argparse.ArgumentParser(
        prog="run_eval.py", description="Evaluate OmniLMM-3B and the models held beside it.", epilog=EPILOG
    )
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = add_command(commands, "run", "evaluate a model on tasks or a suite; run again to continue", as_json=True)
    add_selection(run)
    add_model(run)
    place = run.add_argument_group("where results go")
    place.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    place.add_argument("--out", type=Path, help="the run's own folder, instead of a name made from its identity")
    place.add_argument("--new", action="store_true", help="start beside an existing run instead of continuing it")
    add_running(run)

    presets = add_command(commands, "presets", "one task under several presets: what the protocol makes", as_json=True)
    add_selection(presets, preset=False)
    presets.add_argument("--presets", default="all", help="names with commas, the first one the reference; or all")
    add_model(presets)
    presets.add_argument("--out", type=Path, required=True, help="folder: a run for each preset, and the comparison")
    presets.set_defaults(runs_dir=None, new=False)
    add_running(presets)

    listing = add_command(commands, "list", "tasks, suites, adapters, metrics and extractors", as_json=True)
    listing.add_argument("what", nargs="?", default="tasks", choices=LISTS, help="what to list (default: tasks)")
    listing.add_argument("--family", help="only tasks of this family")
    listing.add_argument("--licence", help="only tasks whose licence has this in its name, for example cc-by-nc")
    listing.add_argument("--language", help="only tasks with questions in this language, for example zh")

    show = add_command(commands, "show", "a task's card, with an example from its data where it is there", as_json=True)
    show.add_argument("task", metavar="TASK|FILE", help="task name, or a YAML file")
    show.add_argument("--preset", default="default", help="protocol preset")
    add_places(show)
    add_model(show, default=None)

    fetch = add_command(commands, "prefetch", "get the data of tasks onto this machine, to run without a network")
    fetch.add_argument("names", nargs="+", metavar="TASK|SUITE|FILE", help="task or suite names, or YAML files")
    add_places(fetch)

    validate = add_command(commands, "validate", "check task and suite files without touching data", as_json=True)
    validate.add_argument("names", nargs="*", metavar="TASK|SUITE|FILE", help="default: the whole catalogue")

    plan = add_command(commands, "plan", "what a run would do, without doing it", as_json=True)
    add_selection(plan)
    plan.add_argument("--runs-dir", type=Path, default=Path("runs"), help="earlier runs, for the time it takes")

    written = add_command(commands, "write-tsv", "write a task's samples as a TSV of VLMEvalKit's layout")
    add_selection(written, preset=False)
    written.add_argument("--out", type=Path, required=True, help="the TSV file")

    score = add_command(commands, "score", "score a run again from its answers; no model, no data set", as_json=True)
    score.add_argument("run", type=Path, help="run directory")

    report = add_command(commands, "report", "write a run's report again")
    report.add_argument("run", type=Path, help="run directory")
    report.add_argument("--out", type=Path, help="folder for the report (default: the run directory)")

    _add_import(commands)
    add_compare(commands)
    add_decisions(commands)
    add_serve(commands)

    doctor = add_command(commands, "doctor", "check this installation and machine", as_json=True)
    doctor.add_argument("--scorers", action="store_true", help="check all metrics and extractors on shipped cases")
    return top


LISTS = ("tasks", "suites", "adapters", "metrics", "extractors")


def _add_import(commands: Subcommands) -> None:
    imported = add_command(commands, "import", "make a run of published predictions", as_json=True)
    imported.add_argument("format", help="format of the file, for example llava-pope, vlmevalkit, plain")
    imported.add_argument("task", metavar="TASK|FILE", help="task that says how the predictions are scored")
    imported.add_argument("predictions", type=Path, help="the predictions file (or folder)")
    imported.add_argument("--references", type=Path, nargs="+", default=[], help="files with the right answers")
    imported.add_argument("--name", required=True, help="the model's name")
    imported.add_argument("--preset", default="default", help="protocol preset of the task")
    imported.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="name of a column")
    imported.add_argument("--out", type=Path, required=True, help="run directory; an imported run takes further tasks")
