"""The command line's arguments. Only argparse is imported here, so that --help answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

EPILOG = "`run_eval.py COMMAND --help` tells more about one command. Documentation: docs/."


def parser() -> argparse.ArgumentParser:
    """The whole command line. Only argparse is imported, so that --help answers at once."""
    top = argparse.ArgumentParser(
        prog="run_eval.py", description="Evaluate OmniLMM-3B and the models held beside it.", epilog=EPILOG
    )
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = _command(commands, "run", "evaluate a model on tasks or a suite; run again to continue", as_json=True)
    _add_selection(run)
    _add_model(run)
    place = run.add_argument_group("where results go")
    place.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    place.add_argument("--out", type=Path, help="the run's own folder, instead of a name made from its identity")
    place.add_argument("--new", action="store_true", help="start beside an existing run instead of continuing it")
    run.add_argument(
        "--max-error-rate", type=float, default=0.01, metavar="SHARE", help="failed requests allowed (0.01)"
    )
    run.add_argument("--no-report", action="store_true", help="do not write report.html and report.md")
    run.add_argument("--quiet", action="store_true", help="no progress")

    listing = _command(commands, "list", "tasks, suites, adapters, metrics and extractors", as_json=True)
    listing.add_argument("what", nargs="?", default="tasks", choices=LISTS, help="what to list (default: tasks)")
    listing.add_argument("--family", help="only tasks of this family")
    listing.add_argument("--licence", help="only tasks whose licence has this in its name, for example cc-by-nc")
    listing.add_argument("--language", help="only tasks with questions in this language, for example zh")

    show = _command(commands, "show", "a task's card, with an example from its data where it is there", as_json=True)
    show.add_argument("task", metavar="TASK|FILE", help="task name, or a YAML file")
    show.add_argument("--preset", default="default", help="protocol preset")
    _add_places(show)
    _add_model(show, default=None)

    fetch = _command(commands, "prefetch", "get the data of tasks onto this machine, to run without a network")
    fetch.add_argument("names", nargs="+", metavar="TASK|SUITE|FILE", help="task or suite names, or YAML files")
    _add_places(fetch)

    validate = _command(commands, "validate", "check task and suite files without touching data", as_json=True)
    validate.add_argument("names", nargs="*", metavar="TASK|SUITE|FILE", help="default: the whole catalogue")

    plan = _command(commands, "plan", "what a run would do, without doing it", as_json=True)
    _add_selection(plan)

    score = _command(commands, "score", "score a run again from its answers; no model, no data set", as_json=True)
    score.add_argument("run", type=Path, help="run directory")

    report = _command(commands, "report", "write a run's report again")
    report.add_argument("run", type=Path, help="run directory")
    report.add_argument("--out", type=Path, help="folder for the report (default: the run directory)")

    _add_import(commands)
    _add_compare(commands)
    _add_decisions(commands)

    doctor = _command(commands, "doctor", "check this installation and machine", as_json=True)
    doctor.add_argument("--scorers", action="store_true", help="check all metrics and extractors on shipped cases")
    return top


LISTS = ("tasks", "suites", "adapters", "metrics", "extractors")


def _command(commands: Subcommands, name: str, text: str, as_json: bool = False) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    if as_json:
        command.add_argument("--json", action="store_true", help="print JSON on stdout instead of a table")
    return command


def _add_selection(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="+", metavar="TASK|SUITE|FILE", help="task or suite names, or YAML files")
    command.add_argument("--preset", help="protocol preset for all tasks")
    part = command.add_mutually_exclusive_group()
    part.add_argument("--limit", type=int, help="only the first N samples of each task")
    part.add_argument("--sample", type=int, help="a random N samples of each task")
    part.add_argument("--ids", type=Path, help="only the sample ids in this file, one a line")
    command.add_argument("--seed", type=int, default=0, help="of --sample (default: 0)")
    command.add_argument("--stratify", metavar="FIELD", help="--sample takes each value's share of this field")
    _add_places(command)


def _add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-root", type=Path, help="folder of local data (default: data, or see omnilmm-eval.yaml)"
    )
    command.add_argument(
        "--cache-dir", type=Path, help="folder for generated and downloaded data (default: the user's)"
    )


def _add_model(command: argparse.ArgumentParser, default: str | None = "omnilmm") -> None:
    model = command.add_argument_group("model")
    model.add_argument(
        "--model", default=default, metavar="ADAPTER", help=f"adapter name (default: {default or 'none'})"
    )
    model.add_argument("--checkpoint", help="folder of weights, or the name of a shipped checkpoint")
    model.add_argument("--dtype", help="auto, float32, bfloat16 or float16")
    model.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    model.add_argument("--batch-size", type=int, help="requests a batch")
    model.add_argument("-o", "--option", action="append", default=[], metavar="KEY=VALUE", help="any other option")


def _add_decisions(commands: Subcommands) -> None:
    board = _command(commands, "leaderboard", "rank runs as far as their differences can be told", as_json=True)
    board.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="run directories, imported ones included")
    board.add_argument("--suite", help="suite whose tasks and weights make the macro average (default: all tasks)")
    board.add_argument("--title", default="Leaderboard", help="heading")
    board.add_argument("--allow", action="append", default=[], metavar="PART", help="let this part differ, and say so")
    board.add_argument("--out", type=Path, help="folder for leaderboard.html, .md, .csv and .json")
    board.add_argument("--update", type=Path, metavar="DIR", help="keep the leaderboard in this folder; runs are added")

    baseline = _command(commands, "baseline", "make or update the baseline that a gate compares with")
    baseline.add_argument("action", choices=("create", "update"))
    baseline.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="runs of one model, two at least")
    baseline.add_argument("--name", help="the baseline's name (create)")
    baseline.add_argument("--out", type=Path, required=True, help="the baseline's folder")
    baseline.add_argument("--single", metavar="REASON", help="why one run must do")
    baseline.add_argument("--margin", action="append", default=[], metavar="NAME=VALUE", help="0.01 is one point")

    gate = _command(commands, "gate", "pass, fail or inconclusive: a candidate run against a baseline", as_json=True)
    gate.add_argument(
        "--baseline", type=Path, nargs="+", required=True, help="folder that `baseline create` made; with --perf, runs"
    )
    gate.add_argument("--candidate", type=Path, nargs="+", required=True, metavar="RUN", help="run directory")
    gate.add_argument("--perf", action="store_true", help="judge speed, from interleaved runs of both sides")
    gate.add_argument("--allow", action="append", default=[], metavar="PART", help="let this part differ, and say so")
    gate.add_argument("--strict", action="store_true", help="each task must pass on its own")
    gate.add_argument("--out", type=Path, help="folder for the verdict's files (default: RUN/gate)")


def _add_import(commands: Subcommands) -> None:
    imported = _command(commands, "import", "make a run of published predictions", as_json=True)
    imported.add_argument("format", help="format of the file, for example llava-pope, vlmevalkit, plain")
    imported.add_argument("task", metavar="TASK|FILE", help="task that says how the predictions are scored")
    imported.add_argument("predictions", type=Path, help="the predictions file (or folder)")
    imported.add_argument("--references", type=Path, nargs="+", default=[], help="files with the right answers")
    imported.add_argument("--name", required=True, help="the model's name")
    imported.add_argument("--preset", default="default", help="protocol preset of the task")
    imported.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help="name of a column")
    imported.add_argument("--out", type=Path, required=True, help="run directory; an imported run takes further tasks")


def _add_compare(commands: Subcommands) -> None:
    compare = _command(commands, "compare", "paired differences, flips and verdicts between runs", as_json=True)
    compare.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories, the baseline first")
    compare.add_argument(
        "--allow", action="append", default=[], metavar="PART", help="let this part differ, and say so"
    )
    compare.add_argument("--out", type=Path, help="folder for comparison.html and comparison.md")
